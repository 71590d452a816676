"""The journal keeps the latest transitions of every region, and no more than it can hold."""

import pytest

from memtierd.model import U8, U64
from memtierd.regions.journal import ACTIVITY, PLACEMENT, Change, Journal
from tests.unit.regions.region_samples import addresses, u32


def write(journal: Journal, at_ms: int, *first_pages: int, pid: int = 7, machine: int = ACTIVITY) -> None:
    """Record one transition 0 → 1 by event 2 for each region."""
    start: U64 = addresses(*first_pages)
    codes: list[U8] = [u32(*([code] * len(start))).astype("u1") for code in (0, 1, 2)]
    journal.record(at_ms, machine, pid, start, codes[0], codes[1], codes[2])


def times(journal: Journal, first_page: int, pid: int = 7) -> list[int]:
    """Return the times of the kept transitions of a region."""
    return [change.at_ms for change in journal.of_region(pid, int(addresses(first_page)[0]))]


def test_transitions_of_a_region_in_order() -> None:
    journal = Journal(10)
    write(journal, 5, 0, 1)
    write(journal, 6, 0, machine=PLACEMENT)
    write(journal, 7, 0, pid=8)
    assert journal.of_region(7, int(addresses(0)[0])) == (Change(5, ACTIVITY, 0, 1, 2), Change(6, PLACEMENT, 0, 1, 2))
    assert times(journal, 1) == [5]
    assert times(journal, 2) == []
    assert journal.forgotten == 0


@pytest.mark.parametrize(("capacity", "kept"), [(3, [3, 4, 5]), (4, [2, 3, 4, 5]), (5, [1, 2, 3, 4, 5])])
def test_the_oldest_fall_out(capacity: int, kept: list[int]) -> None:
    journal = Journal(capacity)
    for at_ms in range(1, 6):
        write(journal, at_ms, 0)
    assert times(journal, 0) == kept
    assert journal.forgotten == 5 - capacity


def test_more_at_once_than_it_holds() -> None:
    journal = Journal(4)
    write(journal, 1, 100)
    write(journal, 2, *range(10))
    assert [times(journal, page) for page in range(10)] == [[]] * 6 + [[2]] * 4
    write(journal, 3, 8, 9)
    assert [times(journal, page) for page in (6, 7, 8, 9)] == [[], [], [2, 3], [2, 3]]
    assert journal.forgotten == 9


def test_dropping_one_machine_keeps_the_other() -> None:
    journal = Journal(4)
    write(journal, 1, 0)
    write(journal, 2, 0, machine=PLACEMENT)
    journal.drop(ACTIVITY)
    assert [change.machine for change in journal.of_region(7, int(addresses(0)[0]))] == [PLACEMENT]


def test_times_shift_with_the_epoch() -> None:
    journal = Journal(4)
    write(journal, 50, 0)
    write(journal, 500, 0)
    journal.shift_times(100)
    assert times(journal, 0) == [0, 400]
