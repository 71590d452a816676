"""The cgroups watcher: the processes of control groups and of all groups below them."""

import attrs

from memtierd.linux import cgroup
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import look_up, refusals
from memtierd.watchers.params import CgroupsParams


@attrs.define(eq=False)
class CgroupsWatcher:
    """Lists the groups at every poll: the kernel tells nobody when a process forks into or leaves a group."""

    params: CgroupsParams
    roots: Roots
    own_pid: int
    _conditions: tuple[str, ...] = attrs.field(default=(), init=False)

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""
        return self.params.interval_ms

    def poll(self) -> frozenset[ProcessKey]:
        """Return the processes of all the groups now; a group that is missing or vanishes has none."""
        pids: set[int] = set()
        conditions: list[str] = []
        for directory in self.params.cgroups:
            listing = cgroup.pids_below(directory, self.roots)
            pids |= listing.pids
            conditions.extend(refusals(f"groups of cgroup {directory}", listing.refused))
            if listing.missing:
                conditions.append(f"cgroup {directory} does not exist yet")
            elif not listing.groups and not listing.refused:
                conditions.append(f"{directory} is not a cgroup; name a directory that has a file cgroup.procs")
        found = look_up(pids, self.roots, self.own_pid)
        self._conditions = (*conditions, *refusals("processes", found.refused))
        return found.keys

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete."""
        return self._conditions
