"""Guest tests change swap, cgroups and DAMON of the machine: outside of a guest they are neither collected nor run."""

from __future__ import annotations

import os

import pytest

IN_GUEST = os.environ.get("MEMTIERD_IN_GUEST") == "1"

collect_ignore_glob = [] if IN_GUEST else ["test_*.py"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose file was named outright, which is collected in any case."""
    if not IN_GUEST:
        pytest.skip(f"{item.name} runs in a guest: tests/vm/run.sh pytest")
