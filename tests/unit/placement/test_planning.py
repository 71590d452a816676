"""Which node a misplaced region goes to, who gets what room there is, and what keeps the others."""

from collections.abc import Sequence

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.placement.plan import GUARDS, Direction, Obstacle, Plan, empty_plan
from memtierd.placement.planning import Candidates, Whereabouts, make_plan
from memtierd.placement.wrong import wrong_pages
from memtierd.policies.common import ANYWHERE_PLACE, Place
from tests.unit.regions.region_samples import NODES, addresses, machine_of, u32, without_swap

ANY = frozenset(NODES)


@attrs.frozen
class Region:
    """One candidate in plain values; address and table row come from its place in the list."""

    on: dict[int, int] = attrs.field(factory=lambda: {0: 10})
    """Pages on each node."""
    desired: int = 1
    process: int = 0
    turn: int = 0
    urgency: float = 0.0
    guard: Obstacle = Obstacle.NONE


def candidates_of(regions: Sequence[Region], places: Sequence[Place], node_ids: Sequence[int] = NODES) -> Candidates:
    """Return regions as columns; region i is at page 100 i and in table row 10 i."""
    node_pages = np.array([[r.on.get(node, 0) for r in regions] for node in node_ids], np.uint32)
    desired = np.array([r.desired for r in regions], np.uint8)
    return Candidates(
        row=np.arange(len(regions), dtype=np.int64) * 10,
        process=np.array([r.process for r in regions], np.uint16),
        start=addresses(*(100 * i for i in range(len(regions)))),
        pages=u32(*([100] * len(regions))),
        node_pages=node_pages.reshape(len(node_ids), len(regions)),
        wrong_pages=wrong_pages(desired, node_pages.reshape(len(node_ids), len(regions)), places, node_ids),
        desired=desired,
        activity=np.array([r.desired for r in regions], np.uint8),
        value=np.array([r.urgency for r in regions], np.float32),
        turn=np.array([r.turn for r in regions], np.uint8),
        urgency=np.array([r.urgency for r in regions], np.float32),
        guard=np.array([r.guard for r in regions], np.uint8),
    )


def tiered(machine: MachineFacts, tiers: Sequence[int]) -> MachineFacts:
    """Return the machine with its nodes in these memory tiers."""
    nodes = tuple(attrs.evolve(node, tier=tier) for node, tier in zip(machine.nodes, tiers, strict=True))
    return attrs.evolve(machine, nodes=nodes)


def plan_of(
    regions: Sequence[Region],
    *nodes_of_places: tuple[int, ...],
    machine: MachineFacts | None = None,
    where: dict[int, Whereabouts] | None = None,
    room: dict[int, int] | None = None,
    node_ids: Sequence[int] = NODES,
) -> Plan:
    """Return the plan; place 1 and so on are given, all processes run on node 0 and may use every node."""
    places = (ANYWHERE_PLACE, *(Place(nodes) for nodes in nodes_of_places))
    plenty = dict.fromkeys((*NODES, SWAP_NODE), 1 << 20)
    known = where or {}
    return make_plan(
        candidates_of(regions, places, node_ids),
        places,
        lambda process: known.get(process, Whereabouts(ANY, 0)),
        machine or machine_of(),
        node_ids,
        plenty | (room or {}),
        4711,
    )


def ends_of(plan: Plan) -> list[int | str]:
    """Return for every region, in the order they were given, its target or the name of its obstacle."""
    order = np.argsort(plan.row)
    pairs = zip(plan.target[order].tolist(), plan.obstacle[order].tolist(), strict=True)
    return [Obstacle(obstacle).name if obstacle else target for target, obstacle in pairs]


def order_of(plan: Plan) -> list[int]:
    """Return the numbers of the regions in the order of the plan."""
    return [row // 10 for row in plan.row.tolist()]


def test_a_plan_has_what_was_decided() -> None:
    plan = plan_of([Region({0: 10, 1: 3, 2: 5}, desired=2, process=7, urgency=2.5)], (0, 1), (2, 3))
    assert plan.made_ms == 4711
    columns = {f.name: getattr(plan, f.name).tolist() for f in attrs.fields(Plan) if f.name != "made_ms"}
    assert columns == {
        "row": [0],
        "process": [7],
        "start": addresses(0).tolist(),
        "pages": [100],
        "move_pages": [13],
        "source": [0],
        "target": [2],
        "activity": [2],
        "value": [2.5],
        "obstacle": [0],
        "direction": [1],
    }


def test_nothing_misplaced_gives_an_empty_plan_of_the_same_columns() -> None:
    plan, empty = plan_of([], (1,)), empty_plan(4711)
    assert len(plan) == len(plan.moves) == len(plan.blocked) == 0
    for field in attrs.fields(Plan):
        if field.name != "made_ms":
            assert getattr(plan, field.name).dtype == getattr(empty, field.name).dtype, field.name


def test_a_plan_cannot_be_changed() -> None:
    plan = plan_of([Region()], (1,))
    with pytest.raises(ValueError, match="read-only"):
        plan.target[0] = 3


@pytest.mark.parametrize(
    ("on", "desired_nodes", "source"),
    [
        ({0: 1, 1: 2, 2: 3}, (3,), 2),
        ({0: 9, 1: 2, 2: 3}, (0,), 2),
        ({0: 2, 1: 2}, (3,), 0),
        ({3: 1, 2: 90}, (2, 1), 3),
        ({1: 4}, (SWAP_NODE,), 1),
    ],
)
def test_the_source_is_the_node_outside_the_place_with_most_pages(
    on: dict[int, int], desired_nodes: tuple[int, ...], source: int
) -> None:
    assert plan_of([Region(on)], desired_nodes).source.tolist() == [source]


def test_the_nearest_node_to_where_the_process_runs_is_taken() -> None:
    where = {process: Whereabouts(ANY, process) for process in range(4)}
    regions = [Region({0: 10}, process=process) for process in range(4)]
    assert ends_of(plan_of(regions, (1, 3), where=where)) == [1, 1, 1, 3]


def test_the_nearest_node_to_the_memory_is_taken_when_nobody_knows_where_the_process_runs() -> None:
    where = {0: Whereabouts(ANY, -1)}
    assert ends_of(plan_of([Region({0: 10}), Region({3: 10})], (1, 2), where=where)) == [1, 2]


def test_of_equally_near_nodes_the_one_with_more_room_is_taken() -> None:
    where = {0: Whereabouts(ANY, 1)}
    assert ends_of(plan_of([Region({1: 10})], (0, 2), where=where, room={0: 50, 2: 60})) == [2]
    assert ends_of(plan_of([Region({1: 10})], (0, 2), where=where, room={0: 60, 2: 60})) == [0]


def test_only_allowed_nodes_are_taken() -> None:
    where = {0: Whereabouts(frozenset({0, 3}), 0), 1: Whereabouts(frozenset({0}), 0)}
    assert ends_of(plan_of([Region(), Region(process=1)], (1, 3), where=where)) == [3, "NOT_ALLOWED"]


def test_nodes_that_are_not_online_are_no_targets() -> None:
    assert ends_of(plan_of([Region()], (8, 9))) == ["NO_SUCH_NODE"]
    assert ends_of(plan_of([Region()], (8, 2))) == [2]


def test_nodes_that_went_offline_or_came_later_do_not_shift_the_others() -> None:
    machine = machine_of((1 << 20,) * 3, nodes=(0, 2, 7))
    room = {7: 1 << 20}
    regions = [Region({1: 10}, desired=1), Region({2: 10}, desired=2), Region({3: 4, 0: 1}, desired=1)]
    plan = plan_of(regions, (2, 3), (0, 7), machine=machine, room=room)
    assert ends_of(plan) == [2, 0, 2]
    assert sorted(plan.source.tolist()) == [0, 1, 2]


def test_targets_are_filled_in_turn_with_the_most_urgent_first() -> None:
    regions = [Region({0: 10}, urgency=u) for u in (1, 5, 3, 4, 2)]
    plan = plan_of(regions, (1, 2), room={1: 25, 2: 10})
    assert ends_of(plan) == ["NO_ROOM", 1, 2, 1, "NO_ROOM"]
    assert order_of(plan) == [1, 3, 2, 4, 0]
    assert order_of(plan.moves) == [1, 3, 2]
    assert order_of(plan.blocked) == [4, 0]


def test_the_first_turn_gets_the_room() -> None:
    regions = [Region({0: 10}, turn=1, urgency=9), Region({0: 10}, turn=0, urgency=1)]
    plan = plan_of(regions, (1,), room={1: 10})
    assert ends_of(plan) == ["NO_ROOM", 1]
    assert order_of(plan) == [1, 0]


def test_room_goes_to_the_most_urgent_whatever_its_process_or_source() -> None:
    regions = [
        Region({0: 10}, process=0, urgency=1),
        Region({3: 10}, process=1, urgency=3),
        Region({0: 10}, process=2, urgency=2),
    ]
    assert ends_of(plan_of(regions, (1,), room={1: 20})) == ["NO_ROOM", 1, 1]


def test_a_region_that_is_too_large_for_the_rest_lets_smaller_ones_pass() -> None:
    regions = [Region({0: n}, urgency=-i) for i, n in enumerate([60, 50, 10, 45, 40, 30, 1])]
    ends = ends_of(plan_of(regions, (1,), room={1: 100}))
    assert ends == [1, "NO_ROOM", 1, "NO_ROOM", "NO_ROOM", 1, "NO_ROOM"]


def test_only_pages_that_lie_wrong_need_room() -> None:
    assert ends_of(plan_of([Region({1: 90, 0: 10})], (1,), room={1: 10})) == [1]
    assert ends_of(plan_of([Region({1: 90, 0: 11})], (1,), room={1: 10})) == ["NO_ROOM"]


@pytest.mark.parametrize("room", [0, -5])
def test_no_room_is_no_room(room: int) -> None:
    assert ends_of(plan_of([Region({0: 1})], (1,), room={1: room})) == ["NO_ROOM"]


@pytest.mark.parametrize(
    ("nodes", "swap_pages", "room", "end"),
    [
        ((SWAP_NODE,), 100, {SWAP_NODE: 10}, SWAP_NODE),
        ((SWAP_NODE,), 100, {SWAP_NODE: 9}, "SWAP_FULL"),
        ((SWAP_NODE,), 0, {SWAP_NODE: 0}, "NO_SWAP"),
        ((SWAP_NODE, 1), 100, {1: 10}, 1),
        ((SWAP_NODE, 1), 100, {1: 9}, SWAP_NODE),
        ((SWAP_NODE, 1), 100, {1: 9, SWAP_NODE: 9}, "SWAP_FULL"),
        ((SWAP_NODE, 1), 0, {1: 10}, 1),
        ((1, SWAP_NODE), 0, {1: 9}, "NO_ROOM"),
        ((9, SWAP_NODE), 0, {}, "NO_SWAP"),
        ((9, SWAP_NODE), 100, {}, SWAP_NODE),
    ],
)
def test_swap_is_the_last_target(nodes: tuple[int, ...], swap_pages: int, room: dict[int, int], end: int | str) -> None:
    machine = machine_of(swap=(swap_pages, swap_pages)) if swap_pages else without_swap(machine_of())
    assert ends_of(plan_of([Region({0: 10})], nodes, machine=machine, room=room)) == [end]


def test_swap_needs_no_permission_of_the_cpuset() -> None:
    where = {0: Whereabouts(frozenset({0}), 0)}
    assert ends_of(plan_of([Region()], (SWAP_NODE, 2), where=where)) == [SWAP_NODE]


def test_first_choices_are_served_before_second_ones() -> None:
    where = {0: Whereabouts(ANY, 0), 1: Whereabouts(ANY, 1)}
    regions = [Region({3: 10}, process=0, urgency=u) for u in (3, 2)] + [Region({3: 10}, process=1, urgency=1)]
    assert ends_of(plan_of(regions, (0, 1), where=where, room={0: 10, 1: 10})) == [0, "NO_ROOM", 1]


def test_what_a_guard_holds_is_not_demoted_and_takes_no_room() -> None:
    regions = [Region({0: 10}, urgency=3, guard=Obstacle.DAMPED), Region({0: 10}, urgency=2), Region({0: 10})]
    plan = plan_of(regions, (2,), room={2: 10})
    assert ends_of(plan) == ["DAMPED", 2, "NO_ROOM"]
    assert plan.direction.tolist() == [Direction.DEMOTION] * 3


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_holds_demotions_only(guard: Obstacle) -> None:
    machine = tiered(machine_of(), (0, 0, 1, 2))
    places = ((0, 1), (2, 3), (SWAP_NODE,), (1, 2))
    on_and_desired = [(2, 1), (3, 1), (1, 2), (2, 3), (0, 4)]
    regions = [Region({on: 10}, desired=desired, guard=guard) for on, desired in on_and_desired]
    plan = plan_of(regions, *places, machine=machine)
    assert ends_of(plan) == [0, 0, guard.name, guard.name, 1]
    assert plan.direction.tolist() == [-1, -1, 1, 1, 0]
    # The last would go to node 2, which is slower, if node 1 had no room.
    assert ends_of(plan_of(regions, *places, machine=machine, room={1: 0}))[4] == "NO_ROOM"


def test_what_cannot_move_at_all_is_not_the_guards_doing() -> None:
    regions = [Region(guard=Obstacle.PRESSURE, desired=1), Region(guard=Obstacle.PRESSURE, desired=2)]
    where = {0: Whereabouts(frozenset({0}), 0)}
    machine = without_swap(machine_of())
    assert ends_of(plan_of(regions, (2,), (SWAP_NODE,), where=where, machine=machine)) == ["NOT_ALLOWED", "NO_SWAP"]


def test_what_has_no_room_has_the_direction_that_it_wants() -> None:
    machine = tiered(machine_of(), (0, 0, 1, 1))
    regions = [Region({3: 10}), Region({0: 10}, desired=2), Region({1: 10})]
    plan = plan_of(regions, (0,), (2,), machine=machine, room={0: 0, 2: 0})
    assert ends_of(plan) == ["NO_ROOM"] * 3
    assert plan.direction.tolist() == [-1, 1, 0]
    assert plan_of([Region({0: 10})], (9,)).direction.tolist() == [0]


@st.composite
def crowds(draw: st.DrawFn) -> list[Region]:
    """Return misplaced regions of three processes, ascending by process."""
    found = []
    for process in sorted(draw(st.lists(st.integers(0, 2), max_size=25))):
        node, desired = draw(st.sampled_from([(0, 2), (1, 2), (2, 1), (3, 1), (0, 3), (2, 3)]))
        pages, turn, urgency = draw(st.integers(1, 40)), draw(st.integers(0, 2)), draw(st.integers(0, 9))
        found.append(Region({node: pages}, desired, process, turn, urgency))
    return found


@given(crowds(), st.lists(st.integers(-10, 200), min_size=5, max_size=5))
def test_any_plan_keeps_its_promises(regions: list[Region], rooms: list[int]) -> None:
    room = dict(zip((*NODES, SWAP_NODE), rooms, strict=True))
    where = {1: Whereabouts(frozenset({0, 2}), 2), 2: Whereabouts(frozenset({1, 3}), -1)}
    nodes_of_places = ((0, 1), (2, 3), (SWAP_NODE,))
    plan = plan_of(regions, *nodes_of_places, where=where, room=room)
    assert sorted(order_of(plan)) == list(range(len(regions)))
    assert sorted(order_of(plan.moves) + order_of(plan.blocked)) == list(range(len(regions)))
    keys = [(regions[i].turn, -regions[i].urgency) for i in order_of(plan)]
    assert keys == sorted(keys)
    used = dict.fromkeys(room, 0)
    for region, end in zip(regions, ends_of(plan), strict=True):
        (pages,) = region.on.values()
        if isinstance(end, str):
            allowed = where.get(region.process, Whereabouts(ANY, 0)).allowed_nodes
            wanted = [n for n in nodes_of_places[region.desired - 1] if n in allowed or n == SWAP_NODE]
            assert end in (("NO_ROOM", "SWAP_FULL") if wanted else ("NOT_ALLOWED",))
        else:
            assert end in nodes_of_places[region.desired - 1]
            used[end] += pages
    assert all(used[node] <= max(0, room[node]) for node in room)
    for region, end in zip(regions, ends_of(plan), strict=True):
        if end in ("NO_ROOM", "SWAP_FULL"):
            (pages,) = region.on.values()
            allowed = where.get(region.process, Whereabouts(ANY, 0)).allowed_nodes
            wanted = [n for n in nodes_of_places[region.desired - 1] if n in allowed or n == SWAP_NODE]
            assert all(room[node] - used[node] < pages for node in wanted)
