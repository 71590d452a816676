"""The cgroups watcher: the processes of control groups and of all groups below them."""

import os
import time
from collections.abc import Callable

import attrs

from memtierd.linux import cgroup
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import See, look_up, refusals, see_nothing
from memtierd.watchers.params import CgroupsParams


@attrs.define(eq=False)
class CgroupsWatcher:
    """Lists the groups at every poll: the kernel tells nobody when a process forks into or leaves a group.

    What it does tell, of processes that are moved in and of groups that come and go, it tells who sees the directories.
    So there may be many polls in an interval, and a process that was found in the first of them is not looked up in the
    others.  Should it end in between and its pid come to name another one, the key is still that of the former, which
    nobody can hold any more, and the latter is found in the next interval.
    """

    params: CgroupsParams
    roots: Roots
    own_pid: int
    clock_s: Callable[[], float] = time.monotonic
    _known: dict[int, ProcessKey] = attrs.field(factory=dict, init=False)
    _known_until_s: float = attrs.field(default=0.0, init=False)
    _conditions: tuple[str, ...] = attrs.field(default=(), init=False)

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""
        return self.params.interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return the processes of all the groups now; a group that is missing or vanishes has none."""
        pids: set[int] = set()
        conditions: list[str] = []
        for directory in self.params.cgroups:
            for parent, name in parents(directory):
                see(parent, name)
            listing = cgroup.pids_below(directory, self.roots, lambda group: see(group, None))
            pids |= listing.pids
            conditions.extend(refusals(f"groups of cgroup {directory}", listing.refused))
            if listing.missing:
                conditions.append(f"cgroup {directory} does not exist yet")
            elif not listing.groups and not listing.refused:
                conditions.append(f"{directory} is not a cgroup; name a directory that has a file cgroup.procs")
        known = self._still_known(pids)
        found = look_up(pids - known.keys(), self.roots, self.own_pid)
        self._conditions = (*conditions, *refusals("processes", found.refused))
        self._known = known | {key.pid: key for key in found.keys}
        return frozenset(self._known.values())

    def _still_known(self, pids: set[int]) -> dict[int, ProcessKey]:
        now_s = self.clock_s()
        if now_s >= self._known_until_s:
            self._known_until_s = now_s + self.interval_ms / 1000
            return {}
        return {pid: key for pid, key in self._known.items() if pid in pids}

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete."""
        return self._conditions


def parents(directory: str) -> list[tuple[str, str]]:
    """Return each directory above, from its mount point down, with the entry in it that leads to `directory`.

    A group that is made, or made again, is an event of the one above it, which may itself come and go.
    """
    found: list[tuple[str, str]] = []
    below = os.path.normpath(directory)
    while (above := os.path.dirname(below)) != below:
        found.append((above, os.path.basename(below)))
        if os.path.ismount(above):
            break
        below = above
    return found[::-1]
