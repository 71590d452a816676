"""The trackers of a multi tracker: what each can see, when it is due, and what it saw last."""

import enum
from collections.abc import Iterator, Sequence

import attrs

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey, ProcessScan, Scan
from memtierd.regions.carving import Geometry
from memtierd.trackers.combine import Look
from memtierd.trackers.params import uses_accessed_bits
from memtierd.trackers.tracker import ScanStoppedError, StopFlag, Tracker

_NS_PER_MS = 1_000_000
_EARLY = 10
"""A member takes part in a round up to a tenth of its interval before it is due, so that rounds fall together."""


@attrs.frozen(eq=False)
class Last:
    """What a member saw last of a process."""

    cut: Geometry
    started_ns: int


@attrs.define(eq=False)
class Member:
    """One of the trackers, and what is remembered of its rounds."""

    tracker: Tracker
    proves_idleness: bool
    """Whether a region of which it saw no use was not used."""
    due_ns: int = 0
    error: str = ""
    """Why its last round failed as a whole."""
    failed: dict[ProcessKey, str] = attrs.field(factory=dict)
    """Processes that it could not scan in its last round, and why."""
    last: dict[ProcessKey, Last] = attrs.field(factory=dict)

    def is_due(self, now_ns: int) -> bool:
        """Tell whether it takes part in a round that starts now."""
        return now_ns >= self.due_ns - self._interval_ns // _EARLY

    def scan(self, targets: Sequence[ProcessKey], now_ns: int, stop: StopFlag) -> Scan | None:
        """Run a round and return it, None when it failed as a whole."""
        try:
            scan = self.tracker.scan(targets, stop)
        except ScanStoppedError:
            raise
        except MemtierdError as error:
            self.error, self.failed = str(error), {}
            return None
        finally:
            self.due_ns = now_ns + self._interval_ns
        self.error, self.failed = "", {failure.key: failure.message for failure in scan.failed}
        for key in self.failed:
            self.last.pop(key, None)
        return scan

    def look(self, scan: ProcessScan) -> Look:
        """Return what a scan of this member says, and remember it as the last one."""
        cut = Geometry(scan.start, scan.pages)
        before = self.last.get(scan.key)
        self.last[scan.key] = Last(cut, scan.started_ns)
        return Look(
            cut=cut,
            accessed_pages=scan.accessed_pages,
            written_pages=scan.written_pages,
            huge_pages=scan.huge_pages,
            primed=scan.primed,
            since_ns=before.started_ns if before else scan.started_ns,
            proves_idleness=self.proves_idleness,
        )

    def forget(self, key: ProcessKey) -> None:
        """Drop what is remembered of a process."""
        self.tracker.forget(key)
        self.last.pop(key, None)
        self.failed.pop(key, None)

    @property
    def _interval_ns(self) -> int:
        return self.tracker.interval_ms * _NS_PER_MS


class Sight(enum.IntEnum):
    """How much of the use of memory a tracker sees."""

    NOTHING = 0
    WRITES = 1
    SAMPLES = 2
    """Of reads and writes."""
    ALL = 3


def members_of(trackers: Sequence[Tracker]) -> list[Member]:
    """Return the members; only those that see the most prove idleness, because the others may have missed a use."""
    sights = [_sight(tracker) for tracker in trackers]
    best = max(sights, default=Sight.NOTHING)
    return [
        Member(tracker, proves_idleness=sight == best != Sight.NOTHING)
        for tracker, sight in zip(trackers, sights, strict=True)
    ]


def disturbances(trackers: Sequence[Tracker]) -> Iterator[str]:
    """Yield a sentence for trackers that take from each other what they need to see."""
    accessed = [tracker.name for tracker in trackers if uses_accessed_bits(tracker.name, tracker.params)]
    if len(accessed) > 1:
        yield (
            f"tracker multi: {' and '.join(accessed)} disturb each other: each clears accessed bits that the others"
            " need, so memory in use may pass for idle; keep one of them"
        )
    if sum(tracker.name == "softdirty" for tracker in trackers) > 1:
        yield (
            "tracker multi: softdirty is there more than once, and each clears soft-dirty bits that the others need,"
            " so written memory may pass for idle; keep one of them"
        )


def _sight(tracker: Tracker) -> Sight:
    match tracker.name:
        case "finder" | "stub":
            return Sight.NOTHING
        case "softdirty":
            return Sight.ALL if uses_accessed_bits(tracker.name, tracker.params) else Sight.WRITES
        case "damon":
            return Sight.SAMPLES
        case _:
            return Sight.ALL
