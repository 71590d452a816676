"""The latest state changes of regions in a bounded ring, so that `regions -why` can tell how one came here."""

import attrs
import numpy as np

from memtierd.model import I64, U8, U64

_RECORD = np.dtype(
    [
        ("at_ms", np.uint32),
        ("pid", np.uint32),
        ("start", np.uint64),
        ("machine", np.uint8),
        ("before", np.uint8),
        ("after", np.uint8),
        ("event", np.uint8),
    ]
)

ACTIVITY = 0
PLACEMENT = 1
_DROPPED = 255


@attrs.frozen
class Change:
    """One transition of one region."""

    at_ms: int
    machine: int
    """ACTIVITY or PLACEMENT."""
    before: int
    after: int
    event: int


class Journal:
    """A ring of the last `capacity` transitions; `forgotten` counts those that fell out."""

    def __init__(self, capacity: int = 65536) -> None:
        self._ring = np.zeros(capacity, dtype=_RECORD)
        self._written = 0

    @property
    def forgotten(self) -> int:
        """Return how many transitions are no longer kept."""
        return max(0, self._written - len(self._ring))

    def record(self, at_ms: int, machine: int, pid: "U64 | int", start: U64, before: U8, after: U8, event: U8) -> None:
        """Append the transitions of one step; the columns have one entry a changed region."""
        keep = slice(max(0, len(start) - len(self._ring)), None)
        entries = np.empty(len(start[keep]), dtype=_RECORD)
        entries["at_ms"], entries["machine"] = at_ms, machine
        entries["pid"] = pid if isinstance(pid, int) else pid[keep]
        entries["start"], entries["before"] = start[keep], before[keep]
        entries["after"], entries["event"] = after[keep], event[keep]
        skipped = len(start) - len(entries)
        slots = (self._written + skipped + np.arange(len(entries))) % len(self._ring)
        self._ring[slots] = entries
        self._written += len(start)

    def drop(self, machine: int) -> None:
        """Forget the transitions of one machine: their codes mean nothing any more."""
        self._ring["machine"][self._ring["machine"] == machine] = _DROPPED

    def shift_times(self, ms: int) -> None:
        """Move the epoch of all times forward by `ms`; what lies before the new epoch counts as at it."""
        self._ring["at_ms"] -= np.minimum(self._ring["at_ms"], np.uint32(ms))

    def of_region(self, pid: int, start: int) -> tuple[Change, ...]:
        """Return the kept transitions of one region, oldest first."""
        oldest = self._written % len(self._ring) if self._written > len(self._ring) else 0
        order: I64 = (oldest + np.arange(min(self._written, len(self._ring)))) % len(self._ring)
        entries = self._ring[order]
        mine = entries[(entries["pid"] == pid) & (entries["start"] == start) & (entries["machine"] != _DROPPED)]
        return tuple(
            Change(int(e["at_ms"]), int(e["machine"]), int(e["before"]), int(e["after"]), int(e["event"])) for e in mine
        )
