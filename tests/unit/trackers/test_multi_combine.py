"""Cuts of several trackers made one, against twins that look at each page."""

from collections.abc import Sequence

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.regions.carving import Geometry
from memtierd.trackers.combine import Look, carried, combine, is_same, union
from memtierd.units import PAGE_BYTES

BASE_PAGE = 0x7F00_0000_0000 // PAGE_BYTES
Regions = Sequence[tuple[int, int]]
"""First page and the page behind the last of each region."""


def cut(regions: Regions) -> Geometry:
    """Return the geometry of these regions."""
    start = np.array([(BASE_PAGE + first) * PAGE_BYTES for first, _ in regions], np.uint64)
    return Geometry(start, np.array([end - first for first, end in regions], np.uint32))


def regions_of(geometry: Geometry) -> list[tuple[int, int]]:
    """Return the regions of a geometry."""
    firsts = (geometry.start // np.uint64(PAGE_BYTES)).astype(np.int64) - BASE_PAGE
    return [(first, first + pages) for first, pages in zip(firsts.tolist(), geometry.pages.tolist(), strict=True)]


def look(
    regions: Regions,
    accessed: Sequence[int],
    *,
    written: Sequence[int] | None = None,
    huge: Sequence[int] | None = None,
    primed: Sequence[bool] | bool = True,
    since_ns: int = 0,
    proves: bool = True,
) -> Look:
    """Return what a tracker saw."""
    return Look(
        cut=cut(regions),
        accessed_pages=np.array(accessed, np.uint32),
        written_pages=np.array(written or [0] * len(regions), np.uint32),
        huge_pages=np.array(huge or [0] * len(regions), np.uint32),
        primed=np.broadcast_to(np.array(primed, np.bool_), len(regions)).copy(),
        since_ns=since_ns,
        proves_idleness=proves,
    )


GRID = [(0, 8), (8, 16), (20, 28)]


def test_equal_cuts_stay_as_they_are() -> None:
    """A thousand equal adjacent regions of two trackers are a thousand regions."""
    many = [(8 * n, 8 * n + 8) for n in range(1000)]
    both = union([cut(many), cut(many)])
    assert regions_of(both) == many
    seen = combine(both, [look(many, [n % 9 for n in range(1000)]), look(many, [0] * 1000)])
    assert seen.accessed_pages.tolist() == [n % 9 for n in range(1000)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([(0, 8), (8, 16)], [(0, 16)], [(0, 8), (8, 16)]),
        ([(0, 8)], [(8, 16)], [(0, 8), (8, 16)]),
        ([(0, 8)], [(12, 16)], [(0, 8), (12, 16)]),
        ([(0, 10)], [(4, 14)], [(0, 4), (4, 10), (10, 14)]),
        ([(0, 10)], [(2, 4), (6, 7)], [(0, 2), (2, 4), (4, 6), (6, 7), (7, 10)]),
        ([], GRID, GRID),
        (GRID, [], GRID),
        ([], [], []),
    ],
)
def test_regions_are_cut_where_the_cuts_differ(one: Regions, other: Regions, expected: Regions) -> None:
    assert regions_of(union([cut(one), cut(other)])) == list(expected)
    assert regions_of(union([cut(other), cut(one)])) == list(expected)


def test_a_cut_region_gives_each_piece_its_part_rounded_up() -> None:
    whole, parts = [(0, 12)], [(0, 2), (2, 6), (6, 12)]
    seen = combine(cut(parts), [look(whole, [3], written=[1])])
    assert seen.accessed_pages.tolist() == [1, 1, 2]
    assert seen.written_pages.tolist() == [1, 1, 1]
    assert combine(cut(parts), [look(whole, [0])]).accessed_pages.tolist() == [0, 0, 0]


def test_the_largest_of_several_counts_is_taken() -> None:
    seen = combine(cut(GRID), [look(GRID, [3, 0, 8], written=[1, 0, 0]), look(GRID, [2, 1, 8], written=[2, 1, 0])])
    assert seen.accessed_pages.tolist() == [3, 1, 8]
    assert seen.written_pages.tolist() == [2, 1, 0]


def test_huge_pages_are_known_from_whoever_looked_for_them() -> None:
    seen = combine(cut([(0, 8), (8, 16)]), [look([(0, 16)], [0]), look([(0, 8)], [0], huge=[8], primed=False)])
    assert seen.huge_pages.tolist() == [8, 0]


def test_counts_that_mean_nothing_are_left_out() -> None:
    seen = combine(cut(GRID), [look(GRID, [3, 4, 5], primed=[True, False, False]), look(GRID[:2], [0, 0])])
    assert seen.accessed_pages.tolist() == [3, 0, 0]
    assert seen.primed.tolist() == [True, True, False]


def test_who_sees_only_writes_proves_use_and_no_idleness() -> None:
    writes = look(GRID, [0, 2, 0], written=[0, 2, 0], since_ns=50, proves=False)
    alone = combine(cut(GRID), [writes])
    assert alone.primed.tolist() == [False, True, False]
    assert alone.since_ns[1] == 50
    all_accesses = look(GRID[:2], [0, 0], since_ns=10)
    both = combine(cut(GRID), [writes, all_accesses])
    assert both.primed.tolist() == [True, True, False]
    assert both.since_ns[:2].tolist() == [10, 10]
    assert both.accessed_pages.tolist() == [0, 2, 0]


def test_what_was_known_of_a_piece_is_kept_as_long_as_its_bounds() -> None:
    value = np.array([5, 6, 7], np.int64)
    assert carried(cut(GRID), cut(GRID), value, 1).tolist() == [5, 6, 7]
    changed = [(0, 8), (8, 12), (12, 16), (20, 28), (30, 32)]
    assert carried(cut(changed), cut(GRID), value, 1).tolist() == [5, 1, 1, 7, 1]
    assert carried(cut(GRID), cut([]), value[:0], 1).tolist() == [1, 1, 1]
    assert carried(cut([]), cut(GRID), value, 1).tolist() == []


def test_columns_of_a_look_are_not_changed() -> None:
    one = look(GRID, [3, 0, 8])
    combine(cut(GRID), [one, look(GRID, [9, 9, 9])])
    assert one.accessed_pages.tolist() == [3, 0, 8]


@st.composite
def cuts(draw: st.DrawFn) -> Regions:
    bounds = sorted(draw(st.sets(st.integers(0, 40), max_size=12)))
    keep = draw(st.lists(st.booleans(), min_size=len(bounds), max_size=len(bounds)))
    return [(low, high) for low, high, kept in zip(bounds, bounds[1:], keep, strict=False) if kept]


@st.composite
def looks(draw: st.DrawFn) -> Look:
    regions = draw(cuts())
    accessed = [draw(st.integers(0, end - first)) for first, end in regions]
    primed = [draw(st.booleans()) for _ in regions]
    return look(regions, accessed, primed=primed, since_ns=draw(st.integers(0, 9)), proves=draw(st.booleans()))


@attrs.frozen
class PageTwin:
    """What is known of one page by looking at each region in turn."""

    primed: bool
    used: bool

    @classmethod
    def of(cls, page: int, all_looks: Sequence[Look]) -> "PageTwin":
        primed = used = False
        for one in all_looks:
            for index, (first, end) in enumerate(regions_of(one.cut)):
                if first <= page < end and one.primed[index]:
                    saw_use = bool(one.accessed_pages[index] > 0)
                    primed |= saw_use or one.proves_idleness
                    used |= saw_use
        return cls(primed, used)


@given(st.lists(looks(), min_size=1, max_size=4))
def test_any_looks(all_looks: list[Look]) -> None:
    geometry = union([one.cut for one in all_looks])
    pieces = regions_of(geometry)
    covered = {page for one in all_looks for first, end in regions_of(one.cut) for page in range(first, end)}
    bounds = {bound for one in all_looks for region in regions_of(one.cut) for bound in region}
    assert all(first < end for first, end in pieces)
    assert [page for first, end in pieces for page in range(first, end)] == sorted(covered)
    assert {bound for piece in pieces for bound in piece} == bounds
    assert is_same(union([geometry, *(one.cut for one in all_looks)]), geometry)
    seen = combine(geometry, all_looks)
    assert (seen.accessed_pages <= geometry.pages).all()
    for index, (first, end) in enumerate(pieces):
        for page in range(first, end):
            found = PageTwin(bool(seen.primed[index]), bool(seen.accessed_pages[index] > 0))
            assert found == PageTwin.of(page, all_looks)
