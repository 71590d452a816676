"""The stub watcher: no processes."""

import attrs

from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import See, see_nothing
from memtierd.watchers.params import StubWatcherParams


@attrs.define(eq=False)
class StubWatcher:
    """Finds nothing, for configurations that need a watcher and nobody to watch."""

    params: StubWatcherParams
    roots: Roots
    own_pid: int

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""
        return self.params.interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return no processes."""
        return frozenset()

    def conditions(self) -> tuple[str, ...]:
        """Return nothing: it is always complete."""
        return ()
