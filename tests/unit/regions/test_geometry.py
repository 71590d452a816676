"""History follows the pages when regions are cut anew: checked against a slow twin that looks at every page."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import U64
from memtierd.regions.columns import JUDGED, MOST, NEVER_MS, SHOWN
from memtierd.regions.geometry import Cut, containing, follow, is_same, match, overlaps, without
from memtierd.regions.lifecycle import BACKOFF, QUEUED, SETTLED, UNSEEN
from memtierd.regions.table import RegionTable
from tests.unit.regions.region_samples import Regions, addresses, as_pages, cut, table_of, u32

FROM_MAIN = ("active_since_ms", "activity", "desired", "failures", "outcome")
OBSERVED = ("swapped_pages", "placement", "not_before_ms", "flags")


def row_of(table: RegionTable, row: int) -> dict[str, float]:
    """Return the columns of one row as plain values."""
    return {name: values[row].item() for name, values in table.columns()}


def pages_of(table: RegionTable, row: int) -> set[tuple[int, int]]:
    """Return every page of a row, as (process row, page)."""
    process, first, pages = as_pages(table)[row]
    return {(process, page) for page in range(first, first + pages)}


def shared_pages(old: RegionTable, new: RegionTable) -> list[dict[int, int]]:
    """Return for each new row the old rows and how many pages they have in common, page by page."""
    owner = {page: row for row in range(len(old)) for page in pages_of(old, row)}
    result: list[dict[int, int]] = []
    for row in range(len(new)):
        counts: dict[int, int] = {}
        for page in sorted(pages_of(new, row)):
            if page in owner:
                counts[owner[page]] = counts.get(owner[page], 0) + 1
        result.append(counts)
    return result


def check_fresh(row: dict[str, float], seen_ms: int) -> None:
    """Demand that nothing is known of a row."""
    assert row["last_access_ms"] == seen_ms
    assert row["active_since_ms"] == NEVER_MS
    assert row["placement"] == UNSEEN
    known = {"process", "start", "pages", "last_access_ms", "active_since_ms", "placement"}
    assert not any(value for name, value in row.items() if name not in known)


def check_heir(row: dict[str, float], parts: list[tuple[dict[str, float], int]]) -> None:
    """Demand what an heir has of its parts (old row, pages in common), in address order."""
    main = max(parts, key=lambda part: part[1])[0]
    total = sum(pages for _, pages in parts)
    for name in FROM_MAIN:
        assert row[name] == main[name]
    assert row["last_access_ms"] == max(old["last_access_ms"] for old, _ in parts)
    assert row["heat"] == pytest.approx(sum(old["heat"] * pages for old, pages in parts) / total, rel=1e-5)
    for name in ("accesses", "writes"):
        share = sum(old[name] * pages / old["pages"] for old, pages in parts)
        assert row[name] == pytest.approx(share, abs=0.51)
    if (row["start"], row["pages"]) == (main["start"], main["pages"]):
        for name in OBSERVED:
            assert row[name] == main[name]
    else:
        assert row["placement"] == UNSEEN
        assert row["not_before_ms"] == (main["not_before_ms"] if main["placement"] == UNSEEN else 0)
        assert row["flags"] == int(main["flags"]) & ~SHOWN
        assert row["swapped_pages"] == 0


def check_against_twin(old: RegionTable, cuts: list[Cut]) -> RegionTable:
    """Cut a table anew, compare every row with the slow twin, and return the new table."""
    new, ended = follow(old, cuts)
    recut = {one.process: one for one in cuts}
    keys = [(process, first) for process, first, _ in as_pages(new)]
    assert keys == sorted(keys)
    for process, one in recut.items():
        assert is_same(new, one)
        assert new.rows_of(process).stop - new.rows_of(process).start == len(one.start)
    shared = shared_pages(old, new)
    for row, parts in enumerate(shared):
        process = int(new.process[row])
        if process not in recut:
            (same,) = parts
            assert row_of(new, row) == row_of(old, same)
            assert new.node_pages[:, row].tolist() == old.node_pages[:, same].tolist()
        elif parts:
            check_heir(row_of(new, row), [(row_of(old, r), n) for r, n in parts.items()])
        else:
            check_fresh(row_of(new, row), recut[process].seen_ms)
    inherited = {r for parts in shared for r in parts}
    assert as_pages(ended) == [region for r, region in enumerate(as_pages(old)) if r not in inherited]
    return new


@st.composite
def layouts(draw: st.DrawFn) -> Regions:
    """Return regions as (first page, pages), ascending, with and without gaps."""
    first, regions = draw(st.integers(0, 12)), []
    for pages, gap in draw(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0, 0, 0, 1, 7])), max_size=6)):
        regions.append((first, pages))
        first += pages + gap
    return regions


@st.composite
def filled_tables(draw: st.DrawFn) -> RegionTable:
    """Return a table of three processes with random history."""
    table = table_of(*(cut(process, draw(layouts())) for process in (1, 2, 5)))
    random = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    rows = len(table)
    for name in ("accesses", "writes", "swapped_pages", "not_before_ms", "last_access_ms"):
        getattr(table, name)[:] = random.integers(0, 1000, rows)
    for name in ("activity", "placement", "desired", "failures", "outcome", "flags"):
        getattr(table, name)[:] = random.integers(0, 4, rows)
    table.active_since_ms[:] = np.where(random.random(rows) < 0.5, NEVER_MS, random.integers(0, 1000, rows))
    table.heat[:] = random.random(rows)
    table.node_pages[:] = random.integers(0, 9, (4, rows))
    return table


@given(filled_tables(), st.dictionaries(st.sampled_from([1, 2, 3, 5, 9]), layouts(), max_size=4))
def test_any_new_cut_inherits_page_by_page(old: RegionTable, layout_of: dict[int, Regions]) -> None:
    check_against_twin(old, [cut(process, layout, 5000 + process) for process, layout in layout_of.items()])


@given(filled_tables())
def test_the_same_cut_changes_nothing_at_all(old: RegionTable) -> None:
    same = [
        Cut(process, old.start[old.rows_of(process)], old.pages[old.rows_of(process)], 9999) for process in (1, 2, 5)
    ]
    new, ended = follow(old, same)
    assert len(ended) == 0
    assert [row_of(new, row) for row in range(len(new))] == [row_of(old, row) for row in range(len(old))]
    assert new.node_pages.tolist() == old.node_pages.tolist()


def known(*cuts: Cut) -> RegionTable:
    """Return a table whose rows all have a history of their own: settled, judged, and numbered."""
    table = table_of(*cuts)
    numbers = np.arange(1, len(table) + 1)
    table.activity[:], table.last_access_ms[:], table.heat[:] = numbers, numbers * 100, numbers
    table.accesses[:], table.placement[:], table.flags[:] = numbers * 1000, SETTLED, JUDGED
    table.node_pages[0] = table.pages
    return table


CHANGES: dict[str, tuple[Regions, Regions, list[int], list[int]]] = {
    # old regions, new regions, activity afterwards (0: fresh), placement afterwards
    "grows at the end": ([(0, 8), (8, 4)], [(0, 8), (8, 8), (16, 2)], [1, 2, 0], [SETTLED, UNSEEN, UNSEEN]),
    "grows at the start": ([(8, 8)], [(5, 3), (8, 8)], [0, 1], [UNSEEN, SETTLED]),
    "cut in the middle": ([(0, 10)], [(0, 3), (7, 3)], [1, 1], [UNSEEN, UNSEEN]),
    "split": ([(0, 8), (8, 8)], [(0, 4), (4, 4), (8, 8)], [1, 1, 2], [UNSEEN, UNSEEN, SETTLED]),
    "merged, the larger wins": ([(0, 3), (3, 5)], [(0, 8)], [2], [UNSEEN]),
    "merged, the first of equals wins": ([(0, 4), (4, 4)], [(0, 8)], [1], [UNSEEN]),
    "moved away": ([(0, 4)], [(100, 4)], [0], [UNSEEN]),
    "shrunk to nothing": ([(0, 4)], [], [], []),
    "another grid": ([(0, 6), (6, 6)], [(0, 4), (4, 4), (8, 4)], [1, 1, 2], [UNSEEN] * 3),
}


@pytest.mark.parametrize(("old", "new", "activity", "placement"), CHANGES.values(), ids=CHANGES.keys())
def test_mappings_change(old: Regions, new: Regions, activity: list[int], placement: list[int]) -> None:
    neighbour = [(0, 50), (60, 5)]
    table = known(cut(4, old), cut(5, neighbour))
    after = check_against_twin(table, [cut(4, new)])
    mine = after.rows_of(4)
    assert after.activity[mine].tolist() == activity
    assert after.placement[mine].tolist() == placement
    assert after.activity[after.rows_of(5)].tolist() == table.activity[table.rows_of(5)].tolist()


def test_counts_are_neither_lost_nor_doubled_when_a_region_is_split_and_merged() -> None:
    table = table_of(cut(1, [(0, 49)]))
    table.accesses[:], table.writes[:] = 49, 7
    split, _ = follow(table, [cut(1, [(page, 1) for page in range(49)])])
    assert split.accesses.tolist() == [1] * 49
    merged, _ = follow(split, [cut(1, [(0, 49)])])
    assert merged.accesses.tolist() == [49]


def test_merged_counts_stop_at_the_most_that_fits() -> None:
    table = table_of(cut(1, [(0, 1), (1, 1)]))
    table.accesses[:] = MOST - 1
    merged, _ = follow(table, [cut(1, [(0, 2)])])
    assert merged.accesses.tolist() == [MOST]


def test_a_region_of_the_mover_with_new_bounds_waits_to_be_seen() -> None:
    table = table_of(cut(1, [(0, 4), (4, 4), (8, 4)]))
    table.placement[:], table.not_before_ms[:], table.failures[:] = [QUEUED, BACKOFF, UNSEEN], 700, 3
    after, _ = follow(table, [cut(1, [(0, 3), (4, 3), (8, 3)])])
    assert after.placement.tolist() == [UNSEEN] * 3
    assert after.not_before_ms.tolist() == [0, 0, 700]
    assert after.failures.tolist() == [3, 3, 3]


def test_nothing_to_cut_gives_the_same_table() -> None:
    table = known(cut(1, [(0, 4)]))
    after, ended = follow(table, [])
    assert after is table
    assert len(ended) == 0


def test_without_removes_exactly_these_processes() -> None:
    table = known(cut(1, [(0, 4)]), cut(2, [(0, 4), (4, 4)]), cut(3, [(8, 1)]))
    kept, removed = without(table, [2, 77])
    assert as_pages(kept) == [(1, 0, 4), (3, 8, 1)]
    assert as_pages(removed) == [(2, 0, 4), (2, 4, 4)]
    assert kept.rows_of(2) == slice(0, 0)
    assert kept.rows_of(3) == slice(1, 2)


def test_overlaps_stay_within_a_process_even_at_equal_addresses() -> None:
    old = table_of(cut(1, [(0, 8)]), cut(2, [(0, 8)]))
    new = table_of(cut(1, [(4, 2), (6, 9)]), cut(2, [(8, 1)]))
    pair_new, pair_old, common = overlaps(old, new)
    assert list(zip(pair_new.tolist(), pair_old.tolist(), common.tolist(), strict=True)) == [(0, 0, 2), (1, 0, 2)]


TABLE = table_of(cut(1, [(0, 4), (4, 4), (20, 2)]), cut(3, [(0, 4), (10, 4)]))


@pytest.mark.parametrize(
    ("process", "regions", "rows", "found"),
    [
        (1, [(0, 4), (20, 2)], [0, 2], [True, True]),
        (1, [(0, 3), (4, 4), (20, 3)], [1], [False, True, False]),
        (1, [(2, 2), (5, 1), (100, 1)], [], [False, False, False]),
        (3, [(0, 4), (4, 4), (10, 4)], [3, 4], [True, False, True]),
        (2, [(0, 4)], [], [False]),
        (9, [(0, 4)], [], [False]),
        (1, [], [], []),
    ],
)
def test_match_finds_equal_regions_only(process: int, regions: Regions, rows: list[int], found: list[bool]) -> None:
    wanted = cut(process, regions)
    got_rows, got_found = match(TABLE, process, wanted.start, wanted.pages)
    assert got_rows.tolist() == rows
    assert got_found.tolist() == found


@pytest.mark.parametrize(
    ("process", "first_pages", "rows"),
    [
        (1, [0], [0]),
        (1, [3, 4, 7], [0, 1]),
        (1, [8, 19, 22, 1000], []),
        (1, [21, 0, 1], [0, 2]),
        (3, [0, 13, 14], [3, 4]),
        (2, [0], []),
        (9, [0], []),
        (1, [], []),
    ],
)
def test_containing_finds_the_regions_around_addresses(process: int, first_pages: list[int], rows: list[int]) -> None:
    assert containing(TABLE, process, addresses(*first_pages)).tolist() == rows


def test_addresses_below_the_first_region_are_in_none() -> None:
    table = table_of(cut(1, [(5, 4)]), cut(3, [(5, 4)]))
    for process in (1, 3):
        assert containing(table, process, addresses(0, 4)).tolist() == []
        assert match(table, process, addresses(0, 4), u32(4, 4))[0].tolist() == []


def test_an_empty_table_matches_and_contains_nothing() -> None:
    table = RegionTable(4)
    start: U64 = addresses(0, 5)
    rows, found = match(table, 1, start, u32(1, 1))
    assert (rows.tolist(), found.tolist()) == ([], [False, False])
    assert containing(table, 1, start).tolist() == []


@given(layouts(), st.lists(st.integers(0, 80), max_size=8))
def test_containing_agrees_with_looking_at_every_page(layout: Regions, pages: list[int]) -> None:
    table = table_of(cut(1, [(0, 200)]), cut(2, layout), cut(3, [(0, 200)]))
    expected = {row for row in range(1, len(table) - 1) for page in pages if (2, page) in pages_of(table, row)}
    assert containing(table, 2, addresses(*pages)).tolist() == sorted(expected)
