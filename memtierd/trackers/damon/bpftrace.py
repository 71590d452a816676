"""The connection through bpftrace: a small program of its own at the tracepoint, and the lines that it prints."""

import re
import time

from memtierd.linux.damon_programs import EVENT, find_bpftrace
from memtierd.linux.roots import ROOTS, Roots
from memtierd.trackers.damon.program import Restarts
from memtierd.trackers.damon.program_connection import LEASH, Dialect, ProgramConnection

# The lines are those of trace_pipe (see events.py).  Fields of all kernels since 5.15 and the syntax of bpftrace 0.14
# to 0.23.  No BEGIN: it needs a symbol that stripped builds lack.  No BTF: the tracepoint's format file tells enough.
SCRIPT = f"""tracepoint:{EVENT} {{
    $now = nsecs;
    printf("kdamond %d [%d] %llu.%09llu: damon_aggregated: target_id=%llu nr_regions=%u %llu-%llu: %u\\n",
        tid, cpu, $now / 1000000000, $now % 1000000000,
        args->target_id, args->nr_regions, args->start, args->end, args->nr_accesses);
}}"""
LOST = re.compile(rb"^Lost (\d+) events", re.MULTILINE)


def bpftrace_connection(roots: Roots = ROOTS, restarts: Restarts | None = None) -> ProgramConnection:
    """Return the connection; what is missing for it shows when it is opened."""
    dialect = Dialect(
        name="bpftrace",
        commands=lambda: ((find_bpftrace(roots), "-B", "line", "-c", LEASH, "-e", SCRIPT),),
        environment={},
        lost=LOST,
        advice="lower maxtargetregions, raise aggregationus, or set BPFTRACE_PERF_RB_PAGES (64) higher",
        shift_ns=_boot_to_monotonic_ns,
    )
    return ProgramConnection(dialect, restarts)


def _boot_to_monotonic_ns() -> int:
    """Return what turns a time of bpftrace's nsecs, which counts suspended time, to CLOCK_MONOTONIC.

    bpf_ktime_get_boot_ns, Linux 5.8 (include/uapi/linux/bpf.h).
    """
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
