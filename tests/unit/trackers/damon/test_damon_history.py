"""DAMON cuts regions anew all the time: heat and last access follow the pages through splits and merges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.regions.geometry import Cut, follow
from memtierd.regions.table import RegionTable
from memtierd.trackers.damon.flattening import cut
from memtierd.units import PAGE_BYTES

PAGES = 256


def cut_at(*edges: int) -> Cut:
    """Return a mapping of PAGES pages, cut as DAMON reports it."""
    bounds = np.array([0, PAGES], np.uint64) * np.uint64(PAGE_BYTES)
    at = np.array(edges, np.uint64) * np.uint64(PAGE_BYTES)
    return Cut(0, *cut(bounds[:1], bounds[1:], at, align_pages=1), seen_ms=1000)


def table_of(*edges: int) -> RegionTable:
    """Return the table with this cut."""
    table, _ = follow(RegionTable(1, 0), [cut_at(*edges)])
    return table


def per_page(table: RegionTable, column: str) -> list[float]:
    """Return a column's value for every page."""
    return list(np.repeat(getattr(table, column), table.pages).tolist())


def test_a_split_gives_both_parts_what_the_whole_had() -> None:
    table = table_of(64)
    table.heat[:], table.last_access_ms[:] = (0.5, 0.0), (900, 100)
    split, ended = follow(table, [cut_at(32, 64, 200)])
    assert len(ended) == 0
    assert split.heat.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert split.last_access_ms.tolist() == [900, 900, 100, 100]


def test_a_merge_has_the_mean_heat_and_the_latest_access() -> None:
    table = table_of(64)
    table.heat[:], table.last_access_ms[:] = (0.8, 0.0), (900, 100)
    merged, _ = follow(table, [cut_at()])
    assert merged.heat.tolist() == pytest.approx([0.2])
    assert merged.last_access_ms.tolist() == [900]


def test_a_bound_that_moves_a_little_changes_little() -> None:
    table = table_of(64)
    table.heat[:] = (0.8, 0.0)
    moved, _ = follow(table, [cut_at(66)])
    assert moved.heat.tolist() == pytest.approx([0.8 * 64 / 66, 0.0])


EDGES = st.sets(st.integers(1, PAGES - 1), max_size=20)


@given(st.lists(EDGES, min_size=2, max_size=6), st.data())
def test_no_heat_is_lost_or_made_however_often_regions_are_cut(cuts: list[set[int]], data: st.DataObject) -> None:
    table = table_of(*cuts[0])
    heats = data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(table), max_size=len(table)))
    accesses = data.draw(st.lists(st.integers(0, 5000), min_size=len(table), max_size=len(table)))
    table.heat[:], table.last_access_ms[:] = heats, accesses
    total = float((table.heat.astype(np.float64) * table.pages).sum())
    before = per_page(table, "last_access_ms")
    for edges in cuts[1:]:
        table, ended = follow(table, [cut_at(*edges)])
        assert len(ended) == 0
        after = per_page(table, "last_access_ms")
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after
    assert float((table.heat.astype(np.float64) * table.pages).sum()) == pytest.approx(total, rel=1e-4, abs=1e-4)
    assert max(before) == max(accesses)
