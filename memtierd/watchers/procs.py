"""The proc watcher: all processes of the machine."""

import attrs

from memtierd.linux import proc
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import See, look_up, refusals, see_nothing
from memtierd.watchers.params import ProcParams


@attrs.define(eq=False)
class ProcWatcher:
    """Lists /proc at every poll."""

    params: ProcParams
    roots: Roots
    own_pid: int
    _conditions: tuple[str, ...] = attrs.field(default=(), init=False)

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""
        return self.params.interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return all processes that have user memory, except memtierd itself.  Raises KernelError without /proc."""
        found = look_up(proc.pids(self.roots), self.roots, self.own_pid)
        self._conditions = refusals("processes", found.refused)
        return found.keys

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete."""
        return self._conditions
