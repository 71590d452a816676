"""Processes of /proc: which there are, who they are, and what placement needs to know of them."""

import errno
import os
from collections.abc import Mapping as MappingType

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.numa import cpu_to_node
from memtierd.linux.proc_maps import Mapping, maps, parse_maps
from memtierd.linux.proc_smaps import (
    CLEAR_REFERENCED,
    CLEAR_SOFT_DIRTY,
    MappingUse,
    clear_refs,
    parse_smaps,
    private_dirty_kb,
    smaps,
)
from memtierd.linux.proc_status import ProcessStat, ProcessStatus, parse_stat, parse_status, stat, status
from memtierd.linux.roots import ROOTS, Roots, pid_error, read_optional, read_text, translated
from memtierd.model import ProcessFacts, ProcessKey

__all__ = [
    "CLEAR_REFERENCED",
    "CLEAR_SOFT_DIRTY",
    "Mapping",
    "MappingUse",
    "ProcessStat",
    "ProcessStatus",
    "boot_time_s",
    "check_identity",
    "clear_refs",
    "exe",
    "maps",
    "parse_maps",
    "parse_smaps",
    "parse_stat",
    "parse_status",
    "pids",
    "private_dirty_kb",
    "process_facts",
    "process_key",
    "smaps",
    "stat",
    "status",
]


def pids(roots: Roots = ROOTS) -> list[int]:
    """Return the pids of all processes that /proc shows, kernel threads included, ascending."""
    try:
        names = os.listdir(roots.proc)
    except OSError as error:
        raise translated(f"list {roots.proc}", error) from error
    return sorted(int(name) for name in names if name.isdecimal())


def process_key(pid: int, roots: Roots = ROOTS) -> ProcessKey:
    """Return the identity of the process that has this pid now.  Raises ProcessGoneError when there is none."""
    return ProcessKey(pid, stat(pid, roots).start_ticks)


def check_identity(key: ProcessKey, roots: Roots = ROOTS) -> ProcessStat:
    """Return what /proc/PID/stat says of exactly this process.

    Raises ProcessGoneError when the process has ended, also when its pid names another process now.
    """
    now = stat(key.pid, roots)
    if now.start_ticks != key.start_ticks:
        raise ProcessGoneError(f"read {roots.proc}/{key.pid}/stat of the process started at tick {key.start_ticks}")
    return now


def boot_time_s(roots: Roots = ROOTS) -> int:
    """Return when the machine was started, in seconds of the wall clock as it is set now (btime of /proc/stat).

    Raises KernelError.
    """
    path = f"{roots.proc}/stat"
    for line in read_text(path).split("\n"):
        if line.startswith("btime "):
            return int(line.split()[1])
    raise KernelError(f"find btime in {path}", errno.ENODATA)


def process_facts(
    key: ProcessKey, roots: Roots = ROOTS, cpu_nodes: MappingType[int, int] | None = None
) -> ProcessFacts:
    """Return what placement needs to know of a process now.

    `cpu_nodes` is the result of numa.cpu_to_node, for callers that ask for many processes; it is read here without.
    Raises ProcessGoneError when the process has ended, also when its pid names another process now.
    """
    allowed = status(key.pid, roots)
    # After status: if the pid changed hands before or while it was read, this says so.
    now = check_identity(key, roots)
    if cpu_nodes is None:
        cpu_nodes = cpu_to_node(roots)
    return ProcessFacts(
        key,
        now.name,
        allowed.allowed_nodes,
        running_node=_running_node(allowed.allowed_cpus, now.processor, cpu_nodes),
        oom_score=_oom_score(key.pid, roots),
        image=now.image,
    )


def exe(pid: int, roots: Roots = ROOTS) -> str | None:
    """Return the path of the program that a process runs; None for a kernel thread or a zombie.

    A program file that was removed or replaced has " (deleted)" behind its path.
    Raises ProcessGoneError when the process has ended, KernelError without permission.
    """
    path = f"{roots.proc}/{pid}/exe"
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.ENOENT and os.path.exists(f"{roots.proc}/{pid}"):
            return None
        raise pid_error(f"read link {path}", error, pid, roots) from error


def _running_node(allowed_cpus: frozenset[int], processor: int, cpu_nodes: MappingType[int, int]) -> int:
    """Return the node where a process runs: the only one where it may, or that of the CPU it last ran on; else -1.

    A main thread that sleeps was last seen on a CPU that it, and its other threads, may have left for good.
    """
    nodes = {node for cpu, node in cpu_nodes.items() if cpu in allowed_cpus}
    return nodes.pop() if len(nodes) == 1 else cpu_nodes.get(processor, -1)


def _oom_score(pid: int, roots: Roots) -> int:
    """Return /proc/PID/oom_score (Documentation/filesystems/proc.rst); 0 when the process has just ended."""
    try:
        return int(read_optional(f"{roots.proc}/{pid}/oom_score") or 0)
    except KernelError:
        return 0
