"""Fixtures of the prompt's tests."""

import pytest

from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt


@pytest.fixture
def daemon() -> FakeDaemon:
    """Return a daemon that tracks nothing."""
    return FakeDaemon()


@pytest.fixture
def prompt(daemon: FakeDaemon) -> Prompt:
    """Return a session of that daemon."""
    return Prompt(daemon)
