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
        ("moved_pages", np.uint32),  # that were demoted; 0: the mover has not reported yet, or could not
        ("back_pages", np.uint32),  # of those, that came back, or are wanted back, within the window
        ("at_ms", np.int64),  # of the demotion
        ("until_ms", np.int64),  # not to be demoted again before
    ]
)


class Damping:
    """Demotions of late and what became of them, sorted by process row and address.

    Times are the region table's.  A region is known by its start: when regions are cut anew, what holds that
    address inherits.
    """

    def __init__(self) -> None:
        self._entries: npt.NDArray[np.void] = np.zeros(0, _ENTRY)
        self.returns = 0
        """How often a region came back soon."""

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, table: RegionTable, rows: I64, to_swap: Bool, now_ms: int) -> None:
        """Note that these table rows are about to be demoted; what is known of them from before is kept."""
        order = np.argsort(rows)
        rows, to_swap = rows[order], to_swap[order]
        fresh = np.zeros(len(rows), _ENTRY)
        fresh["key"], fresh["process"] = region_key(table.process[rows], table.start[rows]), table.process[rows]
        fresh["to_swap"], fresh["swapped_pages"] = to_swap, table.swapped_pages[rows]
        fresh["at_ms"] = now_ms
        entries, found = self._find(fresh["key"])
        fresh["times"][found], fresh["until_ms"][found] = entries["times"], entries["until_ms"]
        others = self._entries[~np.isin(self._entries["key"], fresh["key"], assume_unique=True)]
        self._keep(np.concatenate([others, fresh]))

    def end(self, process: int, start: U64, moved_pages: U64, now_ms: int) -> None:
        """Note how many pages of regions were moved; regions of which nothing is known were not demoted."""
        position, found = self._positions(region_key(process, start))
        self._entries["moved_pages"][position] = np.minimum(moved_pages[found], np.iinfo(np.uint32).max)
        self._entries["at_ms"][position] = now_ms

    def learn(self, table: RegionTable, wanted_back: Bool, seen: Bool, params: MaxRefaultParams, now_ms: int) -> None:
        """Find out what has come back, and forget what has stayed.

        Args:
            table: all regions.
            wanted_back: regions that shall go, or would go, to faster memory; one entry a row.
            seen: regions of which it is known where they lie now; one entry a row.
            params: what is soon, and how long to wait.
            now_ms: time of the decision.

        """
        self._note_returns(table, wanted_back, seen, params, now_ms)
        self._entries = self._entries[~self._is_over(params, now_ms)]

    def _note_returns(
        self, table: RegionTable, wanted_back: Bool, seen: Bool, params: MaxRefaultParams, now_ms: int
    ) -> None:
        entries = self._entries
        recent = np.flatnonzero((entries["moved_pages"] > 0) & (now_ms <= entries["at_ms"] + params.window_ms))
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
        self.returns += len(first)

    def _is_over(self, params: MaxRefaultParams, now_ms: int) -> Bool:
        """Return what needs to be remembered no longer.

        A region that stayed for the whole window, or was not demoted for as long as it waited, begins anew.
        """
        entries = self._entries
        stayed = (entries["times"] == 0) | ((entries["moved_pages"] > 0) & (entries["back_pages"] == 0))
        forgiven = now_ms > entries["until_ms"] + _wait_ms(entries["times"], params)
        over: Bool = (now_ms > entries["at_ms"] + params.window_ms) & (stayed | forgiven)
        return over

    def percent(self, params: MaxRefaultParams, now_ms: int) -> float:
        """Return how much of what was demoted within the window came back within it; 0 when nothing was demoted."""
        recent = self._entries[now_ms <= self._entries["at_ms"] + params.window_ms]
        moved_pages = int(recent["moved_pages"].sum(dtype=np.int64))
        return 100 * int(recent["back_pages"].sum(dtype=np.int64)) / moved_pages if moved_pages else 0.0

    def damped(self, table: RegionTable, now_ms: int) -> I64:
        """Return the table rows that are not to be demoted yet, each once."""
        waiting = self._entries["key"][self._entries["until_ms"] > now_ms]
        row, held = _rows_holding(table, waiting)
        return np.unique(row[held])

    def forget(self, processes: "list[int]") -> None:
        """Drop what is known of the processes in these rows."""
        self._entries = self._entries[~np.isin(self._entries["process"], processes)]

    def clear(self) -> None:
        """Drop everything but the count of returns."""
        self._entries = self._entries[:0]

    def shift_times(self, ms: int) -> None:
        """Move the epoch of all times forward by `ms`."""
        self._entries["at_ms"] -= ms
        self._entries["until_ms"] -= ms

    def _positions(self, keys: U64) -> tuple[I64, Bool]:
        """Return the positions of the entries with these keys, and which of the keys have one."""
        position = np.searchsorted(self._entries["key"], keys)
        found = position < len(self._entries)
        found[found] = self._entries["key"][position[found]] == keys[found]
        return position[found], found

    def _find(self, keys: U64) -> tuple[npt.NDArray[np.void], Bool]:
        position, found = self._positions(keys)
        return self._entries[position], found

    def _keep(self, entries: npt.NDArray[np.void]) -> None:
        if len(entries) > MAX_REMEMBERED:
            latest = np.argpartition(entries["at_ms"], len(entries) - MAX_REMEMBERED)
            entries = entries[latest[len(entries) - MAX_REMEMBERED :]]
        self._entries = entries[np.argsort(entries["key"])]


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
