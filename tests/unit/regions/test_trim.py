"""Regions without the huge pages of which they cover only a part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.regions.carving import HUGE_PAGE_BYTES, Geometry, snap, trim
from memtierd.units import PAGE_BYTES
from tests.unit.regions.region_samples import BASE, addresses, u32

H = HUGE_PAGE_BYTES // PAGE_BYTES
Cut = list[tuple[int, int]]


def regions(cut: Cut) -> Geometry:
    """Return regions of (first page behind BASE, pages)."""
    return Geometry(addresses(*(first for first, _ in cut)), u32(*(count for _, count in cut)))


def as_pages(geometry: Geometry) -> Cut:
    """Return (first page behind BASE, pages) of each region."""
    firsts = ((geometry.start - np.uint64(BASE)) // np.uint64(PAGE_BYTES)).tolist()
    return list(zip(firsts, geometry.pages.tolist(), strict=True))


@pytest.mark.parametrize(
    ("cut", "huge", "expected"),
    [
        ([], [(0, H)], []),
        ([(3, 10)], [], [(3, 10)]),
        ([(0, H), (H, H)], [(0, 2 * H)], [(0, H), (H, H)]),
        ([(3, H - 3), (H, H)], [(0, 2 * H)], [(H, H)]),
        ([(3, H - 3), (H, H)], [(H, H)], [(3, H - 3), (H, H)]),
        ([(0, H), (H, 9)], [(0, 2 * H)], [(0, H)]),
        ([(3, 10)], [(0, H)], []),
        ([(3, 3 * H)], [(0, 4 * H)], [(H, 2 * H)]),
        ([(3, 3 * H)], [(H, H)], [(3, 3 * H)]),
        ([(5, 3), (20, 30), (H + 1, 4)], [(0, H)], [(H + 1, 4)]),
    ],
)
def test_what_is_cut_off(cut: Cut, huge: Cut, expected: Cut) -> None:
    trimmed = trim(regions(cut), regions(huge))
    assert as_pages(trimmed) == expected
    assert trimmed.start.dtype == np.uint64
    assert trimmed.pages.dtype == np.uint32


cuts = st.lists(st.tuples(st.sampled_from([0, 0, 0, 3, 512, 700]), st.integers(1, 1100)), max_size=12).map(
    lambda steps: [
        (int(end) - size, size)
        for end, (_, size) in zip(np.cumsum([gap + size for gap, size in steps]), steps, strict=True)
    ]
)


@given(cuts, st.sets(st.integers(0, 20)))
def test_huge_pages_are_covered_wholly_or_not_at_all_and_nothing_else_changes(cut: Cut, blocks: set[int]) -> None:
    huge = regions([(block * H, H) for block in sorted(blocks)])
    trimmed = as_pages(trim(snap(regions(cut), huge), huge))
    wanted = {page for first, count in cut for page in range(first, first + count)}
    whole = {block for block in blocks if wanted.issuperset(range(block * H, (block + 1) * H))}
    left = [page for first, count in trimmed for page in range(first, first + count)]
    assert left == sorted(page for page in wanted if page // H not in blocks or page // H in whole)
