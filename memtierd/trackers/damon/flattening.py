"""DAMON's reports of many aggregations, each with other regions, to one set of regions with counts: pure."""

import attrs
import numpy as np

from memtierd.model import I64, U32, U64, Bool
from memtierd.regions.carving import Geometry
from memtierd.trackers.damon.connection import Records
from memtierd.trackers.damon.params import UNLIMITED, DamonParams
from memtierd.units import PAGE_BYTES

_ROUNDING = 6
"""Decimals that count before a number of pages is rounded up."""


@attrs.frozen(eq=False)
class Aggregations:
    """The records of one process, sorted out."""

    whole: Records
    """Of all aggregations of which every region has arrived."""
    newest: Records
    """Of the last of these."""
    rest: Records
    """Of one that has not arrived completely yet."""

    @classmethod
    def of(cls, records: Records) -> "Aggregations":
        """Sort out records, which are in the order in which DAMON made them: ascending addresses, again and again."""
        if not len(records):
            return cls(records, records, records)
        begins = np.ones(len(records), np.bool_)
        begins[1:] = records.start[1:] <= records.start[:-1]
        begins[1:] |= records.nr_regions[1:] != records.nr_regions[:-1]
        group = np.cumsum(begins) - 1
        arrived = np.bincount(group)
        complete = arrived == records.nr_regions[begins]
        last = len(arrived) - 1
        is_rest = not complete[last] and arrived[last] < records.nr_regions[-1]
        newest = np.flatnonzero(complete)[-1:]
        return cls(
            whole=records.take(complete[group]),
            newest=records.take(np.isin(group, newest)),
            rest=records.take((group == last) & is_rest),
        )


@attrs.frozen(eq=False)
class Sums:
    """A sum over ranges for every address: how much of a quantity lies below it."""

    edge: I64
    level: I64
    """The quantity a page between an edge and the next."""
    below: I64

    @classmethod
    def of(cls, start_page: I64, end_page: I64, quantity: I64) -> "Sums":
        """Add up `quantity` a page over ranges that may overlap."""
        edges = np.concatenate((start_page, end_page))
        steps = np.concatenate((quantity, -quantity))
        order = np.argsort(edges, kind="stable")
        edge, level = edges[order], np.cumsum(steps[order])
        below = np.concatenate((np.zeros(min(1, edge.size), np.int64), np.cumsum(level[:-1] * np.diff(edge))))
        return cls(edge, level, below)

    def between(self, start_page: I64, end_page: I64) -> I64:
        """Return the sum inside each of these ranges."""
        return self._below(end_page) - self._below(start_page)

    def _below(self, page: I64) -> I64:
        if not self.edge.size:
            return np.zeros(page.shape, np.int64)
        at = np.searchsorted(self.edge, page, side="right") - 1
        nearest = np.maximum(at, 0)
        found: I64 = np.where(at < 0, 0, self.below[nearest] + self.level[nearest] * (page - self.edge[nearest]))
        return found


def cut(range_start: U64, range_end: U64, edges: U64, align_pages: int) -> Geometry:
    """Return the regions that ranges are cut into at `edges`, which are rounded to multiples of `align_pages`.

    Args:
        range_start: ascending page-aligned addresses, one a tracked range.
        range_end: address behind each range; ranges are not empty and don't overlap.
        edges: addresses in any order; those outside of all ranges have no effect.
        align_pages: 1 or more.

    """
    grid = np.uint64(align_pages * PAGE_BYTES)
    aligned = (edges + grid // np.uint64(2)) // grid * grid
    bounds = np.unique(np.concatenate((range_start, range_end, aligned)))
    if not range_start.size:
        return Geometry(np.empty(0, np.uint64), np.empty(0, np.uint32))
    start, end = bounds[:-1], bounds[1:]
    owner = np.searchsorted(range_start, start, side="right") - 1
    inside = (owner >= 0) & (start < range_end[np.maximum(owner, 0)])
    return Geometry(start[inside], ((end[inside] - start[inside]) // np.uint64(PAGE_BYTES)).astype(np.uint32))


def edges_of(newest: Records) -> U64:
    """Return the bounds of the regions of one aggregation, ascending."""
    return np.unique(np.concatenate((newest.start, newest.end)))


def count(regions: Geometry, whole: Records, params: DamonParams) -> tuple[U32, Bool]:
    """Return the accessed pages of each region, and whether DAMON can tell.

    DAMON's nr_accesses out of the most that is possible estimates which part of a range is in use.  A region has
    the mean over all aggregations, rounded up, so that no access is lost; ranges of a report that lie only partly in
    a region count by their overlap.

    Ranges above filteraddressrangesizemax say too little of where accesses were: those with accesses are ignored, and
    a region of which nothing else is known can't be judged.  That nothing was accessed is believed of any range.
    """
    first = (regions.start // np.uint64(PAGE_BYTES)).astype(np.int64)
    behind = first + regions.pages.astype(np.int64)
    accesses = whole.nr_accesses.astype(np.int64)
    limit = params.filter_address_range_size_max
    large = np.zeros(len(whole), np.bool_) if limit == UNLIMITED else whole.end - whole.start > np.uint64(limit)

    def inside(chosen: Bool, quantity: I64) -> I64:
        page = (whole.start[chosen] // np.uint64(PAGE_BYTES)).astype(np.int64)
        end = (whole.end[chosen] // np.uint64(PAGE_BYTES)).astype(np.int64)
        return Sums.of(page, end, quantity[chosen]).between(first, behind)

    ones = np.ones(len(whole), np.int64)
    seen, observed = inside(~large, accesses), inside(~large, ones)
    vague, quiet = inside(large & (accesses > 0), ones), inside(large & (accesses == 0), ones)
    share = seen / np.maximum(observed * params.max_accesses, 1)
    pages = np.ceil(np.round(regions.pages * share, _ROUNDING))
    accessed = np.where(seen > 0, np.clip(pages, 1, regions.pages), 0).astype(np.uint32)
    return accessed, (observed > 0) | ((quiet > 0) & (vague == 0))
