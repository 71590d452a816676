"""What one scan after the other leaves in the table: times, streaks, heat, counts and where pages lie."""

import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.regions.columns import JUDGED, MOST, NEVER_MS, SHOWN
from memtierd.regions.history import HeatDecay, active_ms, idle_ms, is_judged, next_heat, record
from memtierd.regions.table import RegionTable
from tests.unit.regions.region_samples import cut, facts_of, scan_of, table_of, u32

FOUR = [(0, 8), (8, 8), (16, 8), (24, 8)]
ALL = slice(0, 4)
FACTS = facts_of()


def new_table() -> RegionTable:
    """Return four fresh regions, seen first at 1000 ms."""
    return table_of(cut(0, FOUR, 1000))


def take_in(
    table: RegionTable,
    at_ms: int,
    accessed: list[int],
    primed: list[bool] | bool = True,
    gap_ms: int = 0,
    heat: HeatDecay | None = None,
) -> None:
    """Record one scan of the four regions."""
    scan = scan_of(FACTS, at_ms, FOUR, accessed=accessed, written=[n // 2 for n in accessed], primed=primed)
    record(table, ALL, scan, at_ms, heat, gap_ms)


def test_an_access_is_dated_to_the_start_of_the_scan_that_saw_it() -> None:
    table = new_table()
    take_in(table, 2000, [1, 0, 8, 0])
    assert table.last_access_ms.tolist() == [2000, 1000, 2000, 1000]
    assert table.accesses.tolist() == [1, 0, 8, 0]
    assert table.writes.tolist() == [0, 0, 4, 0]
    assert is_judged(table.flags).all()


def test_a_streak_starts_at_the_first_scan_that_sees_use_and_ends_at_the_first_that_does_not() -> None:
    table = new_table()
    take_in(table, 2000, [1, 1, 0, 0])
    take_in(table, 3000, [1, 0, 1, 0])
    take_in(table, 4500, [1, 1, 1, 0])
    assert table.active_since_ms.tolist() == [2000, 4500, 3000, NEVER_MS]
    assert active_ms(table.last_access_ms, table.active_since_ms).tolist() == [2500, 0, 1500, 0]


def test_counts_that_mean_nothing_change_no_history() -> None:
    table = new_table()
    take_in(table, 2000, [8, 8, 8, 8], primed=False)
    assert table.accesses.tolist() == [0] * 4
    assert table.writes.tolist() == [0] * 4
    assert table.last_access_ms.tolist() == [1000] * 4
    assert table.active_since_ms.tolist() == [NEVER_MS] * 4
    assert not is_judged(table.flags).any()


def test_where_pages_lie_is_taken_from_every_scan() -> None:
    table = new_table()
    scan = scan_of(FACTS, 2000, FOUR, primed=False, swapped=[1, 2, 3, 4], node=[0, 1, 2, 3])
    record(table, ALL, scan, 2000, None, 0)
    assert table.node_pages.tolist() == [[8, 0, 0, 0], [0, 8, 0, 0], [0, 0, 8, 0], [0, 0, 0, 8]]
    assert table.swapped_pages.tolist() == [1, 2, 3, 4]


def test_time_between_scans_that_cannot_tell_proves_neither_idleness_nor_use() -> None:
    table = new_table()
    take_in(table, 2000, [1, 0, 1, 0])
    take_in(table, 4000, [1, 0, 0, 0], gap_ms=2000)
    observed = np.full(4, 4000, np.uint32)
    idle_before = idle_ms(table.last_access_ms, observed).tolist()
    active_before = active_ms(table.last_access_ms, table.active_since_ms).tolist()
    assert (idle_before, active_before) == ([0, 3000, 2000, 3000], [2000, 0, 0, 0])
    take_in(table, 3_604_000, [8, 8, 8, 8], primed=False, gap_ms=3_600_000)
    observed[:] = 3_604_000
    assert idle_ms(table.last_access_ms, observed).tolist() == idle_before
    assert active_ms(table.last_access_ms, table.active_since_ms).tolist() == active_before
    take_in(table, 3_606_000, [1, 0, 0, 1], gap_ms=2000)
    observed[:] = 3_606_000
    assert idle_ms(table.last_access_ms, observed).tolist() == [0, 5000, 4000, 0]
    assert active_ms(table.last_access_ms, table.active_since_ms).tolist() == [4000, 0, 0, 0]


def test_a_fresh_region_is_not_dated_behind_the_scan_that_found_it() -> None:
    table = new_table()
    take_in(table, 1000, [0, 0, 0, 0], primed=False, gap_ms=5000)
    assert table.last_access_ms.tolist() == [1000] * 4


def test_only_some_regions_can_be_judged() -> None:
    table = new_table()
    take_in(table, 2000, [3, 3, 3, 3], primed=[True, False, True, False], gap_ms=1000)
    assert table.accesses.tolist() == [3, 0, 3, 0]
    assert is_judged(table.flags).tolist() == [True, False, True, False]
    assert table.last_access_ms.tolist() == [2000, 2000, 2000, 2000]


def test_other_flags_are_kept() -> None:
    table = new_table()
    table.flags[:] = [0, SHOWN, JUDGED, SHOWN | JUDGED]
    take_in(table, 2000, [0] * 4, primed=[True, True, False, False])
    assert table.flags.tolist() == [JUDGED, SHOWN | JUDGED, JUDGED, SHOWN | JUDGED]


def test_counts_stop_at_the_most_that_fits() -> None:
    table = new_table()
    table.accesses[:] = [MOST, MOST - 3, MOST - 8, 5]
    take_in(table, 2000, [8, 8, 8, 8])
    assert table.accesses.tolist() == [MOST, MOST, MOST, 13]


def test_rows_of_others_are_not_touched() -> None:
    table = table_of(cut(0, FOUR, 1000), cut(1, [(0, 8)], 1000))
    take_in(table, 2000, [8, 8, 8, 8], heat=HeatDecay(1, 0.5))
    assert (table.accesses[4], table.last_access_ms[4], table.heat[4], table.flags[4]) == (0, 1000, 0, 0)


@pytest.mark.parametrize(
    ("observed", "last", "idle"), [(5000, 2000, 3000), (2000, 2000, 0), (1000, 2000, 0), (0, 2000, 0)]
)
def test_idle_time_ends_at_the_last_scan(observed: int, last: int, idle: int) -> None:
    assert idle_ms(u32(last), u32(observed)).tolist() == [idle]


def test_times_near_the_end_of_32_bits() -> None:
    assert idle_ms(u32(0, 1), u32(MOST, MOST - 1)).tolist() == [MOST, MOST - 2]
    assert active_ms(u32(MOST - 1), u32(5)).tolist() == [MOST - 6]


def test_heat_is_accesses_a_page_on_top_of_what_is_left() -> None:
    table, decay = new_table(), HeatDecay(maximum=2.0, retention=0.5)
    take_in(table, 1000, [8, 4, 1, 0], heat=decay)
    assert table.heat.tolist() == [1.0, 0.5, 0.125, 0.0]
    take_in(table, 3000, [0, 8, 0, 0], heat=decay, gap_ms=2000)
    assert table.heat.tolist() == [0.25, 1.125, 0.03125, 0.0]
    take_in(table, 3500, [8, 8, 8, 8], heat=decay, gap_ms=500)
    assert table.heat.tolist() == pytest.approx([1.1767766, 1.7954951, 1.0220971, 1.0])
    take_in(table, 3500, [8, 8, 8, 8], heat=decay)
    assert table.heat.tolist() == pytest.approx([2.0, 2.0, 2.0, 2.0])


def test_heat_stays_while_scans_cannot_tell() -> None:
    table, decay = new_table(), HeatDecay(maximum=2.0, retention=0.5)
    take_in(table, 1000, [8, 4, 0, 0], heat=decay)
    take_in(table, 601_000, [8, 8, 8, 8], primed=[False, False, True, False], heat=decay, gap_ms=600_000)
    assert table.heat.tolist() == [1.0, 0.5, 1.0, 0.0]


@pytest.mark.parametrize(("retention", "left"), [(0.0, 0.0), (1.0, 0.8), (0.9513, 0.8 * 0.9513**3)])
def test_heat_fades_by_its_retention_a_second(retention: float, left: float) -> None:
    heat = np.array([0.8], np.float32)
    faded = next_heat(heat, u32(0), u32(512), 3.0, HeatDecay(1.0, retention))
    assert faded.tolist() == pytest.approx([left], rel=1e-6)


@given(st.floats(0, 1), st.floats(0, 100), st.floats(0, 100))
def test_heat_fades_alike_in_one_step_or_two(retention: float, first_s: float, second_s: float) -> None:
    heat, decay = np.array([0.75], np.float32), HeatDecay(1.0, retention)
    twice = next_heat(next_heat(heat, u32(0), u32(1), first_s, decay), u32(0), u32(1), second_s, decay)
    once = next_heat(heat, u32(0), u32(1), first_s + second_s, decay)
    assert math.isclose(float(twice[0]), float(once[0]), rel_tol=1e-4, abs_tol=1e-30)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.booleans(), st.booleans()), max_size=30))
def test_idle_and_active_time_agree_with_a_plain_account(scans: list[tuple[int, bool, bool]]) -> None:
    """Follow one region through scans (gap, primed, used) and add up by hand."""
    table = table_of(cut(0, [(0, 8)], 0))
    now_ms = idle = active = 0
    streak = False
    for gap_ms, primed, used in scans:
        now_ms += gap_ms
        record(table, slice(0, 1), scan_of(FACTS, now_ms, [(0, 8)], accessed=used, primed=primed), now_ms, None, gap_ms)
        if primed:
            active = active + gap_ms if used and streak else 0
            idle = 0 if used else idle + gap_ms
            streak = used
        assert idle_ms(table.last_access_ms, u32(now_ms)).tolist() == [idle]
        assert active_ms(table.last_access_ms, table.active_since_ms).tolist() == [active]


def test_a_scan_that_covers_the_time_of_those_that_could_not_tell_makes_up_for_them() -> None:
    table = new_table()
    heat = HeatDecay(1.0, 0.5)
    take_in(table, 2000, [1, 0, 1, 0], gap_ms=1000, heat=heat)
    hot = table.heat[0]
    for at_ms in (3000, 4000, 5000):
        take_in(table, at_ms, [0, 0, 0, 0], primed=False, gap_ms=1000, heat=heat)
    scan = scan_of(FACTS, 6000, FOUR, accessed=[0, 0, 1, 0], primed=[True, True, True, False])
    covering = attrs.evolve(scan, covered_ms=u32(4000, 2000, 4000, 4000))
    record(table, ALL, covering, 6000, heat, 1000)
    observed = np.full(4, 6000, np.uint32)
    assert idle_ms(table.last_access_ms, observed).tolist() == [4000, 3000, 0, 1000]
    assert active_ms(table.last_access_ms, table.active_since_ms).tolist() == [0, 0, 4000, 0]
    assert table.heat[0] == pytest.approx(hot * 0.5**4)
    assert table.heat[3] == 0


def test_covering_less_than_the_gap_takes_nothing_back() -> None:
    table = new_table()
    covering = attrs.evolve(scan_of(FACTS, 6000, FOUR), covered_ms=u32(0, 1000, 5000, MOST))
    record(table, ALL, covering, 6000, None, 5000)
    assert table.last_access_ms.tolist() == [1000, 1000, 1000, 0]
