"""The ratio policy: the least accessed memory makes up the portion that belongs on the targets."""

import numpy as np
import pytest

from memtierd.config import structure
from memtierd.errors import ConfigError
from memtierd.model import SWAP_NODE, U8, MachineFacts
from memtierd.policies import build
from memtierd.policies.common import History, Place
from memtierd.policies.ratio import RatioParams, RatioPolicy
from tests.unit.policies.policy_samples import PAGES, history_with
from tests.unit.reconcile_samples import Life
from tests.unit.regions.region_samples import MS, facts_of, scan_of

UNKNOWN, KEPT, CHOSEN = 0, 1, 2


def policy_of(ratio: float = 0.3, *targets: int) -> RatioPolicy:
    """Return a policy; without targets that is swap."""
    return RatioPolicy(RatioParams(ratio=ratio, ratio_targets=targets or (SWAP_NODE,)))


def states(policy: RatioPolicy, history: History, before: U8 | None = None) -> list[int]:
    """Return the states of all regions after one decision."""
    before = np.zeros(len(history.pages), np.uint8) if before is None else before
    after: list[int] = policy.activity.step(before, policy.events(history)).tolist()
    return after


def chosen(policy: RatioPolicy, history: History) -> list[int]:
    """Return the rows that are chosen."""
    return [row for row, state in enumerate(states(policy, history)) if state == CHOSEN]


def on_node(node: int, regions: int, rows: list[int]) -> list[list[int]]:
    """Return node_pages with these rows on a node and all others on node 0."""
    return [
        [PAGES if (row in rows) == (column == node) and column in {0, node} else 0 for row in range(regions)]
        for column in range(4)
    ]


def test_the_least_accessed_regions_make_up_the_portion() -> None:
    history = history_with(10, accesses=[90, 80, 10, 70, 60, 0, 50, 40, 20, 30])
    assert chosen(policy_of(0.3), history) == [2, 5, 8]
    assert chosen(policy_of(1.0), history) == list(range(10))
    assert states(policy_of(0.3), history)[0] == KEPT


def test_writes_decide_between_equal_accesses_and_then_the_order_of_addresses() -> None:
    assert chosen(policy_of(0.25), history_with(4, accesses=[5, 5, 5, 5], writes=[2, 1, 0, 3])) == [2]
    assert chosen(policy_of(0.5), history_with(4, accesses=[5, 5, 5, 5], writes=[1, 1, 1, 1])) == [0, 1]


def test_accesses_of_32_bits_are_told_apart() -> None:
    most = 0xFFFF_FFFF
    assert chosen(policy_of(0.5), history_with(2, accesses=[most, most - 1], writes=[0, most])) == [1]


def test_what_is_on_a_target_counts_and_stays() -> None:
    history = history_with(10, accesses=list(range(10)), swapped_pages=[0] * 8 + [PAGES] * 2)
    history.node_pages[:, 8:] = 0
    assert chosen(policy_of(0.3), history) == [0, 8, 9]
    history.swapped_pages[7], history.node_pages[0, 7] = PAGES, 0
    assert chosen(policy_of(0.3), history) == [7, 8, 9]
    history.swapped_pages[6], history.node_pages[0, 6] = PAGES, 0
    assert chosen(policy_of(0.3), history) == [6, 7, 8, 9]


def test_it_comes_to_rest_while_memory_is_moved_step_by_step() -> None:
    policy = policy_of(0.3, 2)
    accesses = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    first = chosen(policy, history_with(10, accesses=accesses))
    assert first == [1, 3, 6]
    for moved in (first[:1], first[:2], first):
        assert chosen(policy, history_with(10, accesses=accesses, node_pages=on_node(2, 10, moved))) == first
    # Other use later changes nothing as long as the portion is there.
    assert chosen(policy, history_with(10, accesses=accesses[::-1], node_pages=on_node(2, 10, first))) == first


def test_any_target_is_right() -> None:
    policy = policy_of(0.5, 2, SWAP_NODE)
    history = history_with(4, accesses=[1, 2, 3, 4], node_pages=on_node(2, 4, [3]))
    history.swapped_pages[2], history.node_pages[0, 2] = PAGES, 0
    assert chosen(policy, history) == [2, 3]
    assert policy.places[policy.place_of_state[CHOSEN]] == Place((2, SWAP_NODE))
    assert policy.places[policy.place_of_state[KEPT]] == Place(())


def test_swapped_memory_is_part_of_the_whole_and_can_not_be_moved_to_a_node() -> None:
    history = history_with(4, accesses=[0, 1, 2, 3], swapped_pages=[PAGES, 0, 0, 0])
    history.node_pages[0, 0] = 0
    assert chosen(policy_of(0.25, 2), history) == [1]


def test_of_a_region_partly_there_only_the_rest_is_missing() -> None:
    history = history_with(2, accesses=[0, 1], swapped_pages=[PAGES // 2, 0])
    history.node_pages[0, 0] = PAGES // 2
    assert chosen(policy_of(0.5), history) == [0]
    assert chosen(policy_of(0.25), history) == []


def test_a_region_larger_than_what_is_missing_is_taken_only_if_that_comes_closer() -> None:
    pages = [1000, 100, 100]
    assert chosen(policy_of(0.3), history_with(3, accesses=[0, 1, 2], pages=pages)) == []
    assert chosen(policy_of(0.5), history_with(3, accesses=[0, 1, 2], pages=pages)) == [0]


def test_what_no_scan_could_judge_stays_and_counts_in_the_whole() -> None:
    history = history_with(4, judged=[False, True, True, True], accesses=[0, 1, 2, 3])
    assert states(policy_of(0.25), history) == [UNKNOWN, CHOSEN, KEPT, KEPT]


def test_what_could_not_be_moved_is_taken_only_for_want_of_anything_else() -> None:
    history = history_with(4, accesses=[0, 1, 2, 3], failures=[1, 0, 3, 0])
    assert chosen(policy_of(0.25), history) == [1]
    assert chosen(policy_of(0.5), history) == [1, 3]
    assert chosen(policy_of(0.75), history) == [0, 1, 3]


def test_nothing_to_decide() -> None:
    assert chosen(policy_of(), history_with(0)) == []
    empty = history_with(2)
    empty.node_pages[:] = 0
    assert states(policy_of(), empty) == [KEPT, KEPT]


def test_the_least_accessed_moves_first_and_says_why() -> None:
    policy = policy_of(0.3, 2, SWAP_NODE)
    history = history_with(3, accesses=[7, 0, 3])
    activity = np.full(3, CHOSEN, np.uint8)
    value = policy.measure(history, activity)
    assert np.argsort(-policy.urgency(activity, value)).tolist() == [1, 2, 0]
    assert policy.explain(CHOSEN, 7.0) == "7 accesses, belongs to the 30 % for node 2 or swap"
    assert policy.explain(KEPT, 9.0) == "9 accesses, not needed for the 30 % for node 2 or swap: stays where it is"
    assert "no scan could tell yet" in policy.explain(UNKNOWN, 0.0)
    assert policy.adapt(MachineFacts((), 0, 0)) is policy


def test_defaults() -> None:
    params = structure("policy", "ratio", "{pids: [7], ratio: 0.3}", "x")
    assert isinstance(build(params), RatioPolicy)
    assert (params.ratio, params.ratio_targets, params.interval_ms) == (0.3, (SWAP_NODE,), 5000)
    assert params.tracker.name == "auto"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{pids: [7]}", "missing key"),
        ("{pids: [7], ratio: 0}", "ratio"),
        ("{pids: [7], ratio: -0.1}", "ratio"),
        ("{pids: [7], ratio: 1.01}", "ratio"),
        ("{pids: [7], ratio: 0.3, ratiotargets: []}", "ratiotargets: no targets"),
        ("{pids: [7], ratio: 0.3, ratiotargets: [-2]}", "ratiotargets"),
        ("{ratio: 0.3}", "whom to watch"),
        ("{pids: [7], ratio: 0.3, tracker: {name: finder}}", "tracker: the tracker finder sees no accesses"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        structure("policy", "ratio", text, "x")


def test_moves_at_every_tick_and_scans_at_every_third_end_exactly_at_the_ratio() -> None:
    life = Life(policy_of(0.3, 2))
    regions = [(first, PAGES) for first in range(0, 40 * PAGES, PAGES)]
    nodes = np.zeros(40, np.uint32)
    used = np.arange(40) % 2
    life.scan(scan_of(facts_of(), 0, regions, primed=False, node=nodes.tolist()))
    moved = []
    for tick in range(1, 31):
        at_ms = tick * 1000
        if tick % 3 == 0:
            life.scan(scan_of(facts_of(), at_ms - 100, regions, accessed=used.tolist(), node=nodes.tolist()))
        some = life.decide(at_ms).moves.choose(slice(0, 2))
        if len(some):
            life.reconciler.enqueue(some.row, at_ms * MS)
            nodes[some.row] = 2
            moved.extend(some.row.tolist())
            life.report(some, at_ms + 10)
    assert moved == list(range(0, 24, 2))
    assert set(life.placement) == {"settled"}
    assert life.activity.count("chosen") == 12
