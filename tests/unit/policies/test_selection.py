"""Taking regions in an order until they make up a wanted amount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.policies.selection import take_pages


def taken(keys: list[int], pages: list[int], wanted_pages: int, *, cover: bool = False) -> list[int]:
    """Return the rows taken."""
    mask = take_pages(np.array(keys, np.uint64), np.array(pages, np.uint32), wanted_pages, cover=cover)
    return [int(row) for row in np.flatnonzero(mask)]


@pytest.mark.parametrize(
    ("wanted_pages", "closest", "covering"),
    [
        (-5, [], []),
        (0, [], []),
        (4, [], [1]),
        (5, [], [1]),
        (6, [1], [1]),
        (10, [1], [1]),
        (15, [1], [1, 3]),
        (16, [1, 3], [1, 3]),
        (20, [1, 3], [1, 3]),
        (26, [1, 3, 0], [1, 3, 0]),
        (40, [1, 3, 0, 2], [1, 3, 0, 2]),
        (99, [1, 3, 0, 2], [1, 3, 0, 2]),
    ],
)
def test_the_lowest_keys_up_to_what_is_wanted(wanted_pages: int, closest: list[int], covering: list[int]) -> None:
    keys, pages = [7, 1, 9, 3], [10, 10, 10, 10]
    assert taken(keys, pages, wanted_pages) == sorted(closest)
    assert taken(keys, pages, wanted_pages, cover=True) == sorted(covering)


def test_of_equal_keys_the_first_rows() -> None:
    assert taken([5] * 100, [10] * 100, 42) == [0, 1, 2, 3]
    assert taken([5] * 100 + [4], [10] * 101, 42) == [0, 1, 2, 100]


def test_what_is_too_large_is_taken_only_when_that_comes_closer() -> None:
    assert taken([1, 2], [1000, 10], 400) == []
    assert taken([1, 2], [1000, 10], 600) == [0]
    assert taken([1, 2], [1000, 10], 400, cover=True) == [0]


def test_nothing_to_take_from() -> None:
    assert taken([], [], 10) == []


def test_sums_beyond_32_bits() -> None:
    assert taken([1, 2, 3], [1 << 31] * 3, 1 << 32) == [0, 1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20))), st.integers(-5, 300), st.booleans())
def test_it_is_the_first_of_a_stable_order(regions: list[tuple[int, int]], wanted_pages: int, cover: bool) -> None:
    order = sorted(range(len(regions)), key=lambda row: regions[row][0])
    expected: list[int] = []
    left = wanted_pages
    for row in order:
        pages = regions[row][1]
        if left <= 0 or (pages > left and not (cover or pages - left < left)):
            break
        expected.append(row)
        left -= pages
    assert taken([k for k, _ in regions], [n for _, n in regions], wanted_pages, cover=cover) == sorted(expected)
