"""What memtierd itself takes of the machine."""

import os
import resource
import threading

from memtierd.linux.roots import Roots, list_names, read_text
from memtierd.metrics.families import Measured, single
from memtierd.units import PAGE_BYTES


def measure_itself(roots: Roots) -> list[Measured]:
    """Return CPU time, memory, open files and threads of this process.

    Sources: getrusage(2); the second number of /proc/PID/statm are the resident pages (proc(5)).
    """
    usage, process = resource.getrusage(resource.RUSAGE_SELF), f"{roots.proc}/{os.getpid()}"
    return [
        single("cpu_seconds_total", usage.ru_utime + usage.ru_stime),
        single("resident_memory_bytes", int(read_text(f"{process}/statm").split()[1]) * PAGE_BYTES),
        single("open_fds", len(list_names(f"{process}/fd"))),
        single("threads", threading.active_count()),
    ]
