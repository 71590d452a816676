"""The pidlist watcher: a fixed list of processes."""

import attrs

from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import See, look_up, refusals, see_nothing
from memtierd.watchers.params import PidlistParams


@attrs.define(eq=False)
class PidlistWatcher:
    """Holds on to the process that each pid named when it was first seen.

    When that process ends and its pid comes to name another one, nobody asked to manage the new one.
    """

    params: PidlistParams
    roots: Roots
    own_pid: int
    _first_seen: dict[int, ProcessKey] = attrs.field(factory=dict, init=False)
    _conditions: tuple[str, ...] = attrs.field(default=(), init=False)

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""
        return self.params.interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return those listed processes that run now."""
        found = look_up(self.params.pids, self.roots, self.own_pid, typed=True)
        for key in found.keys:
            self._first_seen.setdefault(key.pid, key)
        keys = found.keys & frozenset(self._first_seen.values())
        why = dict(found.left_out)
        why.update((key.pid, "ended, and another process has its number now") for key in found.keys - keys)
        self._conditions = (
            *(f"pid {pid} {reason}" for pid, reason in sorted(why.items())),
            *refusals("processes", found.refused),
        )
        return keys

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete."""
        return self._conditions
