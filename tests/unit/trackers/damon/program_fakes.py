"""A machine where a program of the test's own goes by the name of bpftrace or perf, and waiting for its effects."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from memtierd.linux.roots import Roots
from memtierd.trackers.damon.program import Restarts
from tests.unit.linux.fake_kernel import CASES, FakeKernel

DEADLINE_S = 30.0
AT_ONCE = Restarts(first_s=0.001, most_s=0.001)
FORMAT = "name: damon_aggregated\nformat:\n" + "".join(
    f"\tfield:{kind} {name};\toffset:8;\tsize:8;\tsigned:0;\n"
    for kind, name in (
        ("int", "common_pid"),
        ("unsigned long", "target_id"),
        ("unsigned int", "nr_regions"),
        ("unsigned long", "start"),
        ("unsigned long", "end"),
        ("unsigned int", "nr_accesses"),
    )
)


def case(name: str) -> bytes:
    """Return what a real program wrote."""
    return (CASES / "damon" / f"{name}.txt").read_bytes()


def able_machine(directory: Path, form: str = FORMAT) -> Roots:
    """Return a kernel with the tracepoint, BPF and perf events."""
    kernel = FakeKernel(directory)
    tracing = "sys/kernel/tracing"
    (directory / tracing / "instances").mkdir(parents=True)
    kernel.put(f"{tracing}/events/damon/damon_aggregated/format", form)
    kernel.put("proc/sys/kernel/unprivileged_bpf_disabled", "2\n")
    kernel.put("proc/sys/kernel/perf_event_paranoid", "3\n")
    return kernel.roots


def make_program(directory: Path, name: str, script: str) -> Path:
    """Make a shell script, executable, and return its path."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread or program brings about; fail when it does not come."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
