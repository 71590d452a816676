"""The avoid-oom policy: watermarks of nodes, whose memory goes first, how much, and to where."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pytest

from memtierd.config import structure
from memtierd.errors import ConfigError
from memtierd.model import MachineFacts, ProcessFacts
from memtierd.placement.limits import room_pages
from memtierd.policies import build
from memtierd.policies.avoid_oom import AvoidOomParams, AvoidOomPolicy
from memtierd.policies.common import History
from memtierd.units import PAGE_BYTES
from tests.unit.policies.policy_samples import PAGES, history_with
from tests.unit.reconcile_samples import Life
from tests.unit.regions.region_samples import MS, NODES, facts_of, machine_of, scan_of

KEPT, CHOSEN = 1, 2
TOTAL = 100_000
LOW, MIDDLE, HIGH = 5_000, 12_000, 50_000
"""Available pages of a node below the default watermarks of 8 % and 16 %, between them, and above."""


def nodes_with(*available_pages: int, nodes: Sequence[int] = NODES, total_pages: int = TOTAL) -> MachineFacts:
    """Return a machine whose nodes have so much available memory."""
    machine = machine_of(available_pages, total_pages=total_pages, nodes=nodes)
    facts = [attrs.evolve(node, available_pages=node.free_pages) for node in machine.nodes]
    return attrs.evolve(machine, nodes=tuple(facts))


def policy_on(*available_pages: int, **params: Any) -> AvoidOomPolicy:
    """Return the policy adapted to nodes with so much available memory."""
    return AvoidOomPolicy(AvoidOomParams(**params)).adapt(nodes_with(*available_pages))


def process(score: int, allowed: Sequence[int] = NODES, pid: int = 100) -> ProcessFacts:
    """Return a process with an OOM score."""
    return attrs.evolve(facts_of(pid, allowed=allowed), oom_score=score)


def on_nodes(*node_of_region: int, pages: int = PAGES) -> list[list[int]]:
    """Return node_pages with each region on its node."""
    return [[pages if node == column else 0 for node in node_of_region] for column in NODES]


def chosen(policy: AvoidOomPolicy, history: History) -> list[int]:
    """Return the rows that are chosen."""
    after = policy.activity.step(np.zeros(len(history.pages), np.uint8), policy.events(history))
    assert set(after.tolist()) <= {KEPT, CHOSEN}
    return [int(row) for row in np.flatnonzero(after == CHOSEN)]


def needs(policy: AvoidOomPolicy) -> dict[int, tuple[int, int]]:
    """Return missing and spare pages of each node."""
    return {need.node: (need.missing_pages, need.spare_pages) for need in policy.needs}


def test_a_node_is_freed_from_the_lower_to_the_upper_watermark() -> None:
    policy = policy_on(8_000, HIGH, HIGH, HIGH)
    assert needs(policy)[0] == (0, 0)
    for available_pages, missing_pages in ((7_999, 8_001), (8_000, 8_000), (15_999, 1), (16_000, 0), (8_000, 0)):
        policy = policy.adapt(nodes_with(available_pages, HIGH, HIGH, HIGH))
        assert needs(policy)[0] == (missing_pages, 0), available_pages
    assert needs(policy)[1] == (0, HIGH - 16_000)
    policy = policy.adapt(nodes_with(0, HIGH, HIGH, HIGH))
    assert needs(policy)[0] == (16_000, 0)


def test_watermarks_in_bytes_are_the_same_on_every_node() -> None:
    size = f"{10 * PAGE_BYTES}"
    policy = policy_on(9, 10, 20, 21, start_freeing_memory=size, stop_freeing_memory=f"{20 * PAGE_BYTES}")
    assert needs(policy) == {0: (11, 0), 1: (0, 0), 2: (0, 0), 3: (0, 1)}


def test_watermarks_of_different_kinds_in_the_wrong_order_on_a_small_node_are_one() -> None:
    size = f"{20_000 * PAGE_BYTES}"
    policy = policy_on(19_999, 20_000, HIGH, HIGH, start_freeing_memory=size)
    assert needs(policy) == {0: (1, 0), 1: (0, 0), 2: (0, HIGH - 20_000), 3: (0, HIGH - 20_000)}


def test_only_what_is_missing_is_chosen_and_all_of_it() -> None:
    history = history_with(100, node_pages=on_nodes(*[0] * 100))
    rows = chosen(policy_on(LOW, HIGH, HIGH, HIGH), history)
    missing_pages = 16_000 - LOW
    assert rows == list(range(len(rows)))
    assert missing_pages <= len(rows) * PAGES < missing_pages + PAGES


def test_nothing_is_chosen_without_need_or_without_a_node_to_take_it() -> None:
    history = history_with(4, node_pages=on_nodes(0, 1, 2, 3))
    assert chosen(policy_on(MIDDLE, MIDDLE, HIGH, HIGH), history) == []
    assert chosen(policy_on(LOW, MIDDLE, MIDDLE, LOW), history) == []
    assert chosen(AvoidOomPolicy(AvoidOomParams()), history) == []
    assert chosen(policy_on(LOW, HIGH, HIGH, HIGH), history_with(0)) == []


def test_only_memory_on_the_node_in_need_is_chosen() -> None:
    history = history_with(6, node_pages=on_nodes(1, 0, 2, 0, 3, 1))
    assert chosen(policy_on(HIGH, LOW, HIGH, HIGH), history) == [0, 5]
    assert chosen(policy_on(LOW, LOW, HIGH, MIDDLE), history) == [0, 1, 3, 5]


def test_what_leaves_two_nodes_at_once_counts_for_both() -> None:
    spread = [[300, 400, 0], [300, 0, 400], [0, 0, 0], [0, 0, 0]]
    history = history_with(3, node_pages=spread)
    policy = policy_on(15_999, 15_999, HIGH, HIGH)
    policy = policy.adapt(nodes_with(0, 0, HIGH, HIGH)).adapt(nodes_with(16_000 - 250, 16_000 - 250, HIGH, HIGH))
    # The larger region of node 0 comes first, and then node 1 still needs its own.
    assert chosen(policy, history) == [1, 2]
    policy = policy.adapt(nodes_with(16_000 - 700, 16_000 - 250, HIGH, HIGH))
    assert chosen(policy, history) == [0, 1]


Scores = Mapping[int, ProcessFacts]


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        pytest.param({0: process(10), 1: process(800), 2: process(500)}, 1, id="highest score"),
        pytest.param({0: process(500), 1: process(10), 2: process(500)}, 2, id="of equal ones the largest"),
        pytest.param({0: process(10), 1: process(800, (0,)), 2: process(500)}, 2, id="one that can go somewhere"),
        pytest.param({0: process(10), 1: process(800, (0, 2)), 2: process(500)}, 2, id="one with a node to spare"),
    ],
)
def test_whose_memory_goes_first(facts: Scores, first: int) -> None:
    processes = [0] * 10 + [1] * 10 + [2] * 20
    history = history_with(40, process=processes, facts=facts, node_pages=on_nodes(*[0] * 40))
    # node 2 is neither in need nor has it anything to spare
    policy = policy_on(LOW, HIGH, MIDDLE, HIGH).adapt(nodes_with(16_000 - 3 * PAGES, HIGH, MIDDLE, HIGH))
    assert {processes[row] for row in chosen(policy, history)} == {first}
    assert len(chosen(policy, history)) == 3


def test_of_one_process_the_largest_regions_go_first() -> None:
    node_pages = np.zeros((4, 5), np.uint32)
    node_pages[0] = [10, 500, 20, 400, 30]
    policy = policy_on(LOW, HIGH, HIGH, HIGH).adapt(nodes_with(16_000 - 850, HIGH, HIGH, HIGH))
    assert chosen(policy, history_with(5, node_pages=node_pages)) == [1, 3]
    policy = policy.adapt(nodes_with(16_000 - 901, HIGH, HIGH, HIGH))
    assert chosen(policy, history_with(5, node_pages=node_pages)) == [1, 3, 4]


def test_what_could_not_be_moved_comes_last() -> None:
    facts = {0: process(10), 1: process(800)}
    columns: dict[str, Any] = {
        "process": [0, 1, 1, 1],
        "facts": facts,
        "node_pages": on_nodes(0, 0, 0, 0),
        "failures": [0, 1, 0, 2],
    }
    policy = policy_on(LOW, HIGH, HIGH, HIGH).adapt(nodes_with(16_000 - PAGES, HIGH, HIGH, HIGH))
    assert chosen(policy, history_with(4, **columns)) == [2]
    policy = policy.adapt(nodes_with(16_000 - 2 * PAGES, HIGH, HIGH, HIGH))
    assert chosen(policy, history_with(4, **columns)) == [0, 2]
    policy = policy.adapt(nodes_with(16_000 - 3 * PAGES, HIGH, HIGH, HIGH))
    assert chosen(policy, history_with(4, **columns)) == [0, 1, 2]


def test_what_no_scan_has_judged_is_chosen_too() -> None:
    history = history_with(2, judged=[False, False], node_pages=on_nodes(0, 0))
    assert chosen(policy_on(LOW, HIGH, HIGH, HIGH), history) == [0, 1]


def test_what_has_arrived_stays_there() -> None:
    policy = policy_on(LOW, HIGH, HIGH, HIGH)
    assert chosen(policy, history_with(2, node_pages=on_nodes(1, 1))) == []
    # Also when its new node comes into need, and the old one is not above its upper watermark.
    policy = policy.adapt(nodes_with(15_000, LOW, MIDDLE, MIDDLE))
    assert chosen(policy, history_with(2, node_pages=on_nodes(1, 1))) == []


def test_a_node_that_takes_memory_keeps_its_upper_watermark() -> None:
    machine = nodes_with(LOW, MIDDLE, 16_100, HIGH)
    policy = AvoidOomPolicy(AvoidOomParams()).adapt(machine)
    room = room_pages(machine, 2, policy.node_limits, {}, policy.least_available_pages)
    assert {node: room[node] for node in NODES} == {0: 0, 1: 0, 2: 100, 3: HIGH - 16_000}
    place = policy.places[policy.place_of_state[CHOSEN]]
    assert set(place.nodes) == {1, 2, 3}
    assert policy.places[policy.place_of_state[KEPT]].nodes == ()


def test_nodes_are_meant_by_their_numbers() -> None:
    nodes = (1, 4, 6, 9)
    policy = AvoidOomPolicy(AvoidOomParams()).adapt(nodes_with(HIGH, LOW, HIGH, HIGH, nodes=nodes))
    facts = {0: process(1, nodes)}
    history = history_with(4, node_pages=on_nodes(0, 1, 2, 3), node_ids=nodes, facts=facts)
    assert chosen(policy, history) == [1]
    assert set(policy.places[policy.place_of_state[CHOSEN]].nodes) == {1, 6, 9}


def test_it_says_when_nothing_can_be_moved_for_as_long_as_that_lasts() -> None:
    policy = policy_on(LOW, MIDDLE, MIDDLE, LOW)
    assert policy.conditions == tuple(
        f"node {node} has less available memory than startfreeingmemory (8%), and no other node has more than"
        " stopfreeingmemory (16%): nothing can be moved off it"
        for node in (0, 3)
    )
    assert policy.adapt(nodes_with(LOW + 1, MIDDLE, MIDDLE, LOW)).conditions == policy.conditions
    assert policy.adapt(nodes_with(LOW, HIGH, MIDDLE, LOW)).conditions == ()
    assert policy_on(MIDDLE, MIDDLE, MIDDLE, MIDDLE).conditions == ()


def test_the_highest_score_moves_first_and_says_why() -> None:
    facts = {0: process(10), 1: process(800)}
    policy = policy_on(LOW, HIGH, HIGH, HIGH)
    history = history_with(3, process=[0, 1, 1], facts=facts)
    value = policy.measure(history, np.full(3, CHOSEN, np.uint8))
    assert policy.urgency(np.full(3, CHOSEN, np.uint8), value).tolist() == [10, 800, 800]
    assert policy.explain(CHOSEN, 800.0) == "oom score 800: less than 8% available, freed up to 16%"
    assert policy.explain(KEPT, 10.0) == "oom score 10: stays where it is"


def test_every_process_is_asked_once() -> None:
    asked: list[int] = []

    class Counting(dict[int, ProcessFacts]):
        def __getitem__(self, row: int) -> ProcessFacts:
            asked.append(row)
            return super().__getitem__(row)

    facts = Counting({0: process(1), 1: process(2)})
    history = history_with(200, process=[0] * 100 + [1] * 100, facts=facts)
    policy = policy_on(LOW, HIGH, HIGH, HIGH)
    policy.measure(history, policy.events(history))
    assert sorted(asked) == [0, 0, 1, 1]


def test_defaults() -> None:
    params = structure("policy", "avoid-oom", "cgroups: [/sys/fs/cgroup/a]", "x")
    assert isinstance(build(params), AvoidOomPolicy)
    assert (params.start_freeing_memory, params.stop_freeing_memory, params.interval_ms) == ("8%", "16%", 5000)
    assert params.tracker.name == "finder"


@pytest.mark.parametrize(
    "text",
    [
        "{startfreeingmemory: 100 MB, stopfreeingmemory: 1G}",
        "{startfreeingmemory: 200k, stopfreeingmemory: 200k}",
        "{startfreeingmemory: 100%, stopfreeingmemory: 100%}",
        "{startfreeingmemory: 2G, stopfreeingmemory: 1%}",
        "{StartFreeingMemory: 0.5%, StopFreeingMemory: 1 %}",
    ],
)
def test_watermarks_that_are_taken(text: str) -> None:
    structure("policy", "avoid-oom", "{pids: [7], " + text[1:], "x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{startfreeingmemory: 10x}", "startfreeingmemory: got the text '10x', expected a portion"),
        ("{stopfreeingmemory: 101%}", "stopfreeingmemory: got the text '101%', expected a portion"),
        ("{stopfreeingmemory: -5%}", "stopfreeingmemory"),
        ("{startfreeingmemory: 20%}", "startfreeingmemory: .* expected at most 16%, which is stopfreeingmemory"),
        ("{startfreeingmemory: 2G, stopfreeingmemory: 1024M}", "expected at most 1024M"),
        ("{startfreeingmemory: 20%, stopfreeingmemory: 5x}", r"x:1:\d+: stopfreeingmemory[^\n]*$"),
    ],
)
def test_watermarks_that_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        structure("policy", "avoid-oom", "{pids: [7], " + text[1:], "x")


def test_moves_at_every_tick_and_scans_at_every_third_end_at_the_watermark() -> None:
    life = Life(AvoidOomPolicy(AvoidOomParams()))
    regions = [(first, PAGES) for first in range(0, 60 * PAGES, PAGES)]
    nodes = np.zeros(60, np.uint32)
    available, spare = LOW, HIGH
    for tick in range(1, 61):
        at_ms = tick * 1000
        if tick % 3 == 1:
            life.scan(scan_of(process(5), at_ms - 100, regions, primed=False, node=nodes.tolist()))
        some = life.decide(at_ms, nodes_with(available, spare, MIDDLE, LOW)).moves.choose(slice(0, 2))
        if len(some):
            assert set(some.target.tolist()) == {1}
            life.reconciler.enqueue(some.row, at_ms * MS)
            nodes[some.row] = 1
            available, spare = available + len(some) * PAGES, spare - len(some) * PAGES
            life.report(some, at_ms + 10)
    assert 16_000 <= available < 16_000 + 2 * PAGES
    assert set(life.activity) == {"kept"}
    assert set(life.placement) == {"settled"}
