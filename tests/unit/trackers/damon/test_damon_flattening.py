"""Many aggregations to one set of regions, checked against a slow twin that looks at every page."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.regions.carving import Geometry, whole
from memtierd.trackers.damon.connection import Records
from memtierd.trackers.damon.flattening import Aggregations, count, cut, edges_of
from memtierd.trackers.damon.params import DamonParams
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.damon.damon_fakes import aggregation

ALL = DamonParams(filter_address_range_size_max=-1, sampling_us=5000, aggregation_us=100_000)
TWENTY = 20
"""Samples of an aggregation with these parameters."""


def at(*pages: int) -> "np.typing.NDArray[np.uint64]":
    """Return addresses of pages."""
    return np.array(pages, np.uint64) * np.uint64(PAGE_BYTES)


def pages_of(geometry: Geometry) -> list[tuple[int, int]]:
    """Return first page and page behind of each region."""
    return list(zip((geometry.start // PAGE_BYTES).tolist(), (geometry.end // PAGE_BYTES).tolist(), strict=True))


def one(first: int, end: int) -> Geometry:
    """Return one region."""
    return whole(at(first), at(end))


# aggregations


def test_whole_aggregations_the_newest_and_the_rest() -> None:
    first, second = aggregation((0, 4, 1), (4, 8, 2)), aggregation((0, 2, 3), (2, 8, 4))
    begun = aggregation((0, 3, 5), nr_regions=3)
    sorted_out = Aggregations.of(Records.joined([first, second, begun]))
    assert sorted_out.whole.nr_accesses.tolist() == [1, 2, 3, 4]
    assert sorted_out.newest.nr_accesses.tolist() == [3, 4]
    assert sorted_out.rest.nr_accesses.tolist() == [5]
    end = aggregation((3, 5, 6), (5, 8, 7), nr_regions=3)
    completed = Aggregations.of(Records.joined([sorted_out.rest, end]))
    assert completed.newest.nr_accesses.tolist() == [5, 6, 7]
    assert len(completed.rest) == 0


def test_an_aggregation_of_which_something_was_lost_does_not_count() -> None:
    torn = aggregation((0, 4, 1), (8, 12, 2), nr_regions=3)
    last = aggregation((0, 12, 9))
    sorted_out = Aggregations.of(Records.joined([torn, last]))
    assert sorted_out.whole.nr_accesses.tolist() == [9]
    assert len(sorted_out.rest) == 0


def test_aggregations_of_one_region_each() -> None:
    records = Records.joined([aggregation((0, 4, number)) for number in range(3)])
    sorted_out = Aggregations.of(records)
    assert sorted_out.whole.nr_accesses.tolist() == [0, 1, 2]
    assert sorted_out.newest.nr_accesses.tolist() == [2]


def test_nothing_has_arrived() -> None:
    sorted_out = Aggregations.of(Records.none())
    assert len(sorted_out.whole) == len(sorted_out.newest) == len(sorted_out.rest) == 0


# the cut


def test_mappings_are_cut_where_damon_cuts_and_gaps_fall_out() -> None:
    newest = aggregation((0, 10, 0), (10, 25, 0), (25, 40, 0))
    regions = cut(at(2, 20), at(12, 30), edges_of(newest), align_pages=1)
    assert pages_of(regions) == [(2, 10), (10, 12), (20, 25), (25, 30)]


def test_cuts_are_rounded_to_the_grid_and_bounds_of_mappings_are_not() -> None:
    regions = cut(at(3), at(29), at(9, 11, 13, 27), align_pages=8)
    assert pages_of(regions) == [(3, 8), (8, 16), (16, 24), (24, 29)]


def test_adjacent_mappings_stay_apart_and_no_mappings_are_no_regions() -> None:
    assert pages_of(cut(at(0, 4), at(4, 8), at(), align_pages=1)) == [(0, 4), (4, 8)]
    assert pages_of(cut(at(), at(), at(1, 2), align_pages=1)) == []


# the counts


@pytest.mark.parametrize(
    ("reports", "accessed"),
    [
        ([(0, 100, 0)], 0),
        ([(0, 100, TWENTY)], 100),
        ([(0, 100, 5)], 25),
        ([(0, 100, 1)], 5),
        ([(0, 100, 5), (0, 100, 15)], 50),
        ([(0, 100, 1), *[(0, 100, 0)] * 99], 1),
        ([(0, 100, 40)], 100),
        ([(0, 50, TWENTY), (0, 100, 0)], 34),
    ],
)
def test_portions_of_use_are_the_mean_and_rounded_up(reports: list[tuple[int, int, int]], accessed: int) -> None:
    records = Records.joined([aggregation(report) for report in reports])
    counts, primed = count(one(0, 100), records, ALL)
    assert (counts.tolist(), primed.tolist()) == ([accessed], [True])


def test_what_nothing_was_reported_of_is_not_judged() -> None:
    regions = cut(at(0, 20), at(10, 30), at(), align_pages=1)
    counts, primed = count(regions, aggregation((0, 10, TWENTY)), ALL)
    assert (counts.tolist(), primed.tolist()) == ([10, 0], [True, False])
    counts, primed = count(regions, Records.none(), ALL)
    assert (counts.tolist(), primed.tolist()) == ([0, 0], [False, False])


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        # Too long, and used: nobody knows where.
        ([(0, 100, 3)], (0, False)),
        # Too long, and never used: idle.
        ([(0, 100, 0), (0, 100, 0)], (0, True)),
        # Sometimes used is not idle.
        ([(0, 100, 0), (0, 100, 3), (0, 100, 0)], (0, False)),
        # Short ones count as ever.
        ([(0, 100, 20), (0, 10, 10), (10, 20, 0)], (5, True)),
    ],
)
def test_ranges_that_are_too_long(reports: list[tuple[int, int, int]], expected: tuple[int, bool]) -> None:
    params = DamonParams(filter_address_range_size_max=10 * PAGE_BYTES)
    records = Records.joined([aggregation(report) for report in reports])
    counts, primed = count(one(0, 10), records, params)
    assert (counts.item(), primed.item()) == expected


@st.composite
def reports(draw: st.DrawFn) -> list[list[tuple[int, int, int]]]:
    """Draw aggregations that cut pages 0…63 anew each time, with gaps."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        bounds = sorted(draw(st.sets(st.integers(0, 63), min_size=2, max_size=10)))
        regions = list(pairwise(bounds))
        kept = [region for region in regions if draw(st.booleans())] or regions[:1]
        found.append([(first, end, draw(st.integers(0, TWENTY))) for first, end in kept])
    return found


@given(reports(), st.sets(st.integers(1, 62), max_size=6))
def test_counts_are_those_of_a_page_by_page_twin(made: list[list[tuple[int, int, int]]], edges: set[int]) -> None:
    regions = cut(at(0), at(64), at(*sorted(edges)), align_pages=1)
    counts, primed = count(regions, Records.joined([aggregation(*one) for one in made]), ALL)
    for number, (first, end) in enumerate(pages_of(regions)):
        seen = [
            accesses
            for one in made
            for start, behind, accesses in one
            for page in range(first, end)
            if start <= page < behind
        ]
        assert primed[number] == bool(seen)
        share = sum(seen) / (max(len(seen), 1) * TWENTY)
        expected = min(math.ceil(round((end - first) * share, 6)), end - first)
        assert counts[number] == (max(expected, 1) if sum(seen) else 0)
