"""Whether bpftrace and perf can report what DAMON says: looked up only, nothing is started and DAMON is left alone."""

import os
import re
import shutil
from collections.abc import Callable

from memtierd.errors import UnsupportedError
from memtierd.linux.roots import ROOTS, Roots
from memtierd.linux.tracefs import damon_event

EVENT = "damon:damon_aggregated"
_FIELDS = frozenset({"target_id", "nr_regions", "start", "end", "nr_accesses"})
_FIELD = re.compile(r"^\tfield:[^;]*\b(\w+);", re.MULTILINE)
Which = Callable[[str], str | None]


def find_bpftrace(roots: Roots = ROOTS, which: Which = shutil.which) -> str:
    """Return the path of bpftrace; raises UnsupportedError when it can't report DAMON's events here."""
    path = _program("bpftrace", "bpftrace", which)
    _check_event(roots)
    # Exists with CONFIG_BPF_SYSCALL (Documentation/admin-guide/sysctl/kernel.rst).
    if not os.path.exists(f"{roots.proc}/sys/kernel/unprivileged_bpf_disabled"):
        raise UnsupportedError("the kernel has no BPF for bpftrace; it needs CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS")
    return path


def find_perf(roots: Roots = ROOTS, which: Which = shutil.which) -> str:
    """Return the path of perf; raises UnsupportedError when it can't report DAMON's events here."""
    path = _program("perf", "linux-perf", which)
    _check_event(roots)
    # Its existence is the official sign of perf_event_open(2), says its manual page.
    if not os.path.exists(f"{roots.proc}/sys/kernel/perf_event_paranoid"):
        raise UnsupportedError("the kernel has no events for perf; it needs CONFIG_PERF_EVENTS")
    return path


def bpftrace_works(roots: Roots = ROOTS) -> str:
    """Return what works with bpftrace; raises UnsupportedError with what is missing."""
    return f"{find_bpftrace(roots)} can report what DAMON says"


def perf_works(roots: Roots = ROOTS) -> str:
    """Return what works with perf; raises UnsupportedError with what is missing."""
    return f"{find_perf(roots)} can report what DAMON says"


def _program(name: str, package: str, which: Which) -> str:
    path = which(name)
    if path is None:
        raise UnsupportedError(f"there is no {name} in PATH; install it (Debian's package is {package})")
    return path


def _check_event(roots: Roots) -> None:
    """Raise UnsupportedError unless the kernel has the event with its fields; KernelError without access to it."""
    missing = _FIELDS.difference(_FIELD.findall(damon_event(roots)))
    if missing:
        raise UnsupportedError(f"the tracepoint {EVENT} of this kernel lacks {', '.join(sorted(missing))}")
