"""Remembering what was demoted, and what of it came back soon."""

from collections.abc import Sequence

import attrs
import numpy as np
import pytest

from memtierd.model import Bool
from memtierd.placement import damping as module
from memtierd.placement.damping import Damping
from memtierd.policies.common import MaxRefaultParams
from memtierd.regions.geometry import follow, without
from memtierd.regions.table import RegionTable
from tests.unit.regions.region_samples import Regions, addresses, cut

PARAMS = MaxRefaultParams(percent=20, window_ms=1000, damp_ms=3000, damp_max_ms=10_000)
FOUR = [(0, 8), (8, 8), (16, 8), (24, 8)]


def table_of(*regions: Regions) -> RegionTable:
    """Return a table with a process for each list of regions."""
    return follow(RegionTable(4), [cut(process, each) for process, each in enumerate(regions)])[0]


class Story:
    """Demotions and returns of rows of a table, with pages and times as plain numbers."""

    def __init__(self, table: RegionTable, params: MaxRefaultParams = PARAMS) -> None:
        self.table, self.params, self.damping = table, params, Damping()

    def demote(self, rows: Sequence[int], at_ms: int, pages: int = 8, *, to_swap: bool = False) -> None:
        """Demote this many pages of each row."""
        numbers = np.array(rows, np.int64)
        self.damping.begin(self.table, numbers, np.full(len(rows), to_swap))
        for row in rows:
            one = slice(row, row + 1)
            moved = np.array([pages], np.uint64)
            self.damping.end(int(self.table.process[row]), self.table.start[one], moved, at_ms)
            self.table.swapped_pages[row] += pages if to_swap else 0

    def learn(self, at_ms: int, wanted_back: Sequence[int] = (), unseen: Sequence[int] = ()) -> None:
        """Decide when these rows are wanted on faster memory."""
        seen = ~self._mask(unseen)
        self.damping.learn(self.table, self._mask(wanted_back), seen, self.params, at_ms)

    def _mask(self, rows: Sequence[int]) -> Bool:
        mask = np.zeros(len(self.table), np.bool_)
        mask[list(rows)] = True
        return mask

    def damped(self, at_ms: int) -> list[int]:
        """Return the rows that wait."""
        return [int(row) for row in self.damping.damped(self.table, at_ms)]

    def percent(self, at_ms: int) -> float:
        """Return how much came back."""
        return self.damping.percent(self.params, at_ms)


def test_what_is_wanted_back_soon_counts_once_and_waits() -> None:
    story = Story(table_of(FOUR))
    story.demote([0, 1, 2, 3], 100)
    story.learn(500)
    assert (story.percent(500), story.damped(500)) == (0, [])
    story.learn(600, wanted_back=[1])
    story.learn(700, wanted_back=[1])
    assert (story.percent(700), story.damped(700)) == (25, [1])
    assert story.damping.returns == 1
    assert (story.damped(3599), story.damped(3600)) == ([1], [])


def test_what_comes_back_late_does_not_count() -> None:
    story = Story(table_of(FOUR))
    story.demote([0], 100)
    story.learn(1101, wanted_back=[0])
    assert (story.percent(1101), story.damped(1101), story.damping.returns, len(story.damping)) == (0, [], 0, 0)


def test_only_the_window_counts() -> None:
    story = Story(table_of(FOUR))
    story.demote([0, 1], 100)
    story.learn(600, wanted_back=[0])
    story.demote([2], 1000)
    assert story.percent(1100) == pytest.approx(100 / 3)
    assert story.percent(1101) == 0
    assert story.percent(2001) == 0


def test_a_region_that_comes_back_again_and_again_waits_twice_as_long_up_to_the_longest() -> None:
    story, now_ms = Story(table_of(FOUR)), 100
    for wait_ms in (3000, 6000, 10_000, 10_000):
        story.demote([2], now_ms)
        story.learn(now_ms + 10, wanted_back=[2])
        assert story.damped(now_ms + 10 + wait_ms - 1) == [2]
        assert story.damped(now_ms + 10 + wait_ms) == []
        now_ms += wait_ms + 500
        story.learn(now_ms)


def test_a_region_that_stays_begins_anew() -> None:
    story = Story(table_of(FOUR))
    story.demote([2], 100)
    story.learn(110, wanted_back=[2])
    story.demote([2], 3200)
    story.learn(4201)
    assert len(story.damping) == 0
    story.demote([2], 9000)
    story.learn(9010, wanted_back=[2])
    assert (story.damped(9010 + 2999), story.damped(9010 + 3000)) == ([2], [])


def test_a_region_that_is_left_alone_for_as_long_as_it_waited_begins_anew() -> None:
    story = Story(table_of(FOUR))
    story.demote([2], 100)
    story.learn(110, wanted_back=[2])
    story.learn(6110)
    assert len(story.damping) == 1
    story.learn(6111)
    assert len(story.damping) == 0


def test_what_the_mover_could_not_move_was_not_demoted() -> None:
    story = Story(table_of(FOUR))
    story.demote([0], 100, pages=0)
    story.demote([1], 100, pages=4)
    story.learn(200, wanted_back=[0])
    assert (story.percent(200), story.damped(200)) == (0, [])
    story.damping.end(7, addresses(0, 999), np.array([8, 8], np.uint64), 200)
    assert story.percent(200) == 0


def test_a_demotion_that_is_only_tried_again_keeps_what_is_known() -> None:
    story = Story(table_of(FOUR))
    story.demote([0], 100)
    story.learn(110, wanted_back=[0])
    for at_ms in range(3200, 5200, 100):
        story.demote([0], at_ms, pages=0)
        story.learn(at_ms)
    story.demote([0], 5200)
    story.learn(5210, wanted_back=[0])
    assert story.damped(5210 + 5999) == [0]


@pytest.mark.parametrize(
    ("swapped_after", "used_ms", "unseen", "percent"),
    [
        (5, 300, (), 75),
        (3, 300, (), 100),
        (0, 300, (), 100),
        (11, 300, (), 0),
        (12, 300, (), 0),
        # given back by the process
        (3, 100, (), 0),
        # not known yet
        (3, 300, (0,), 0),
    ],
)
def test_what_comes_back_from_swap(swapped_after: int, used_ms: int, unseen: tuple[int, ...], percent: float) -> None:
    story = Story(table_of([(0, 16)]))
    story.table.swapped_pages[0] = 3
    story.demote([0], 100, pages=8, to_swap=True)
    assert story.table.swapped_pages.tolist() == [11]
    story.table.swapped_pages[0] = swapped_after
    story.table.last_access_ms[0] = used_ms
    story.learn(400, unseen=unseen)
    assert story.percent(400) == percent
    assert story.damped(400) == ([0] if percent else [])


def test_more_may_come_back_later_and_counts_as_one_return() -> None:
    story = Story(table_of([(0, 16)]))
    story.demote([0], 100, pages=8, to_swap=True)
    story.table.last_access_ms[0] = 300
    for at_ms, swapped, percent in ((400, 6, 25), (500, 2, 75), (600, 5, 75)):
        story.table.swapped_pages[0] = swapped
        story.learn(at_ms)
        assert story.percent(at_ms) == percent
    assert story.damping.returns == 1


def test_what_is_cut_anew_inherits_by_its_start() -> None:
    story = Story(table_of([(0, 4)], FOUR))
    story.demote([1, 3], 100)
    story.learn(110, wanted_back=[1])
    assert story.damped(120) == [1]
    story.table, _ = follow(story.table, [cut(0, [(0, 2), (2, 2)]), cut(1, [(0, 4), (4, 12), (16, 16)])])
    assert story.damped(120) == [2]
    story.learn(130, wanted_back=[4])
    assert story.damped(140) == [2, 4]
    story.table, _ = follow(story.table, [cut(1, [(0, 32)])])
    assert story.damped(140) == [2]
    story.table, _ = follow(story.table, [cut(1, [(4, 28)])])
    assert story.damped(140) == [2], "the one that began at 16"


def test_what_is_unmapped_is_forgotten_in_time() -> None:
    story = Story(table_of(FOUR))
    story.demote([0, 3], 100)
    story.learn(110, wanted_back=[0])
    story.table, _ = without(story.table, [0])
    assert story.damped(120) == []
    story.learn(10_000)
    assert len(story.damping) == 0


def test_a_process_that_ends_is_forgotten_and_its_row_begins_anew() -> None:
    story = Story(table_of(FOUR, FOUR))
    story.demote([0, 5], 100)
    story.learn(110, wanted_back=[0, 5])
    story.damping.forget([0])
    assert story.damped(120) == [5]
    assert len(story.damping) == 1


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    story = Story(table_of(FOUR))
    for row, at_ms in ((3, 100), (0, 101), (2, 102)):
        story.demote([row], at_ms)
    assert len(story.damping) == 2
    story.learn(110, wanted_back=[0, 2, 3])
    assert story.damped(120) == [0, 2]


def test_times_move_with_the_epoch() -> None:
    story = Story(table_of(FOUR))
    story.demote([0], 50_100)
    story.learn(50_110, wanted_back=[0])
    story.damping.shift_times(50_000)
    assert (story.damped(3109), story.damped(3110), story.percent(1100), story.percent(1101)) == ([0], [], 100, 0)


def test_waits_do_not_overflow() -> None:
    story = Story(table_of(FOUR), attrs.evolve(PARAMS, damp_ms=10**12, damp_max_ms=10**12, window_ms=10**12))
    for at_ms in range(100, 20_100, 200):
        story.demote([0], at_ms)
        story.learn(at_ms + 100, wanted_back=[0])
    assert story.damped(10**12) == [0]
    assert story.damping.returns == 100
