"""The region table: one NumPy array a column, one row a region, sorted by process row and address."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from memtierd.model import F32, U8, U16, U32, U64
from memtierd.regions.columns import COLUMNS, NEVER_MS
from memtierd.units import PAGE_BYTES

PAGE_BITS = PAGE_BYTES.bit_length() - 1
_KEY_BITS = 45
"""Page numbers of user addresses have at most 56 - 12 bits (five-level page tables); one more for the end."""


def region_key(process: "U16 | int", start: "U64 | int") -> Any:
    """Return a number that sorts regions of all processes by process row, then address."""
    return (np.asarray(process, dtype=np.uint64) << np.uint64(_KEY_BITS)) | (
        np.asarray(start, dtype=np.uint64) >> np.uint64(PAGE_BITS)
    )


class RegionTable:
    """Columns of all regions; see regions/columns.py for what each holds and who writes it."""

    process: U16
    start: U64
    pages: U32
    accesses: U32
    writes: U32
    last_access_ms: U32
    active_since_ms: U32
    heat: F32
    swapped_pages: U32
    activity: U8
    placement: U8
    desired: U8
    not_before_ms: U32
    failures: U8
    outcome: U8
    flags: U8
    node_pages: U32

    def __init__(self, nodes: int, rows: int = 0) -> None:
        """Make `rows` fresh regions on a machine with this many nodes."""
        for column in COLUMNS:
            setattr(self, column.name, np.full(rows, column.fresh, dtype=column.dtype))
        self.node_pages = np.zeros((nodes, rows), dtype=np.uint32)
        self._segments: dict[int, slice] = {}

    def __len__(self) -> int:
        return len(self.start)

    @property
    def nodes(self) -> int:
        """Return the number of nodes that placement is counted on."""
        return len(self.node_pages)

    @property
    def bytes_per_region(self) -> int:
        """Return the memory that one region costs."""
        fixed = sum(np.dtype(column.dtype).itemsize for column in COLUMNS)
        return fixed + self.nodes * self.node_pages.itemsize

    @property
    def end(self) -> U64:
        """Return the address after each region."""
        return self.start + (self.pages.astype(np.uint64) << np.uint64(PAGE_BITS))

    @property
    def present_pages(self) -> U32:
        """Return the pages of each region that are in memory and can be moved, on whatever node."""
        present: U32 = self.node_pages.sum(axis=0, dtype=np.uint32)
        return present

    def columns(self) -> Iterator[tuple[str, Any]]:
        """Yield name and array of each column but node_pages."""
        for column in COLUMNS:
            yield column.name, getattr(self, column.name)

    def take(self, rows: Any) -> "RegionTable":
        """Return a new table of the chosen rows (a mask, positions, or a slice)."""
        chosen = RegionTable(self.nodes)
        for name, values in self.columns():
            setattr(chosen, name, values[rows])
        chosen.node_pages = np.ascontiguousarray(self.node_pages[:, rows])
        chosen.index()
        return chosen

    def shift_times(self, ms: int) -> None:
        """Move the epoch of all times forward by `ms`; what lies before the new epoch counts as at it."""
        for times in (self.last_access_ms, self.not_before_ms):
            np.subtract(times, np.minimum(times, np.uint32(ms)), out=times)
        streaks = self.active_since_ms != NEVER_MS
        self.active_since_ms[streaks] -= np.minimum(self.active_since_ms[streaks], np.uint32(ms))

    def index(self) -> None:
        """Find each process's rows again after the rows changed."""
        if not len(self):
            self._segments = {}
            return
        firsts = np.flatnonzero(np.r_[True, self.process[1:] != self.process[:-1]])
        lasts = np.r_[firsts[1:], len(self)]
        self._segments = {
            int(self.process[first]): slice(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)
        }

    def rows_of(self, process: int) -> slice:
        """Return the rows of a process; an empty slice when it has none."""
        return self._segments.get(process, slice(0, 0))


def concatenate(tables: list[RegionTable]) -> RegionTable:
    """Return the rows of all tables, sorted by process row and, within a process, in the order given."""
    joined = RegionTable(tables[0].nodes)
    for name, _ in tables[0].columns():
        setattr(joined, name, np.concatenate([getattr(table, name) for table in tables]))
    joined.node_pages = np.concatenate([table.node_pages for table in tables], axis=1)
    return joined.take(np.argsort(joined.process, kind="stable"))
