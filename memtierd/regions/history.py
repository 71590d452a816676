"""Writing one observation into the table: when regions were last used, how hot they are, where they lie."""

import attrs
import numpy as np

from memtierd.model import F32, U8, U32, ProcessScan
from memtierd.regions.columns import JUDGED, NEVER_MS
from memtierd.regions.table import RegionTable


@attrs.frozen
class HeatDecay:
    """How heat grows and fades; see next_heat."""

    maximum: float
    retention: float
    """Portion left after one second."""


def record(
    table: RegionTable, rows: slice, scan: ProcessScan, seen_ms: int, heat: HeatDecay | None, gap_s: float
) -> None:
    """Write a scan of one process into its rows.

    The scan's regions must be the table's (geometry.follow comes first).  `seen_ms` is the start of the
    scan, `gap_s` the seconds since the scan before.  Counts of regions that are not primed mean nothing
    and are left out; where the pages lie is always taken.
    """
    used = scan.primed & (scan.accessed_pages > 0)
    since = table.active_since_ms[rows]
    started = np.where(since == NEVER_MS, np.uint32(seen_ms), since)
    table.active_since_ms[rows] = np.where(scan.primed, np.where(used, started, np.uint32(NEVER_MS)), since)
    table.last_access_ms[rows] = np.where(used, np.uint32(seen_ms), table.last_access_ms[rows])
    table.accesses[rows] += np.where(scan.primed, scan.accessed_pages, np.uint32(0))
    table.writes[rows] += np.where(scan.primed, scan.written_pages, np.uint32(0))
    if heat is not None:
        counted = np.where(scan.primed, scan.accessed_pages, np.uint32(0))
        table.heat[rows] = next_heat(table.heat[rows], counted, scan.pages, gap_s, heat)
    table.swapped_pages[rows] = scan.swapped_pages
    table.node_pages[:, rows] = scan.node_pages
    table.flags[rows] |= np.where(scan.primed, np.uint8(JUDGED), np.uint8(0))


def next_heat(heat: F32, accessed_pages: U32, pages: U32, gap_s: float, decay: HeatDecay) -> F32:
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


def is_judged(flags: U8) -> "np.typing.NDArray[np.bool_]":
    """Return which regions were covered by at least one scan that could tell use from non-use."""
    judged: np.typing.NDArray[np.bool_] = (flags & np.uint8(JUDGED)) != 0
    return judged
