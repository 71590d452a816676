"""Cutting the table anew when mappings change, with the history carried over to whatever overlaps."""

from collections.abc import Sequence

import attrs
import numpy as np

from memtierd.model import I64, U16, U32, U64, Bool
from memtierd.regions.columns import MOST, SHOWN
from memtierd.regions.lifecycle import UNSEEN
from memtierd.regions.table import PAGE_BITS, RegionTable, concatenate, region_key


@attrs.frozen(eq=False)
class Cut:
    """The regions of one process as they are now; columns ascending by start, not overlapping."""

    process: int
    start: U64
    pages: U32
    seen_ms: int
    """Start of the scan that brought the cut: what was never seen before is idle since then at the earliest."""


def is_same(table: RegionTable, cut: Cut) -> bool:
    """Return whether the table already has exactly these regions for the process."""
    rows = table.rows_of(cut.process)
    return np.array_equal(table.start[rows], cut.start) and np.array_equal(table.pages[rows], cut.pages)


def follow(table: RegionTable, cuts: Sequence[Cut]) -> tuple[RegionTable, RegionTable]:
    """Return the table with the processes of `cuts` cut anew, and the regions that ended.

    A region inherits from the old regions that it overlaps: activity, streak and failures from the one
    with the largest overlap (of equal ones the first), the latest access of all, heat as the mean weighted
    by overlap, and counts in proportion.  A region that overlaps nothing is fresh.  A region whose bounds
    changed is `unseen`: a move that was planned for its old bounds is none for the new ones.
    """
    if not cuts:
        return table, table.take(slice(0, 0))
    changed = np.isin(table.process, [cut.process for cut in cuts])
    old = table.take(changed)
    fresh = _fresh(table.nodes, cuts)
    pair_new, pair_old, overlap_pages = overlaps(old, fresh)
    _inherit(fresh, old, pair_new, pair_old, overlap_pages)
    ended = np.ones(len(old), dtype=np.bool_)
    ended[pair_old] = False
    return concatenate([table.take(~changed), fresh]), old.take(ended)


def without(table: RegionTable, processes: Sequence[int]) -> tuple[RegionTable, RegionTable]:
    """Return the table without the regions of these process rows, and those regions."""
    removed = np.isin(table.process, processes)
    return table.take(~removed), table.take(removed)


def _fresh(nodes: int, cuts: Sequence[Cut]) -> RegionTable:
    counts = [len(cut.start) for cut in cuts]
    fresh = RegionTable(nodes, sum(counts))
    process: U16 = np.repeat(np.array([cut.process for cut in cuts], dtype=np.uint16), counts)
    start = np.concatenate([cut.start for cut in cuts])
    pages = np.concatenate([cut.pages for cut in cuts])
    order = np.argsort(region_key(process, start), kind="stable")
    fresh.process, fresh.start, fresh.pages = process[order], start[order], pages[order]
    fresh.last_access_ms[:] = np.repeat(np.array([cut.seen_ms for cut in cuts], dtype=np.uint32), counts)[order]
    fresh.index()
    return fresh


def overlaps(old: RegionTable, new: RegionTable) -> tuple[I64, I64, U64]:
    """Return (new row, old row, pages in common) of every overlapping pair, ascending by new row then old row."""
    old_start, old_end = region_key(old.process, old.start), region_key(old.process, old.end)
    new_start, new_end = region_key(new.process, new.start), region_key(new.process, new.end)
    first = np.searchsorted(old_end, new_start, side="right")
    last = np.searchsorted(old_start, new_end, side="left")
    counts = np.maximum(last - first, 0)
    pair_new = np.repeat(np.arange(len(new)), counts)
    within = np.arange(len(pair_new)) - np.repeat(np.cumsum(counts) - counts, counts)
    pair_old = np.repeat(first, counts) + within
    common = np.minimum(old_end[pair_old], new_end[pair_new]) - np.maximum(old_start[pair_old], new_start[pair_new])
    return pair_new, pair_old, common


def _inherit(new: RegionTable, old: RegionTable, pair_new: I64, pair_old: I64, common_pages: U64) -> None:
    if not len(pair_new):
        return
    heirs, first_pair = np.unique(pair_new, return_index=True)
    main = pair_old[_largest(pair_new, common_pages, first_pair)]
    for name in ("active_since_ms", "activity", "placement", "desired", "not_before_ms", "failures", "outcome"):
        getattr(new, name)[heirs] = getattr(old, name)[main]
    new.flags[heirs] = old.flags[main] & np.uint8(~SHOWN & 0xFF)
    new.last_access_ms[heirs] = np.maximum.reduceat(old.last_access_ms[pair_old], first_pair)
    weight = common_pages.astype(np.float64)
    new.heat[heirs] = np.add.reduceat(old.heat[pair_old] * weight, first_pair) / np.add.reduceat(weight, first_pair)
    for counts, before in ((new.accesses, old.accesses), (new.writes, old.writes)):
        shares = before[pair_old] * weight / old.pages[pair_old]
        counts[heirs] = np.minimum(np.rint(np.add.reduceat(shares, first_pair)), MOST)
    same = (new.start[heirs] == old.start[main]) & (new.pages[heirs] == old.pages[main])
    _carry_observed(new, old, heirs[same], main[same])
    _unsee(new, heirs[~same])


def _largest(pair_new: I64, common_pages: U64, first_pair: I64) -> I64:
    """Return for each heir the position of its pair with the largest overlap, the lowest address first."""
    best = np.maximum.reduceat(common_pages, first_pair)
    group = np.cumsum(np.r_[False, pair_new[1:] != pair_new[:-1]])
    candidates = np.flatnonzero(common_pages == best[group])
    _, first = np.unique(group[candidates], return_index=True)
    largest: I64 = candidates[first]
    return largest


def _carry_observed(new: RegionTable, old: RegionTable, new_rows: I64, old_rows: I64) -> None:
    """Keep what was seen of regions that didn't change; the scan that brought the cut overwrites it anyway."""
    new.swapped_pages[new_rows] = old.swapped_pages[old_rows]
    new.node_pages[:, new_rows] = old.node_pages[:, old_rows]
    new.flags[new_rows] = old.flags[old_rows]


def _unsee(new: RegionTable, rows: I64) -> None:
    """Let regions with new bounds wait for a scan; what was moved before waits for one that began after the move."""
    new.not_before_ms[rows] = np.where(new.placement[rows] == UNSEEN, new.not_before_ms[rows], 0)
    new.placement[rows] = UNSEEN


def match(table: RegionTable, process: int, start: U64, pages: U32) -> tuple[I64, Bool]:
    """Return the table rows that are exactly these regions of a process, and which of the regions have one."""
    rows = table.rows_of(process)
    position = np.searchsorted(table.start[rows], start)
    found = position < (rows.stop - rows.start)
    row = rows.start + np.where(found, position, 0)
    if len(table):
        found &= (table.start[np.minimum(row, len(table) - 1)] == start) & (
            table.pages[np.minimum(row, len(table) - 1)] == pages
        )
    return row[found].astype(np.int64), found


def containing(table: RegionTable, process: int, start: U64) -> I64:
    """Return the table rows that hold these addresses, each once; addresses that no region holds are left out."""
    rows = table.rows_of(process)
    position = np.searchsorted(table.start[rows], start, side="right") - 1
    start, position = start[position >= 0], position[position >= 0] + rows.start
    end = table.start[position] + (table.pages[position].astype(np.uint64) << np.uint64(PAGE_BITS))
    return np.unique(position[start < end]).astype(np.int64)
