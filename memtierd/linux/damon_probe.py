"""What of DAMON can be used here, found by looking only: nothing is started, made or written."""

import os

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux import damon_debugfs, damon_sysfs, tracefs
from memtierd.linux.damon_markers import is_alive, read_all
from memtierd.linux.roots import Roots, list_names, open_fd, read_optional, read_text


def sysfs_works(roots: Roots) -> str:
    """Return what the sysfs interface has; raises UnsupportedError or KernelError with what is missing."""
    path = f"{damon_sysfs.admin_directory(roots)}/nr_kdamonds"
    if not os.path.exists(path):
        raise UnsupportedError(f"no {path}; {damon_sysfs.MISSING}")
    os.close(open_fd(path, os.O_RDWR))
    available = _operations(roots)
    if available and "vaddr" not in available:
        raise UnsupportedError(
            f"DAMON can't monitor processes here, only {', '.join(sorted(available))};"
            " the kernel needs CONFIG_DAMON_VADDR"
        )
    count = int(read_text(path))
    return f"DAMON can be configured through sysfs, which has {count} kdamonds now"


def _operations(roots: Roots) -> set[str]:
    """Return what DAMON can monitor, as any context that somebody has made tells; nothing where there is none."""
    found: set[str] = set()
    kdamonds = damon_sysfs.admin_directory(roots)
    for kdamond in list_names(kdamonds):
        if kdamond.isdecimal():  # a kdamond has one context at most
            found.update((read_optional(f"{kdamonds}/{kdamond}/contexts/0/avail_operations") or "").split())
    return found


def debugfs_works(roots: Roots) -> str:
    """Return what works; raises UnsupportedError with what is missing."""
    damon_debugfs.DamonDebugfs(roots).kdamonds()
    return "DAMON can be configured through debugfs"


def tracefs_works(roots: Roots) -> str:
    """Return what works; raises UnsupportedError or KernelError with what is missing."""
    tracefs.damon_event(roots)
    instances = f"{tracefs.tracing_directory(roots)}/instances"
    if not os.access(instances, os.W_OK):
        raise UnsupportedError(f"no trace instance can be made in {instances}; run as root")
    return "DAMON's reports can be read in a trace instance"


def leftover_threads(roots: Roots) -> frozenset[int]:
    """Return the threads of kdamonds that a memtierd which was killed left running: they are stopped at the start.

    Whoever may not read its notes sees none.
    """
    try:
        markers = read_all(roots)
    except KernelError:
        return frozenset()
    return frozenset(
        claim.thread.pid
        for marker in markers
        if not is_alive(marker.owner, roots)
        for claim in marker.claims
        if claim.thread is not None and is_alive(claim.thread, roots)
    )
