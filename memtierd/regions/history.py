"""Writing one observation into the table: when regions were last used, how hot they are, where they lie."""

import attrs
import numpy as np

from memtierd.model import F32, U8, U32, Bool, ProcessScan
from memtierd.regions.columns import JUDGED, MOST, NEVER_MS
from memtierd.regions.huge_share import with_huge_share
from memtierd.regions.table import RegionTable


@attrs.frozen
class HeatDecay:
    """How heat grows and fades; see next_heat."""

    maximum: float
    retention: float
    """Portion left after one second."""


def record(
    table: RegionTable, rows: slice, scan: ProcessScan, seen_ms: int, heat: HeatDecay | None, gap_ms: int
) -> None:
    """Write a scan of one process into its rows.

    The scan's regions must be the table's (geometry.follow comes first).  `seen_ms` is the start of the
    scan, `gap_ms` the time since the scan before.  Counts of regions that are not primed mean nothing
    and are left out: the gap proves neither use nor idleness and ages nothing, until a scan covers it, too.
    Where the pages lie is always taken.
    """
    primed = scan.primed
    if not primed.all():
        _skip(table, rows, ~primed, seen_ms, gap_ms)
    gap_s: float | F32 = gap_ms / 1000
    if scan.covered_ms is not None:
        _take_back(table, rows, primed, np.maximum(scan.covered_ms, np.uint32(gap_ms)) - np.uint32(gap_ms))
        gap_s = scan.covered_ms.astype(np.float32) / np.float32(1000)
    used = primed & (scan.accessed_pages > 0)
    since = table.active_since_ms[rows]
    started = np.where(since == NEVER_MS, np.uint32(seen_ms), since)
    table.active_since_ms[rows] = np.where(primed, np.where(used, started, np.uint32(NEVER_MS)), since)
    table.last_access_ms[rows] = np.where(used, np.uint32(seen_ms), table.last_access_ms[rows])
    _add(table.accesses[rows], scan.accessed_pages, primed)
    _add(table.writes[rows], scan.written_pages, primed)
    if heat is not None:
        hotter = next_heat(table.heat[rows], scan.accessed_pages, scan.pages, gap_s, heat)
        np.copyto(table.heat[rows], hotter, where=primed)
    table.swapped_pages[rows] = scan.swapped_pages
    table.node_pages[:, rows] = scan.node_pages
    judged = table.flags[rows] | np.where(primed, np.uint8(JUDGED), np.uint8(0))
    table.flags[rows] = with_huge_share(judged, scan.huge_pages, scan.pages)


def _skip(table: RegionTable, rows: slice, unprimed: Bool, seen_ms: int, gap_ms: int) -> None:
    """Take the time since the scan before out of the times of regions that this scan can't judge."""
    last, since = table.last_access_ms[rows], table.active_since_ms[rows]
    shift = np.minimum(np.uint32(gap_ms), np.maximum(last, np.uint32(seen_ms)) - last)
    np.add(since, shift, out=since, where=unprimed & (since != NEVER_MS))
    np.add(last, shift, out=last, where=unprimed)


def _take_back(table: RegionTable, rows: slice, primed: Bool, more_ms: U32) -> None:
    """Put the time that scans before could not judge, and this one can, into the times of its regions again."""
    last, since = table.last_access_ms[rows], table.active_since_ms[rows]
    np.subtract(since, np.minimum(since, more_ms), out=since, where=primed & (since != NEVER_MS))
    np.subtract(last, np.minimum(last, more_ms), out=last, where=primed)


def _add(counts: U32, more: U32, primed: Bool) -> None:
    """Add to the counts in place; what doesn't fit in 32 bits stays at the most they hold."""
    np.add(counts, np.minimum(more, np.uint32(MOST) - counts), out=counts, where=primed)


def next_heat(heat: F32, accessed_pages: U32, pages: U32, gap_s: float | F32, decay: HeatDecay) -> F32:
    """Return the heat after a scan: accesses a page, plus what is left of the old heat, at most the maximum."""
    left = heat * np.float32(decay.retention**gap_s)
    hotter: F32 = accessed_pages / pages.astype(np.float32) + left
    return np.minimum(hotter, np.float32(decay.maximum)).astype(np.float32)


def idle_ms(last_access_ms: U32, observed_ms: U32) -> U32:
    """Return for how long each region is proven idle: from its last access to its process's last scan.

    Time that no scan has looked at yet proves nothing, so `now` does not enter.
    """
    return np.maximum(observed_ms, last_access_ms) - last_access_ms


def active_ms(last_access_ms: U32, active_since_ms: U32) -> U32:
    """Return for how long each region was seen used in every scan; 0 when the last scan did not see it used."""
    unbroken = active_since_ms != NEVER_MS
    span: U32 = np.where(unbroken, last_access_ms - np.where(unbroken, active_since_ms, 0), 0).astype(np.uint32)
    return span


def is_judged(flags: U8) -> Bool:
    """Return which regions were covered by at least one scan that could tell use from non-use."""
    judged: Bool = (flags & np.uint8(JUDGED)) != 0
    return judged
