"""Which of the needed capabilities a process lacks."""

import os
from pathlib import Path

import pytest

from memtierd.linux.capabilities import NEEDED, missing_capabilities
from tests.unit.linux.fake_kernel import FakeKernel


@pytest.mark.parametrize(
    ("bits", "missing"),
    [
        (0, set(NEEDED)),
        ((1 << 41) - 1, set()),
        (1 << 19, {"CAP_SYS_ADMIN", "CAP_SYS_NICE"}),
        (1 << 21 | 1 << 23, {"CAP_SYS_PTRACE"}),
    ],
)
def test_missing(tmp_path: Path, bits: int, missing: set[str]) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.put(f"proc/{os.getpid()}/status", f"Name:\tmemtierd\nCapPrm:\t0000000000000000\nCapEff:\t{bits:016x}\n")
    assert set(missing_capabilities(kernel.roots)) == missing
