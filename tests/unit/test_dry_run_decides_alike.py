"""A dry run and the real run decide the same on the same observations: both control loops get the same scans.

The loops have no thread here: the test takes the place of it, of the tracker, and of the mover.
"""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd.control import Control
from memtierd.linux.roots import ROOTS
from memtierd.model import OUTCOMES, U64, MachineFacts, MoveReport, Outcome, Pressure, ProcessKey, Scan, Stall
from memtierd.mover import Batch, MoverParams
from memtierd.placement.plan import Obstacle, Plan
from memtierd.policies import Policy
from memtierd.policies.avoid_oom import AvoidOomParams, AvoidOomPolicy
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams
from memtierd.policies.heat import HeatmapParams, HeatParams, HeatPolicy
from memtierd.policies.ratio import RatioParams, RatioPolicy
from memtierd.reconcile import Reconciler
from memtierd.regions.lifecycle import QUEUED
from memtierd.units import PAGE_BYTES
from tests.unit.reconcile_samples import age_policy
from tests.unit.regions.region_samples import BASE, MS, NODES, facts_of, machine_of, round_of, scan_of

FACTS = facts_of(100), facts_of(200, allowed=(0, 1, 2), running_node=1)
REGIONS = [[(0, 8), (8, 8), (16, 4), (32, 8)], [(0, 16), (16, 8), (100, 2)]]
COUNT = sum(map(len, REGIONS))
FEW, MANY = 20, 1 << 20

COMMON: dict[str, Any] = {
    "interval_ms": 5000,
    "mover": MoverParams(bandwidth=1),
    "reserve_percent": 0,
    "retry_ms": 7000,
    "batch_mb": 1,
    "max_pressure": MaxPressureParams(memory=10, resume_ms=6000),
    "max_refault": MaxRefaultParams(percent=40, window_ms=60_000, damp_ms=5000, damp_max_ms=20_000),
}
HEAT = HeatParams(
    heatmap=HeatmapParams(heat_max=1, heat_classes=4, heat_retention=0.9),
    heat_numas={0: (-1,), 1: (2, 3), 3: (0, 1)},
    numa_size={0: "100k", 2: "80k"},
    **COMMON,
)


def age(**changes: object) -> Policy:
    """Return an age policy that moves to fast and slow nodes and to swap."""
    return age_policy(**{**COMMON, "swap_out_ms": 25_000, **changes})


POLICIES = {
    "age": age,
    "heat": lambda: HeatPolicy(HEAT),
    "ratio": lambda: RatioPolicy(RatioParams(ratio=0.5, ratio_targets=(2, -1), **COMMON)),
    "avoid-oom": lambda: AvoidOomPolicy(
        AvoidOomParams(start_freeing_memory="40k", stop_freeing_memory="100k", **COMMON)
    ),
}


class Hand:
    """A mover in the test's hand: it begins the first batch it gets, and gives back the others when asked to."""

    def __init__(self, *, begins: bool) -> None:
        self.begins = begins
        self.begun: list[Batch] = []
        self.queued: list[Batch] = []
        self.reports: list[MoveReport] = []

    def replace(self, batches: Sequence[Batch]) -> None:
        self.reports += [_report(batch, np.zeros((len(batch.start), OUTCOMES), np.uint64)) for batch in self.queued]
        self.queued = list(batches)
        if self.begins and not self.begun and self.queued:
            self.begun = [self.queued.pop(0)]

    def finish(self) -> list[Batch]:
        """Let what was begun succeed, and return it."""
        done, self.begun = self.begun, []
        for batch in done:
            outcomes = np.zeros((len(batch.start), OUTCOMES), np.uint64)
            outcomes[:, Outcome.MOVED] = batch.pages
            self.reports.append(_report(batch, outcomes, dropped=False))
        return done

    def conditions(self) -> tuple[str, ...]:
        return ()

    def forget(self, key: ProcessKey) -> None:
        raise AssertionError(key)


def _report(batch: Batch, outcomes: U64, *, dropped: bool = True) -> MoveReport:
    return MoveReport(batch.key, batch.target, batch.start, batch.pages, outcomes, dropped=dropped)


@attrs.define
class AllWatched:
    """Stands for pidfds of processes that don't exist."""

    keys: tuple[ProcessKey, ...] = tuple(facts.key for facts in FACTS)

    def drop(self, keys: frozenset[ProcessKey]) -> frozenset[ProcessKey]:
        assert not keys
        return keys


class Side:
    """One control loop with its mover."""

    def __init__(self, policy: Policy, *, dry_run: bool, begins: bool = False) -> None:
        self.now_ms = 0
        self.machine = machine_of()
        self.mover = Hand(begins=begins)
        self.reconciler = Reconciler(policy, NODES, 0)
        self.control = Control(
            self.reconciler, self.mover, lambda: self.machine, lambda: self.now_ms * MS, ROOTS, dry_run=dry_run
        )
        self.control._watched = AllWatched()  # type: ignore[assignment]

    def take(self, scan: Scan) -> None:
        self.control._take(scan)

    def tick(self, machine: MachineFacts, at_ms: int) -> Plan:
        """Decide; what the mover has reported is posted before, and when it is asked to give back."""
        self.now_ms, self.machine = at_ms, machine
        given = self.mover.replace

        def replace(batches: Sequence[Batch]) -> None:
            given(batches)
            self._post()

        self.mover.replace = replace  # type: ignore[method-assign]
        self.take_reports()
        plan = self.control._tick()
        self.mover.replace = given  # type: ignore[method-assign]
        return plan

    def take_reports(self) -> None:
        """Take in what the mover has reported."""
        self._post()
        self.control._take_reports()

    def _post(self) -> None:
        for report in self.mover.reports:
            self.control.post(report)
        self.mover.reports.clear()

    @property
    def decisions(self) -> dict[tuple[int, int], tuple[object, ...]]:
        """Return what the latest plan says of each region."""
        plan, policy = self.reconciler.plan, self.reconciler.policy
        columns = (plan.process, plan.start, plan.target, plan.obstacle, plan.move_pages, plan.source, plan.direction)
        rows = zip(*(column.tolist() for column in columns), plan.value.tolist(), plan.activity.tolist(), strict=True)
        return {
            (process, start): (*said, policy.explain(activity, value))
            for process, start, *said, value, activity in rows
        }

    @property
    def queued(self) -> dict[tuple[int, int], int]:
        """Return the target of each region that was begun."""
        return {
            (self.reconciler.processes.row(batch.key) or 0, start): batch.target
            for batch in self.mover.begun
            for start in batch.start.tolist()
        }


class Pair:
    """A dry and a real run on the same machine."""

    def __init__(self, name: str, *, begins: bool = False, **changes: object) -> None:
        make: Any = POLICIES[name]
        self.real = Side(make(**changes), dry_run=False, begins=begins)
        self.dry = Side(make(**changes), dry_run=True)
        self.sides = (self.real, self.dry)
        self.node = [0] * COUNT
        self.at_ms = 0

    def scan(self, accessed: Sequence[int], *, primed: bool = True) -> None:
        """Let both see a round, some time after the last one."""
        self.at_ms += 5000
        scans, first = [], 0
        for facts, regions in zip(FACTS, REGIONS, strict=True):
            part = slice(first, first + len(regions))
            first += len(regions)
            scans.append(
                scan_of(facts, self.at_ms, regions, accessed=accessed[part], node=self.node[part], primed=primed)
            )
        for side in self.sides:
            side.take(round_of(*scans))

    def tick(self, machine: MachineFacts) -> None:
        self.at_ms += 100
        begun = self.real.queued
        for side in self.sides:
            side.tick(machine, self.at_ms)
        self.demand_alike(begun)

    def demand_alike(self, begun: dict[tuple[int, int], int]) -> None:
        """What both want is the same, and so is the plan but for what the mover had begun before."""
        real, dry = self.real.reconciler.table, self.dry.reconciler.table
        assert real.activity.tolist() == dry.activity.tolist()
        assert real.desired.tolist() == dry.desired.tolist()
        assert self.real.reconciler.policy.places == self.dry.reconciler.policy.places
        assert int((real.placement == QUEUED).sum()) >= len(begun)
        planned, intended = self.real.decisions, self.dry.decisions
        assert planned == {region: said for region, said in intended.items() if region not in begun}
        assert self.real.reconciler.obstacles() == self.dry.reconciler.obstacles()
        assert self.real.reconciler.guards.conditions == self.dry.reconciler.guards.conditions
        for region, target in begun.items():
            assert intended.get(region, (target,))[0] == target or not self._is_wanted(region, target)

    def _is_wanted(self, region: tuple[int, int], node: int) -> bool:
        """Return whether a region is wanted on a node."""
        table, policy = self.real.reconciler.table, self.real.reconciler.policy
        (row,) = np.flatnonzero((table.process == region[0]) & (table.start == region[1]))
        return node in policy.places[table.desired[row]].nodes

    def finish(self) -> None:
        """Let the movers succeed with what they have begun; the next scan shows both where it is now."""
        firsts = [(row, BASE + first * PAGE_BYTES) for row, regions in enumerate(REGIONS) for first, _ in regions]
        for batch in self.real.mover.finish():
            row = self.real.reconciler.processes.row(batch.key) or 0
            for start in batch.start.tolist():
                self.node[firsts.index((row, start))] = batch.target
        self.dry.mover.finish()
        for side in self.sides:
            side.now_ms = self.at_ms
            side.take_reports()


uses = st.lists(st.sampled_from([0, 0, 1]), min_size=COUNT, max_size=COUNT)
machines = st.builds(
    lambda free, swap, percent: attrs.evolve(
        machine_of(free, swap=(1 << 20, swap)), pressure=Pressure(Stall(percent, 0.0))
    ),
    st.lists(st.sampled_from([0, 3, FEW, MANY]), min_size=4, max_size=4),
    st.sampled_from([0, FEW, MANY]),
    st.sampled_from([0.0, 0.0, 0.0, 50.0]),
)


@pytest.mark.parametrize("name", POLICIES)
@given(steps=st.lists(st.tuples(uses, machines), min_size=3, max_size=12), nodes=st.permutations([0, 1, 2, 3] * 2))
@settings(max_examples=25, deadline=None)
def test_while_a_real_run_is_held_up_both_decide_alike(
    name: str, steps: list[tuple[list[int], MachineFacts]], nodes: list[int]
) -> None:
    pair = Pair(name)
    pair.node = nodes[:COUNT]
    pair.scan([0] * COUNT, primed=False)
    for accessed, machine in steps:
        pair.scan(accessed)
        pair.tick(machine)


@pytest.mark.parametrize("name", ["age", "heat"])
@given(steps=st.lists(st.tuples(uses, st.booleans(), st.booleans()), min_size=3, max_size=16))
@settings(max_examples=25, deadline=None)
def test_while_the_mover_takes_its_time_both_decide_alike_on_the_same_observations(
    name: str, steps: list[tuple[list[int], bool, bool]]
) -> None:
    if name == "heat":
        pair = Pair(name, begins=True)
        pair.real.reconciler.set_policy(HeatPolicy(attrs.evolve(HEAT, numa_size={}, max_refault=None)))
        pair.dry.reconciler.set_policy(HeatPolicy(attrs.evolve(HEAT, numa_size={}, max_refault=None)))
    else:
        # What was swapped out is not in memory: where it would be has no place in this story.
        pair = Pair(name, begins=True, max_refault=None, swap_out_ms=0)
    pair.scan([0] * COUNT, primed=False)
    for accessed, finishes, ticks_again in steps:
        if finishes and all(target >= 0 for target in pair.real.queued.values()):
            pair.finish()
        pair.scan(accessed)
        pair.tick(machine_of())
        if ticks_again:
            pair.tick(machine_of())


def test_what_came_back_counts_for_both_while_it_waits_to_be_demoted_again() -> None:
    """The real run gives the mover again and again what came back, and takes it back: that tells nothing new."""
    pair = Pair("age", begins=True, swap_out_ms=0, max_pressure=None, mover=MoverParams(bandwidth=100))
    for side in pair.sides:  # both are real at first
        side.control.dry_run = False
        side.mover.begins = True
    idle, used = [0] * COUNT, [1] + [0] * (COUNT - 1)
    pair.scan(idle, primed=False)
    for accessed in (idle, idle, idle, used, used, used, used):
        pair.scan(accessed)
        pair.tick(machine_of())
        pair.finish()
    assert pair.real.reconciler.guards._damping.returns > 0
    pair.dry.control.dry_run = True
    for side in pair.sides:
        side.mover.begins = False
    held = []
    for accessed in [idle] * 8:
        pair.scan(accessed)
        pair.tick(machine_of())
        held += [said[1] for said in pair.dry.decisions.values()]
    assert Obstacle.NONE in held


def test_what_the_mover_has_takes_room_that_looks_free() -> None:
    pair = Pair("age", begins=True, swap_out_ms=0, idle_numas=(2,), max_refault=None)
    for _ in range(3):
        pair.scan([0] * COUNT)
    free = (MANY, MANY, sum(pages for _, pages in REGIONS[0]), MANY)
    pair.tick(machine_of(free))
    begun = pair.real.queued
    assert len(begun) == len(REGIONS[0])
    assert set(begun.values()) == {2}
    for _ in range(2):  # until what found no room is tried again
        pair.scan([0] * COUNT)
    pair.tick(machine_of(free))
    assert {said[1] for said in pair.real.decisions.values()} == {Obstacle.NO_ROOM}
    pair.finish()
    pair.scan([0] * COUNT)
    pair.tick(machine_of((MANY, MANY, 0, MANY)))
