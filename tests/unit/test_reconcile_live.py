"""What was learned of memory outlives every change of the configuration, and no move is lost or done twice."""

from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd.model import OUTCOMES, MoveReport, Outcome
from memtierd.policies import Policy
from memtierd.policies.common import decide_alike
from memtierd.policies.heat import HeatmapParams, HeatParams, HeatPolicy
from memtierd.regions.lifecycle import PLACEMENT, QUEUED
from memtierd.units import PAGE_BYTES
from tests.unit.reconcile_samples import Life, age_policy, targets_of
from tests.unit.regions.region_samples import BASE, MS, addresses, facts_of, machine_of, scan_of, u32

FACTS = facts_of()


def heat_policy(classes: int = 4, heat_max: float = 1) -> HeatPolicy:
    """Return classes of which the coldest belongs on node 3 and the hottest on node 0."""
    heatmap = HeatmapParams(heat_max=heat_max, heat_classes=classes, heat_retention=1)
    return HeatPolicy(HeatParams(heatmap=heatmap, heat_numas={0: (3,), classes - 1: (0,)}))


def learned(life: Life) -> dict[str, list[Any]]:
    """Return what scans have taught, column by column."""
    table = life.reconciler.table
    names = ("start", "pages", "last_access_ms", "active_since_ms", "heat", "accesses", "writes", "flags")
    return {name: getattr(table, name).tolist() for name in names}


@pytest.mark.parametrize(
    "policy",
    [
        age_policy(idle_duration_ms=3000),
        age_policy(idle_numas=(3,), active_numas=(1,)),
        age_policy(swap_out_ms=20_000),
        age_policy(interval_ms=7, retry_ms=5),
    ],
)
def test_thresholds_nodes_and_pace_change_nothing_that_was_learned(policy: Policy) -> None:
    life = Life()
    regions = [(0, 8), (8, 8), (16, 8)]
    for at_ms in range(1000, 9000, 1000):
        life.scan(scan_of(FACTS, at_ms, regions, accessed=[8, 3 if at_ms == 4000 else 0, 0], primed=at_ms > 1000))
    life.decide(8100)
    before = learned(life)
    life.reconciler.set_policy(policy)
    assert learned(life) == before
    life.decide(8200)
    assert learned(life) == before


def test_ages_outlive_a_time_under_another_policy() -> None:
    life = Life()
    regions = [(0, 8), (8, 8)]
    for at_ms in range(1000, 9000, 1000):
        life.scan(scan_of(FACTS, at_ms, regions, accessed=[8, 0], primed=at_ms > 1000))
    life.reconciler.set_policy(heat_policy())
    for at_ms in range(9000, 14_000, 1000):
        life.scan(scan_of(FACTS, at_ms, regions, accessed=[8, 0]))
        life.decide(at_ms + 100)
    assert life.activity == ["heat_3", "heat_0"]
    life.reconciler.set_policy(age_policy())
    life.decide(13_200)
    assert life.activity == ["active", "idle"], "12 s of use and of idleness, seen by both"


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 4), (10, 3)])
def test_heat_is_divided_into_other_classes_at_once(before: int, after: int) -> None:
    life = Life(heat_policy(before))
    accessed = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    regions = [(8 * i, 8) for i in range(len(accessed))]
    life.scan(scan_of(FACTS, 1000, regions, accessed=accessed))
    life.decide(1100)
    heat = life.reconciler.table.heat.tolist()
    life.reconciler.set_policy(heat_policy(after))
    life.decide(1200)
    assert life.reconciler.table.heat.tolist() == heat
    assert life.activity == [f"heat_{min(after - 1, int(pages / 8 * after))}" for pages in accessed]


def test_a_lower_limit_of_heat_makes_the_hottest_no_hotter_than_it() -> None:
    life = Life(heat_policy(4, heat_max=2))
    regions = [(0, 8), (8, 8)]
    for at_ms in (1000, 2000):
        life.scan(scan_of(FACTS, at_ms, regions, accessed=[8, 2]))
    assert life.reconciler.table.heat.tolist() == [2.0, 0.5]
    life.reconciler.set_policy(heat_policy(4, heat_max=1))
    life.decide(2100)
    assert life.activity == ["heat_3", "heat_2"]


@pytest.mark.parametrize("factor", [4, 1 / 4])
def test_regions_of_another_size_take_over_ages_heat_and_counts(factor: float) -> None:
    """A tracker with another pagesinregion finds other regions; its first scan can tell nothing of their use."""
    size = 16
    many = [(start, size) for start in range(0, 256, size)]
    other_size = int(size * factor)
    other = [(start, other_size) for start in range(0, 256, other_size)]
    used = [8 if start < 128 else 0 for start, _ in many]
    for policy in (age_policy(), heat_policy()):
        life = Life(policy)
        for at_ms in range(1000, 13_000, 1000):
            life.scan(scan_of(FACTS, at_ms, many, accessed=used, primed=at_ms > 1000))
        life.decide(12_100)
        states = {life.activity[0]: 128, life.activity[-1]: 128}
        assert pages_by_state(life) == states
        accesses = int(life.reconciler.table.accesses.sum())
        life.scan(scan_of(FACTS, 13_000, other, primed=False))
        life.decide(13_100)
        assert pages_by_state(life) == states
        assert int(life.reconciler.table.accesses.sum()) == accesses
        life.scan(scan_of(FACTS, 14_000, other, accessed=[1 if start < 128 else 0 for start, _ in other]))
        life.decide(14_100)
        assert pages_by_state(life) == states


def pages_by_state(life: Life) -> dict[str, int]:
    """Return how many pages are in each activity state."""
    found: dict[str, int] = {}
    for state, pages in zip(life.activity, life.reconciler.table.pages.tolist(), strict=True):
        found[state] = found.get(state, 0) + pages
    return found


def test_a_scan_interval_that_changes_loses_one_gap_and_no_age() -> None:
    life = Life()
    for at_ms in range(1000, 9000, 1000):
        life.scan(scan_of(FACTS, at_ms, [(0, 8)], primed=at_ms > 1000))
    life.scan(scan_of(FACTS, 20_000, [(0, 8)], primed=False))  # the new tracker's first
    life.scan(scan_of(FACTS, 22_000, [(0, 8)]))
    life.decide(22_100)
    assert life.activity == ["warm"], "7 s and 2 s; of what nobody has watched nothing is claimed"
    life.scan(scan_of(FACTS, 23_000, [(0, 8)]))
    assert targets_of(life.decide(23_100)) == [(0, 2)]


@attrs.define
class World:
    """Pages on nodes, a mover that works when it is told to, and the control thread's way to change over."""

    life: Life = attrs.field(factory=lambda: Life(age_policy(idle_duration_ms=1)))
    now_ms: int = 10_000
    size: int = 8
    is_fresh_tracker: bool = True
    at: Any = attrs.field(factory=lambda: np.zeros(PAGES, np.int64))
    moved: Any = attrs.field(factory=lambda: np.zeros(PAGES, np.int64))
    tasks: list[tuple[int, int, int]] = attrs.field(factory=list)
    """(first page, pages, node) of what the mover has not begun."""
    goals: int = 1
    """How many different goals there were."""

    def scan(self) -> None:
        self.now_ms += 10
        regions = [(first, self.size) for first in range(0, PAGES, self.size)]
        where = np.zeros((4, len(regions)), np.uint32)
        for node in range(4):
            where[node] = (self.at == node).reshape(-1, self.size).sum(axis=1)
        self.life.scan(scan_of(FACTS, self.now_ms, regions, primed=not self.is_fresh_tracker, node_pages=where))  # type: ignore[arg-type]
        self.is_fresh_tracker = False

    def tick(self) -> None:
        self.now_ms += 10
        self.take_back()
        moves = self.life.decide(self.now_ms, machine_of()).moves
        self.life.reconciler.enqueue(moves.row, self.now_ms * MS)
        firsts = ((moves.start - np.uint64(BASE)) // np.uint64(PAGE_BYTES)).tolist()
        self.tasks = list(zip(firsts, moves.pages.tolist(), moves.target.tolist(), strict=True))

    def take_back(self) -> None:
        for first, pages, node in self.tasks:
            self.report(first, pages, node, dropped=True)
        self.tasks = []

    def work(self) -> None:
        if self.tasks:
            self.now_ms += 10
            first, pages, node = self.tasks.pop(0)
            away = self.at[first : first + pages] != node
            self.at[first : first + pages] = node
            self.moved[first : first + pages] += away
            self.report(first, pages, node, int(away.sum()))

    def report(self, first: int, pages: int, node: int, moved: int = 0, *, dropped: bool = False) -> None:
        outcomes = np.zeros((1, OUTCOMES), np.uint64)
        if not dropped:
            outcomes[0, Outcome.MOVED], outcomes[0, Outcome.ALREADY_THERE] = moved, pages - moved
        report = MoveReport(FACTS.key, node, addresses(first), u32(pages), outcomes, dropped=dropped)
        self.life.reconciler.report(report, self.now_ms * MS)

    def change(self, policy: Policy) -> None:
        before = self.life.reconciler.policy
        if not decide_alike(before.params, policy.params):
            self.take_back()
        self.goals += before.params != policy.params
        if self.life.reconciler.set_policy(policy):
            self.tick()

    def recut(self, size: int) -> None:
        self.size, self.is_fresh_tracker = size, True


PAGES = 64
STEPS = st.one_of(
    st.sampled_from(["scan", "tick", "work", "work"]),
    st.sampled_from([2, 8, 32]),
    st.sampled_from(
        [
            age_policy(idle_duration_ms=1, idle_numas=(2,)),
            age_policy(idle_duration_ms=1, idle_numas=(3,)),
            age_policy(idle_duration_ms=1, idle_numas=(3,), batch_mb=1),
            heat_policy(),
            heat_policy(8),
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=40))
def test_no_move_is_lost_or_done_twice_whenever_the_configuration_changes(steps: list[Any]) -> None:
    world = World()
    world.scan()
    world.scan()
    for step in steps:
        if isinstance(step, int):
            world.recut(step)
        elif isinstance(step, str):
            getattr(world, step)()
        else:
            world.change(step)
    for _ in range(4):
        world.scan()
        world.tick()
        while world.tasks:
            world.work()
    policy = world.life.reconciler.policy
    (wanted,) = {policy.places[code].nodes for code in world.life.reconciler.table.desired.tolist()}
    assert set(world.at.tolist()) <= set(wanted)
    assert QUEUED not in world.life.reconciler.table.placement.tolist(), PLACEMENT.declaration.states[QUEUED]
    assert world.moved.max(initial=0) <= world.goals, "a page was moved more often than its goal has changed"


def test_the_world_of_the_test_above_can_lose_moves() -> None:
    """Reports that never come leave regions queued: what the test above would see."""
    world = World()
    world.scan()
    world.scan()
    world.tick()
    assert world.tasks
    world.tasks = []
    world.scan()
    world.tick()
    assert QUEUED in world.life.reconciler.table.placement.tolist()
