"""Control groups, version 1 and 2: the processes in a directory and in all directories below it."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

import attrs

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.proc_status import status
from memtierd.linux.roots import ROOTS, Roots, read_optional, read_text, translated

# An entry that goes away meanwhile is ENOENT when it is opened and ENODEV when it is read (kernel/cgroup/cgroup.c).
_VANISHED = (errno.ENOENT, errno.ENODEV)


@attrs.frozen
class Listing:
    """What was found in a control group and below it."""

    pids: frozenset[int]
    """Process ids, never thread ids."""
    groups: int
    """Groups that were read; 0 for a directory that exists but is not a control group."""
    missing: bool
    """The directory itself does not exist, which is normal: groups come and go."""
    refused: tuple[KernelError, ...] = ()
    """One error for each file or directory that could not be read; their processes are not in `pids`."""


def pids_below(directory: str, roots: Roots = ROOTS, see: Callable[[str], None] = lambda _group: None) -> Listing:
    """Return the processes in the control group `directory` and in all groups below it.

    `see` is called with each group before it is read, so that whoever watches it from then on misses nothing.
    A group that is removed meanwhile counts as empty, and the others are not lost by it.  Never raises
    for the state of the tree.  Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst.
    """
    pids: set[int] = set()
    refused: list[KernelError] = []
    groups = 0
    threaded = _is_threaded(directory)
    for group in _walk(directory, refused, see):
        try:
            pids.update(_processes_of_threads(group, roots) if threaded else _processes(group, roots))
            groups += 1
        except KernelError as error:
            if error.errno not in _VANISHED:
                refused.append(error)
    return Listing(frozenset(pids), groups, not os.path.isdir(directory), tuple(refused))


def _walk(directory: str, refused: list[KernelError], see: Callable[[str], None]) -> Iterator[str]:
    """Yield the directory and all directories below it; what can't be listed goes to `refused`."""
    waiting = [directory]
    while waiting:
        group = waiting.pop()
        see(group)
        yield group
        try:
            with os.scandir(group) as entries:
                waiting.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            if error.errno not in _VANISHED:
                refused.append(translated(f"list {group}", error))


def _is_threaded(directory: str) -> bool:
    """Return whether `directory` is a threaded group of cgroup v2, whose processes only its threads tell."""
    try:
        return read_optional(f"{directory}/cgroup.type") == "threaded\n"
    except KernelError:
        return False  # then neither can cgroup.procs be read, and that is reported


def _processes(group: str, roots: Roots) -> set[int]:
    try:
        return _ids(read_text(f"{group}/cgroup.procs"))
    except KernelError as error:
        if error.errno == errno.EOPNOTSUPP:
            return set()  # a threaded group: the group above that owns it lists its processes
        if error.errno == errno.ENOENT:
            return _tgids(_ids(read_text(f"{group}/tasks")), roots)
        raise


def _processes_of_threads(group: str, roots: Roots) -> set[int]:
    return _tgids(_ids(read_text(f"{group}/cgroup.threads")), roots)


def _ids(text: str) -> set[int]:
    # 0 stands for a process outside of our pid namespace.
    return {int(line) for line in text.split()} - {0}


def _tgids(threads: set[int], roots: Roots) -> set[int]:
    """Return the processes that these threads belong to, without those that have ended."""
    processes = set()
    for thread in threads:
        with contextlib.suppress(ProcessGoneError):
            processes.add(status(thread, roots).tgid)
    return processes
