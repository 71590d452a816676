"""What came back soon after it was demoted: remembered beside the region table, so that it waits longer each time."""

import numpy as np
import numpy.typing as npt

from memtierd.model import I64, U32, U64, Bool
from memtierd.policies.common import MaxRefaultParams
from memtierd.regions.table import RegionTable, region_key

MAX_REMEMBERED = 1 << 18
"""Demotions that are remembered; the oldest are forgotten first."""
_MOST_TIMES = 40
"""Waits are doubled no more often; by then they are the longest that a parameter can allow."""

_ENTRY = np.dtype(
    [
        ("key", np.uint64),  # region_key of the region's start
        ("process", np.uint16),
        ("to_swap", np.bool_),
        ("times", np.uint8),  # quick returns in a row
        ("swapped_pages", np.uint32),  # that were in swap before
        ("moved_pages", np.uint32),  # that were demoted
        ("back_pages", np.uint32),  # of those, that came back, or are wanted back, within the window
        ("at_ms", np.int64),  # of the demotion
        ("until_ms", np.int64),  # not to be demoted again before
    ]
)

_BEGUN = np.dtype(
    [
        ("key", np.uint64),
        ("process", np.uint16),
        ("to_swap", np.bool_),
        ("swapped_pages", np.uint32),
        ("moved_pages", np.uint32),
        ("at_ms", np.int64),  # of the mover's report
        ("is_open", np.bool_),  # the mover has not reported yet
    ]
)


class Damping:
    """Demotions of late and what became of them, sorted by process row and address.

    Times are the region table's.  A region is known by its start: when regions are cut anew, what holds that
    address inherits.  What the mover was given changes nothing before it reports: a dry run decides alike.
    """

    def __init__(self) -> None:
        self._entries: npt.NDArray[np.void] = np.zeros(0, _ENTRY)
        self._begun: npt.NDArray[np.void] = np.zeros(0, _BEGUN)
        """What the mover was given since the last look at what it has done, sorted by key."""
        self._has_ended = False
        self._returns = 0

    def __len__(self) -> int:
        self._settle()
        return len(self._entries)

    @property
    def returns(self) -> int:
        """Return how often a region came back soon."""
        return self._returns

    def begin(self, table: RegionTable, rows: I64, to_swap: Bool) -> None:
        """Note that these table rows are about to be demoted."""
        self._settle()
        order = np.argsort(rows)
        rows, to_swap = rows[order], to_swap[order]
        fresh = np.zeros(len(rows), _BEGUN)
        fresh["key"], fresh["process"] = region_key(table.process[rows], table.start[rows]), table.process[rows]
        fresh["to_swap"], fresh["swapped_pages"] = to_swap, table.swapped_pages[rows]
        fresh["is_open"] = True
        others = self._begun[~np.isin(self._begun["key"], fresh["key"], assume_unique=True)]
        self._begun = np.sort(np.concatenate([others, fresh]), order="key")

    def end(self, process: int, start: U64, moved_pages: U64, now_ms: int) -> None:
        """Note how many pages of regions were moved; regions that were not begun were not demoted."""
        position, found = _positions(self._begun, region_key(process, start))
        self._begun["moved_pages"][position] = np.minimum(moved_pages[found], np.iinfo(np.uint32).max)
        self._begun["at_ms"][position] = now_ms
        self._begun["is_open"][position] = False
        self._has_ended |= len(position) > 0

    def _settle(self) -> None:
        """Take in, all at once, what the mover has reported; what it could not demote stays as it was known."""
        if not self._has_ended:
            return
        self._has_ended = False
        ended = self._begun[~self._begun["is_open"] & (self._begun["moved_pages"] > 0)]
        self._begun = self._begun[self._begun["is_open"]]
        fresh = np.zeros(len(ended), _ENTRY)
        for name in ("key", "process", "to_swap", "swapped_pages", "moved_pages", "at_ms"):
            fresh[name] = ended[name]
        position, found = _positions(self._entries, fresh["key"])
        fresh["times"][found], fresh["until_ms"][found] = (
            self._entries["times"][position],
            self._entries["until_ms"][position],
        )
        others = self._entries[~np.isin(self._entries["key"], fresh["key"], assume_unique=True)]
        self._keep(np.concatenate([others, fresh]))

    def learn(self, table: RegionTable, wanted_back: Bool, seen: Bool, params: MaxRefaultParams, now_ms: int) -> None:
        """Find out what has come back, and forget what has stayed.

        Args:
            table: all regions.
            wanted_back: regions that shall go, or would go, to faster memory; one entry a row.
            seen: regions of which it is known where they lie now; one entry a row.
            params: what is soon, and how long to wait.
            now_ms: time of the decision.

        """
        self._settle()
        self._note_returns(table, wanted_back, seen, params, now_ms)
        self._entries = self._entries[~self._is_over(params, now_ms)]

    def _note_returns(
        self, table: RegionTable, wanted_back: Bool, seen: Bool, params: MaxRefaultParams, now_ms: int
    ) -> None:
        entries = self._entries
        recent = np.flatnonzero(now_ms <= entries["at_ms"] + params.window_ms)
        row, held = _rows_holding(table, entries["key"][recent])
        recent, row = recent[held], row[held]
        back = np.where(
            entries["to_swap"][recent],
            _back_from_swap(entries[recent], table, row) * seen[row],
            entries["moved_pages"][recent] * wanted_back[row],
        )
        is_first = (back > 0) & (entries["back_pages"][recent] == 0)
        entries["back_pages"][recent] = np.maximum(entries["back_pages"][recent], back)
        first = recent[is_first]
        entries["times"][first] = np.minimum(entries["times"][first], _MOST_TIMES - 1) + 1
        entries["until_ms"][first] = now_ms + _wait_ms(entries["times"][first], params)
        self._returns += len(first)

    def _is_over(self, params: MaxRefaultParams, now_ms: int) -> Bool:
        """Return what needs to be remembered no longer.

        A region that stayed for the whole window, or was not demoted for as long as it waited, begins anew.
        """
        entries = self._entries
        stayed = entries["back_pages"] == 0
        forgiven = now_ms > entries["until_ms"] + _wait_ms(entries["times"], params)
        over: Bool = (now_ms > entries["at_ms"] + params.window_ms) & (stayed | forgiven)
        return over

    def percent(self, params: MaxRefaultParams, now_ms: int) -> float:
        """Return how much of what was demoted within the window came back within it; 0 when nothing was demoted."""
        self._settle()
        recent = self._entries[now_ms <= self._entries["at_ms"] + params.window_ms]
        moved_pages = int(recent["moved_pages"].sum(dtype=np.int64))
        return 100 * int(recent["back_pages"].sum(dtype=np.int64)) / moved_pages if moved_pages else 0.0

    def damped(self, table: RegionTable, now_ms: int) -> I64:
        """Return the table rows that are not to be demoted yet, each once."""
        self._settle()
        waiting = self._entries["key"][self._entries["until_ms"] > now_ms]
        row, held = _rows_holding(table, waiting)
        return np.unique(row[held])

    def forget(self, processes: "list[int]") -> None:
        """Drop what is known of the processes in these rows."""
        self._entries = self._entries[~np.isin(self._entries["process"], processes)]
        self._begun = self._begun[~np.isin(self._begun["process"], processes)]

    def clear(self) -> None:
        """Drop everything but the count of returns."""
        self._entries, self._begun, self._has_ended = self._entries[:0], self._begun[:0], False

    def shift_times(self, ms: int) -> None:
        """Move the epoch of all times forward by `ms`."""
        self._entries["at_ms"] -= ms
        self._entries["until_ms"] -= ms
        self._begun["at_ms"] -= ms

    def _keep(self, entries: npt.NDArray[np.void]) -> None:
        if len(entries) > MAX_REMEMBERED:
            latest = np.argpartition(entries["at_ms"], len(entries) - MAX_REMEMBERED)
            entries = entries[latest[len(entries) - MAX_REMEMBERED :]]
        self._entries = entries[np.argsort(entries["key"])]


def _positions(entries: npt.NDArray[np.void], keys: U64) -> tuple[I64, Bool]:
    """Return the positions of the entries, which are sorted, with these keys, and which of the keys have one."""
    position = np.searchsorted(entries["key"], keys)
    found = position < len(entries)
    found[found] = entries["key"][position[found]] == keys[found]
    return position[found], found


def _back_from_swap(entries: npt.NDArray[np.void], table: RegionTable, row: I64) -> U32:
    """Return how many of the pages that were swapped out are in swap no longer, where the region was used since.

    In a region that was not used they were given back by the process.
    """
    out = entries["swapped_pages"].astype(np.int64) + entries["moved_pages"]
    back = np.clip(out - table.swapped_pages[row], 0, entries["moved_pages"])
    was_used = table.last_access_ms[row] > entries["at_ms"]
    pages: U32 = (back * was_used).astype(np.uint32)
    return pages


def _rows_holding(table: RegionTable, keys: U64) -> tuple[I64, Bool]:
    """Return for each key the table row that holds its address, and whether there is one (else the row is any)."""
    if not len(keys) or not len(table):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
    starts = region_key(table.process, table.start)
    row = np.searchsorted(starts, keys, side="right") - 1
    held = row >= 0
    row = np.maximum(row, 0)
    held &= keys < starts[row] + table.pages[row]
    return row.astype(np.int64), held


def _wait_ms(times: npt.NDArray[np.uint8], params: MaxRefaultParams) -> I64:
    """Return how long regions wait after so many quick returns."""
    doubled = np.maximum(times.astype(np.int64), 1) - 1
    # Doubled as a float: it can't overflow before the limit is applied.
    waits: I64 = np.minimum(params.damp_ms * np.exp2(doubled), params.damp_max_ms).astype(np.int64)
    return waits
