"""Regions lie on a grid of absolute addresses, and history is recognised by overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import U64
from memtierd.regions.carving import MAX_REGION_PAGES, Geometry, carve, covered, pages_in, snap, whole, widen
from memtierd.units import PAGE_BYTES

P = PAGE_BYTES
BASE = 0x7F00_0000_0000


def addresses(*pages: int) -> U64:
    """Return addresses so many pages behind BASE, which is a multiple of every grid used here."""
    return np.array([BASE + page * P for page in pages], np.uint64)


def as_pages(geometry: Geometry) -> list[tuple[int, int]]:
    """Return (first page behind BASE, pages) of each region."""
    return [(int(s - BASE) // P, int(n)) for s, n in zip(geometry.start.tolist(), geometry.pages.tolist(), strict=True)]


def regions(*first_and_count: tuple[int, int]) -> Geometry:
    """Return a geometry from (first page behind BASE, pages)."""
    return Geometry(addresses(*(f for f, _ in first_and_count)), np.array([n for _, n in first_and_count], np.uint32))


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([(0, 8)], [(0, 8)]),
        ([(0, 16)], [(0, 8), (8, 8)]),
        ([(3, 5)], [(3, 2)]),
        ([(3, 20)], [(3, 5), (8, 8), (16, 4)]),
        ([(7, 9)], [(7, 1), (8, 1)]),
        ([(0, 4), (4, 8)], [(0, 4), (4, 4)]),
        ([(2, 10), (10, 12), (40, 41)], [(2, 6), (8, 2), (10, 2), (40, 1)]),
    ],
)
def test_ranges_are_cut_at_multiples_of_the_region_size(
    ranges: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    carved = carve(addresses(*(a for a, _ in ranges)), addresses(*(b for _, b in ranges)), 8)
    assert as_pages(carved) == expected
    assert carved.start.dtype == np.uint64
    assert carved.pages.dtype == np.uint32


def test_a_mapping_that_grows_downwards_keeps_its_other_regions() -> None:
    before = as_pages(carve(addresses(13), addresses(64), 8))
    after = as_pages(carve(addresses(2), addresses(64), 8))
    assert set(before[1:]) <= set(after)
    assert before[1:]


def test_the_highest_user_addresses_can_be_carved_with_the_largest_grid() -> None:
    end = 1 << 57
    carved = carve(np.array([end - 5 * P], np.uint64), np.array([end], np.uint64), MAX_REGION_PAGES)
    assert carved.start.tolist() == [end - 5 * P]
    assert carved.pages.tolist() == [5]


sorted_ranges = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), max_size=8).map(
    lambda steps: [
        (begin, begin + size)
        for begin, size in zip(
            np.cumsum([gap + (steps[i - 1][1] if i else 0) for i, (gap, _) in enumerate(steps)]).tolist(),
            [size for _, size in steps],
            strict=True,
        )
    ]
)


@given(sorted_ranges, st.integers(1, 20))
def test_regions_cover_each_range_exactly_and_none_crosses_the_grid(ranges: list[tuple[int, int]], size: int) -> None:
    step = size * P
    carved = carve(addresses(*(a for a, _ in ranges)), addresses(*(b for _, b in ranges)), size)
    covered_pages = [page for first, count in as_pages(carved) for page in range(first, first + count)]
    assert covered_pages == [page for first, end in ranges for page in range(first, end)]
    assert (carved.start // np.uint64(step) == (carved.end - np.uint64(1)) // np.uint64(step)).all()
    owner = {page: index for index, (first, end) in enumerate(ranges) for page in range(first, end)}
    assert all(owner[first] == owner[first + count - 1] for first, count in as_pages(carved))


def test_whole_gives_one_region_a_range() -> None:
    assert as_pages(whole(addresses(0, 7), addresses(7, 9000))) == [(0, 7), (7, 8993)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], []),
        ([(9, 10)], [(8, 16)]),
        ([(9, 10), (15, 16), (16, 17)], [(8, 24)]),
        ([(9, 10), (33, 34)], [(8, 16), (32, 40)]),
        ([(3, 4), (99, 100)], [(3, 8), (96, 100)]),
    ],
)
def test_populated_ranges_are_widened_to_the_grid_and_joined(
    found: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    bounds = (BASE + 3 * P, BASE + 100 * P)
    start, end = widen(bounds, addresses(*(a for a, _ in found)), addresses(*(b for _, b in found)), 8)
    pairs = [(int(a - BASE) // P, int(b - BASE) // P) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    assert pairs == expected


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ([(0, 8)], [], [False]),
        ([], [(0, 8)], []),
        ([(0, 8)], [(0, 8)], [True]),
        ([(0, 8)], [(0, 4)], [True]),
        ([(0, 8)], [(0, 3)], [False]),
        ([(0, 8)], [(5, 20)], [False]),
        ([(0, 8)], [(4, 20)], [True]),
        ([(0, 8)], [(0, 1), (2, 1), (4, 1), (6, 1)], [True]),
        ([(0, 8), (8, 8), (16, 8)], [(8, 8)], [False, True, False]),
        ([(10, 2)], [(0, 100)], [True]),
        ([(100, 2)], [(0, 100)], [False]),
    ],
)
def test_a_region_is_covered_when_half_of_its_pages_were_known(
    now: list[tuple[int, int]], before: list[tuple[int, int]], expected: list[bool]
) -> None:
    assert covered(regions(*now), regions(*before)).tolist() == expected


H = 512
"""Pages of a huge page."""


@pytest.mark.parametrize(
    ("cut", "huge", "expected"),
    [
        ([], [(0, H)], []),
        ([(0, 256), (256, 256)], [], [(0, 256), (256, 256)]),
        # Smaller regions than a huge page: one region where it is huge, the small ones elsewhere.
        (
            [(0, 256), (256, 256), (512, 256), (768, 256), (1024, 256)],
            [(512, H)],
            [(0, 256), (256, 256), (512, 512), (1024, 256)],
        ),
        ([(0, 256), (256, 256), (512, 256), (768, 256)], [(0, 2 * H)], [(0, 512), (512, 512)]),
        # No multiple of a huge page: bounds in one snap down, those in small pages stay.
        ([(0, 700), (700, 700), (1400, 700)], [(0, 2 * H)], [(0, 512), (512, 888), (1400, 700)]),
        ([(0, 700), (700, 700), (1400, 700)], [(1024, H)], [(0, 700), (700, 324), (1024, 1076)]),
        ([(0, 512), (512, 512)], [(0, 2 * H)], [(0, 512), (512, 512)]),
        # Memory that is covered begins, or ends, or has a hole in a huge page.
        ([(100, 50), (150, 106), (256, 300)], [(0, H)], [(100, 456)]),
        ([(0, 512), (512, 100)], [(512, H)], [(0, 512), (512, 100)]),
        ([(512, 100), (612, 100), (800, 100)], [(512, H)], [(512, 200), (800, 100)]),
    ],
)
def test_boundaries_between_regions_snap_to_the_start_of_a_huge_page(
    cut: list[tuple[int, int]], huge: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    snapped = snap(regions(*cut), regions(*huge))
    assert as_pages(snapped) == expected
    assert snapped.start.dtype == np.uint64
    assert snapped.pages.dtype == np.uint32


cuts = st.lists(st.tuples(st.sampled_from([0, 0, 0, 3, 512, 700]), st.integers(1, 1100)), max_size=12).map(
    lambda steps: [
        (int(end) - size, size)
        for end, (_, size) in zip(np.cumsum([gap + size for gap, size in steps]), steps, strict=True)
    ]
)
blocks = st.sets(st.integers(0, 20))


@given(cuts, blocks)
def test_snapped_regions_cover_the_same_memory_and_split_no_huge_page(
    cut: list[tuple[int, int]], huge: set[int]
) -> None:
    ranges = regions(*((block * H, H) for block in sorted(huge)))
    snapped = snap(regions(*cut), ranges)
    found = as_pages(snapped)
    covered_pages = [page for first, count in found for page in range(first, first + count)]
    assert covered_pages == [page for first, count in cut for page in range(first, first + count)]
    ends = {first + count for first, count in found}
    inner = {first for first, _ in found} & ends
    assert not any(page // H in huge and page % H for page in inner)
    # Elsewhere nothing changes.
    outside = {first for first, _ in cut if first // H not in huge or first % H == 0}
    assert outside <= {first for first, _ in found}
    again = snap(snapped, ranges)
    assert as_pages(again) == found
    assert pages_in(snapped, ranges).tolist() == [
        sum(page // H in huge for page in range(first, first + count)) for first, count in found
    ]
