"""What was learned of one process, free of the table and its clock: taken out of a table, and put into another."""

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.model import F32, U32, U64, Bool, ProcessFacts, ProcessScan
from memtierd.regions.columns import JUDGED, MOST, NEVER_MS
from memtierd.regions.history import HeatDecay, active_ms, idle_ms, is_judged
from memtierd.regions.table import RegionTable, concatenate
from memtierd.units import PAGE_BYTES


@attrs.frozen(eq=False)
class Learned:
    """The history of the regions of one process; columns ascending by start, not overlapping.

    Times are spans before the last scan, so they mean the same whatever the clock and however long nobody looked.
    """

    start: U64
    pages: U32
    accesses: U32
    writes: U32
    idle_ms: U32
    """For how long the region was proven idle when it was scanned last."""
    active_ms: U32
    """For how long it had been seen used in every scan then; NEVER_MS when the last scan did not see it used."""
    heat: F32
    judged: Bool
    keeps_heat: bool
    """Whether a policy kept the heat; else it says nothing."""

    def __len__(self) -> int:
        return len(self.start)


class Recollection(Protocol):
    """What was learned of processes before this run."""

    def __bool__(self) -> bool:
        """Return whether anything is left."""

    def recall(self, facts: ProcessFacts) -> Learned | None:
        """Return what holds of a process that is seen for the first time, and forget it; None for nothing."""


def learned(table: RegionTable, process: int, observed_ms: int, *, keeps_heat: bool) -> Learned:
    """Return a copy of what the table knows of a process that was scanned last at `observed_ms`."""
    rows = table.rows_of(process)
    last, since = table.last_access_ms[rows], table.active_since_ms[rows]
    observed = np.full(len(last), observed_ms, np.uint32)
    return Learned(
        start=table.start[rows].copy(),
        pages=table.pages[rows].copy(),
        accesses=table.accesses[rows].copy(),
        writes=table.writes[rows].copy(),
        idle_ms=idle_ms(last, observed),
        active_ms=np.where(since == NEVER_MS, np.uint32(NEVER_MS), active_ms(last, since)),
        heat=table.heat[rows].copy(),
        judged=is_judged(table.flags[rows]),
        keeps_heat=keeps_heat,
    )


def recall(
    table: RegionTable,
    scans: Sequence[tuple[int, ProcessScan]],
    recollection: Recollection | None,
    at_ms: Callable[[int], int],
    heat: HeatDecay | None,
) -> RegionTable:
    """Return the table with what is recalled of the scanned processes, which are given with their rows.

    The regions are as they were then; geometry.follow makes them what the scan says.  When the policy goes by heat,
    what was learned without heat is judged anew.
    """
    if not recollection:
        return table
    found = [table]
    for process, scan in scans:
        before = recollection.recall(scan.facts)
        if before is not None and len(before):
            found.append(_regions(before, table.nodes, process, at_ms(scan.started_ns), needs_heat=heat is not None))
    return table if len(found) == 1 else concatenate(found)


def _regions(before: Learned, nodes: int, process: int, seen_ms: int, *, needs_heat: bool) -> RegionTable:
    """Return the regions as if their last scan had been at `seen_ms`: the time in between proves nothing."""
    table = RegionTable(nodes, len(before))
    table.process[:] = process
    table.start, table.pages = before.start.copy(), before.pages.copy()
    table.accesses, table.writes, table.heat = before.accesses.copy(), before.writes.copy(), before.heat.copy()
    table.last_access_ms = np.uint32(seen_ms) - np.minimum(before.idle_ms, np.uint32(seen_ms))
    streak_ms = np.minimum(before.active_ms, table.last_access_ms)
    unbroken = before.active_ms != NEVER_MS
    table.active_since_ms = np.where(unbroken, table.last_access_ms - streak_ms, np.uint32(NEVER_MS))
    if before.keeps_heat or not needs_heat:
        table.flags[before.judged] |= np.uint8(JUDGED)
    table.index()
    return table


def clipped(before: Learned, start: U64, end: U64) -> Learned:
    """Return what lies in these ranges, which ascend and don't overlap; a region that is cut keeps its share."""
    region_end = before.start + before.pages.astype(np.uint64) * np.uint64(PAGE_BYTES)
    first = np.searchsorted(end, before.start, side="right")
    last = np.searchsorted(start, region_end, side="left")
    counts = np.maximum(last - first, 0)
    row = np.repeat(np.arange(len(before)), counts)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    within = np.repeat(first, counts) + nth
    low, high = np.maximum(before.start[row], start[within]), np.minimum(region_end[row], end[within])
    pages = ((high - low) // np.uint64(PAGE_BYTES)).astype(np.uint32)
    share = pages / before.pages[row]
    return Learned(
        start=low,
        pages=pages,
        accesses=_shared(before.accesses[row], share),
        writes=_shared(before.writes[row], share),
        idle_ms=before.idle_ms[row],
        active_ms=before.active_ms[row],
        heat=before.heat[row],
        judged=before.judged[row],
        keeps_heat=before.keeps_heat,
    )


def _shared(counts: U32, share: npt.NDArray[np.float64]) -> U32:
    shared: U32 = np.minimum(np.rint(counts * share), MOST).astype(np.uint32)
    return shared
