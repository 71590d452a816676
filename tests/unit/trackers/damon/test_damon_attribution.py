"""Records find the process they are about, by thread, position and time."""

import numpy as np

from memtierd.model import ProcessKey
from memtierd.trackers.damon.attribution import Tenure, attribute
from memtierd.trackers.damon.connection import Records
from tests.unit.trackers.damon.damon_fakes import aggregation

A, B, C = ProcessKey(10, 1), ProcessKey(20, 1), ProcessKey(30, 1)
ADDRESS = 0xFFFF_8880_0000_0000


def accesses(found: dict[ProcessKey, Records]) -> dict[ProcessKey, list[int]]:
    """Return the nr_accesses of each process."""
    return {key: records.nr_accesses.tolist() for key, records in found.items()}


def test_threads_and_positions_tell_processes_apart() -> None:
    records = Records.joined(
        [
            aggregation((0, 1, 1), (1, 2, 2), thread=7, target=0),
            aggregation((0, 1, 3), thread=7, target=1),
            aggregation((0, 1, 4), thread=8, target=0),
            aggregation((0, 1, 5), thread=9, target=0),  # somebody else's kdamond
            aggregation((0, 1, 6), thread=8, target=1),  # a position that is no target
        ]
    )
    found = attribute(records, [Tenure(7, (A, B)), Tenure(8, (C,))])
    assert accesses(found) == {A: [1, 2], B: [3], C: [4]}


def test_when_targets_change_the_time_tells_whose_a_record_is() -> None:
    records = Records.joined([aggregation((0, 1, time), thread=7, target=0, time_ns=time) for time in range(10)])
    found = attribute(records, [Tenure(7, (A,), until_ns=4), Tenure(7, (B,), since_ns=6)])
    assert accesses(found) == {A: [0, 1, 2, 3], B: [6, 7, 8, 9]}


def test_records_of_several_tenures_and_out_of_order_come_in_order() -> None:
    late = [aggregation((0, 1, time), thread=7, time_ns=time) for time in (5, 1, 3)]
    again = aggregation((0, 1, 9), thread=8, time_ns=9)
    found = attribute(Records.joined([again, *late]), [Tenure(7, (A,)), Tenure(8, (A,))])
    assert accesses(found) == {A: [1, 3, 5, 9]}


def test_kernel_addresses_are_ranked_as_they_appear() -> None:
    first = [
        aggregation((0, 1, 1), thread=7, target=ADDRESS + 64, time_ns=1),
        aggregation((0, 1, 2), thread=7, target=ADDRESS, time_ns=2),
    ]
    tenure = Tenure(7, (A, B))
    assert accesses(attribute(Records.joined(first), [tenure])) == {A: [1], B: [2]}
    # Later reports may begin anywhere, and one may be missing.
    later = aggregation((0, 1, 3), thread=7, target=ADDRESS, time_ns=3)
    assert accesses(attribute(later, [tenure])) == {B: [3]}


def test_too_few_kernel_addresses_tell_nothing() -> None:
    only = aggregation((0, 1, 1), thread=7, target=ADDRESS)
    assert attribute(only, [Tenure(7, (A, B))]) == {}


def test_nothing_to_attribute() -> None:
    assert attribute(Records.none(), [Tenure(7, (A,))]) == {}
    assert len(Records.joined([])) == 0
    assert Records.none().take(np.zeros(0, np.bool_)).start.dtype == np.uint64
