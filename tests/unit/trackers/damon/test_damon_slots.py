"""Processes are divided among kdamonds, and keep their places."""

from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import AddressRange, ProcessKey
from memtierd.trackers.damon.slots import assign, bounding_ranges, reslot
from tests.unit.trackers.tracker_fakes import mapping

KEYS = [ProcessKey(pid, 1) for pid in range(1, 8)]
A, B, C, D, E, F, G = KEYS


def test_processes_are_spread_evenly() -> None:
    assigned = assign({}, KEYS, (3, 5), None)
    loads = [list(assigned.values()).count(kdamond) for kdamond in (3, 5)]
    assert sorted(loads) == [3, 4]


def test_processes_stay_where_they_are_and_new_ones_go_where_there_are_fewest() -> None:
    current = {A: 3, B: 3, C: 3, D: 5}
    assert assign(current, [A, B, D, E, F], (3, 5), None) == {A: 3, B: 3, D: 5, E: 5, F: 3}


def test_a_kdamond_that_is_not_used_any_more_gives_its_processes_away() -> None:
    assert assign({A: 9}, [A], (3,), None) == {A: 3}


def test_what_does_not_fit_is_left_out() -> None:
    assert assign({B: 3}, [A, B, C], (3, 5), 1) == {B: 3, A: 5}


def test_new_processes_take_the_places_of_those_that_left() -> None:
    assert reslot((A, B, C), {A, C, D}) == (A, D, C)
    assert reslot((A, B, C), {A, C}) == (A, C)
    assert reslot((A, B, C, D), {D, C}) == (D, C)
    assert reslot((), {B, A}) == (A, B)
    assert reslot((A,), set()) == ()


@given(st.lists(st.sampled_from(KEYS), unique=True), st.sets(st.sampled_from(KEYS)))
def test_slots_hold_exactly_the_wanted_and_move_as_few_as_possible(
    old: list[ProcessKey], wanted: set[ProcessKey]
) -> None:
    slots = reslot(old, wanted)
    assert set(slots) == wanted
    assert len(slots) == len(wanted)
    staying = [key for place, key in enumerate(old) if key in wanted and place < len(wanted)]
    assert all(slots[old.index(key)] == key for key in staying)


def test_ranges_are_apart_where_gaps_are_largest() -> None:
    mappings = [mapping(0, 10), mapping(11, 20), mapping(100, 110), mapping(112, 120), mapping(1000, 1001)]
    first = mappings[0].start // 4096

    def pages(most: int) -> list[tuple[int, int]]:
        return [(one.start // 4096 - first, one.end // 4096 - first) for one in bounding_ranges(mappings, most)]

    assert pages(1) == [(0, 1001)]
    assert pages(3) == [(0, 20), (100, 120), (1000, 1001)]
    assert pages(100) == [(0, 10), (11, 20), (100, 110), (112, 120), (1000, 1001)]


def test_adjacent_mappings_are_one_range() -> None:
    first = mapping(0, 10)
    assert bounding_ranges([first, mapping(10, 20)], 3) == (AddressRange(first.start, first.start + 20 * 4096),)
    assert bounding_ranges([], 3) == ()
