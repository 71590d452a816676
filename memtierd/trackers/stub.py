"""The tracker that tracks nothing."""

from collections.abc import Sequence

from memtierd.model import ProcessKey, Scan
from memtierd.trackers.kernel import TrackerKernel
from memtierd.trackers.params import StubParams
from memtierd.trackers.tracker import StopFlag

_INTERVAL_MS = 5000


class StubTracker:
    """Finishes its rounds with no process in them."""

    name = "stub"
    why = ""
    interval_ms = _INTERVAL_MS

    def __init__(self, params: StubParams, kernel: TrackerKernel) -> None:
        self.params = params
        self._kernel = kernel

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        """Return an empty round."""
        now_ns = self._kernel.now_ns()
        return Scan(self.name, now_ns, now_ns, processes=())

    def conditions(self) -> tuple[str, ...]:
        """Return no conditions."""
        return ()

    def forget(self, key: ProcessKey) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is open."""
