"""Groups of processes for metrics: control groups or names of programs, not more than a few, and never pids."""

import os
from collections.abc import Callable, Iterable, Sequence

import attrs

from memtierd.errors import KernelError
from memtierd.linux.roots import Roots, read_pid_text
from memtierd.model import ProcessFacts, ProcessKey
from memtierd.text import printable

MAX_GROUPS = 50
OTHER = "other"
_FRESH_NS = 60_000_000_000
"""How long the group of a process is believed: a process may be moved to another one."""


def group_below(directories: Sequence[str], cgroup_text: str) -> str | None:
    """Return the control group of a process as a directory at or below one of `directories`, None when it is in none.

    `cgroup_text` is /proc/PID/cgroup, lines of NUMBER:CONTROLLERS:PATH (cgroups(7)).  A path begins at the mount of
    its hierarchy: a directory belongs to the hierarchy when it ends with the beginning of the path.
    """
    paths = [line.split(":", 2)[2] for line in cgroup_text.splitlines() if line.count(":") >= 2]
    best: tuple[int, str] = (0, "")
    for directory in map(os.path.normpath, directories):
        for path in paths:
            parts = path.strip("/").split("/")
            for length in range(len(parts), 0, -1):
                if directory.endswith("/" + "/".join(parts[:length])):
                    best = max(best, (length, "/".join([directory, *parts[length:]])))
                    break
    return best[1] or None


@attrs.frozen
class _Known:
    group: str
    name: str
    """The name of the process then: a process that executes another program gets another one."""
    directories: tuple[str, ...]
    at_ns: int


class Groups:
    """Remembers the group of every process; a group keeps its place while it has processes.

    The first MAX_GROUPS groups have a name of their own, the others are OTHER together.
    """

    def __init__(self, roots: Roots, clock_ns: Callable[[], int], most: int = MAX_GROUPS) -> None:
        self._roots = roots
        self._clock_ns = clock_ns
        self._most = most
        self._known: dict[ProcessKey, _Known] = {}
        self._named: dict[str, None] = {}

    def of(self, processes: Iterable[ProcessFacts], directories: Sequence[str]) -> dict[ProcessKey, str]:
        """Return the group of every process: its control group below one of these directories, else its name."""
        now_ns, watched = self._clock_ns(), tuple(directories)
        self._known = {facts.key: self._look(facts, watched, now_ns) for facts in processes}
        present = dict.fromkeys(known.group for known in self._known.values())
        self._named = {group: None for group in self._named if group in present}
        for group in present:
            if len(self._named) < self._most:
                self._named.setdefault(group)
        return {key: known.group if known.group in self._named else OTHER for key, known in self._known.items()}

    def _look(self, facts: ProcessFacts, directories: tuple[str, ...], now_ns: int) -> _Known:
        known = self._known.get(facts.key)
        is_same = known is not None and (known.name, known.directories) == (facts.name, directories)
        if known is not None and is_same and (not directories or now_ns - known.at_ns < _FRESH_NS):
            return known
        group = self._control_group(facts.key.pid, directories) if directories else None
        return _Known(printable(group or facts.name), facts.name, directories, now_ns)

    def _control_group(self, pid: int, directories: tuple[str, ...]) -> str | None:
        try:
            return group_below(directories, read_pid_text(pid, "cgroup", self._roots))
        except KernelError:
            return None  # it has ended, or may not be looked at: its name is left
