"""Whatever happens in whatever order, nothing raises and the table stays sound."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memtierd.model import (
    OUTCOMES,
    U32,
    U64,
    GroupStall,
    MoveReport,
    Outcome,
    Pressure,
    ProcessFacts,
    ProcessKey,
    ProcessScan,
    Stall,
)
from memtierd.placement.batches import batches
from memtierd.placement.plan import Direction, Obstacle
from memtierd.policies import Policy
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams
from memtierd.policies.heat import HeatmapParams, HeatParams, HeatPolicy
from memtierd.reconcile import REBASE_AT_MS, Reconciler
from memtierd.regions.columns import NEVER_MS, OBSTACLE_BASE
from memtierd.regions.history import active_ms
from memtierd.regions.lifecycle import BACKOFF
from memtierd.units import PAGE_BYTES
from tests.unit.reconcile_samples import age_policy
from tests.unit.regions.region_samples import MS, NODES, Regions, facts_of, machine_of, round_of, scan_of

KEYS = [ProcessKey(pid, start) for pid in (100, 200) for start in (1, 2)]
layouts = st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0, 0, 1, 5])), max_size=8)
gaps_ms = st.sampled_from([0, 1, 1, 999, 5000, 20_000, 3_600_000, REBASE_AT_MS // 2, REBASE_AT_MS * 5])


GUARDS: dict[str, Any] = {
    "max_pressure": MaxPressureParams(resume_ms=1000),
    "max_refault": MaxRefaultParams(percent=50, window_ms=20_000, damp_ms=5000, damp_max_ms=3_600_000),
}


def heat_policy() -> HeatPolicy:
    """Return four classes with three places."""
    params = HeatParams(
        heatmap=HeatmapParams(heat_max=1, heat_classes=4, heat_retention=0.9),
        heat_numas={0: (-1,), 1: (2, 3), 3: (0, 1)},
        numa_size={0: "200k"},
        **GUARDS,
    )
    return HeatPolicy(params)


def facts(index: int) -> ProcessFacts:
    """Return what is known of one of the processes."""
    key = KEYS[index]
    return facts_of(key.pid, key.start_ticks, allowed=NODES if index else (0, 2), running_node=index - 1)


class World(RuleBasedStateMachine):
    """Scans, decisions, the mover's reports, ends of processes and changes of policy, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1000
        self.reconciler = Reconciler(age_policy(swap_out_ms=30_000, **GUARDS), NODES, 0)
        self.is_guarded = True
        self.in_work: list[tuple[ProcessKey, int, U64, U32]] = []

    @rule(gap_ms=gaps_ms)
    def wait(self, gap_ms: int) -> None:
        self.now_ms += gap_ms

    @rule(
        seen=st.dictionaries(st.integers(0, 3), layouts, min_size=1),
        gone=st.sets(st.integers(0, 3), max_size=2),
        seed=st.integers(0, 999),
        late_ms=st.integers(0, 2000),
    )
    def scan(self, seen: dict[int, list[tuple[int, int]]], gone: set[int], seed: int, late_ms: int) -> None:
        started_ms = max(0, self.now_ms - late_ms)
        scans = [self._scan(index, layout, seed + index, started_ms) for index, layout in sorted(seen.items())]
        ended = [KEYS[index] for index in sorted(gone - seen.keys())]
        self.reconciler.observe(round_of(*scans, at_ms=started_ms, gone=ended))

    def _scan(self, index: int, layout: Sequence[tuple[int, int]], seed: int, at_ms: int) -> ProcessScan:
        random = np.random.default_rng(seed)
        first, regions = int(random.integers(0, 9)), []
        for pages, gap in layout:
            regions.append((first, pages))
            first += pages + gap
        where: Regions = regions
        pages_of = np.array([n for _, n in regions], np.uint32)
        return scan_of(
            facts(index),
            at_ms,
            where,
            accessed=random.integers(0, pages_of + 1).tolist() if regions else 0,
            primed=(random.random(len(regions)) < 0.9).tolist(),
            node_pages=random.integers(0, 3, (len(NODES), len(regions))).tolist(),
        )

    @rule(
        free=st.lists(st.integers(0, 40), min_size=4, max_size=4),
        swap=st.integers(0, 40),
        stalls=st.tuples(st.sampled_from([None, 0.0, 90.0]), st.sampled_from([0.0, 0.0, 90.0])),
        begin=st.booleans(),
    )
    def decide(self, free: list[int], swap: int, stalls: tuple[float | None, float], begin: bool) -> None:
        group = GroupStall("/group", Stall(stalls[1], 0), frozenset({100, 999}))
        pressure = Pressure(Stall(stalls[0], 0), (group,))
        machine = attrs.evolve(machine_of(free, total_pages=100, swap=(swap, swap // 2)), pressure=pressure)
        plan = self.reconciler.decide(self.now_ms * MS, machine)
        if stalls[0]:
            assert not self.is_guarded or (plan.moves.direction != Direction.DEMOTION).all()
        self.reconciler.unshown(plan.moves)
        if not begin:
            return
        moves = plan.moves
        for entries in batches(moves, 20):
            key = self.reconciler.processes.facts(int(moves.process[entries[0]])).key
            self.in_work.append((key, int(moves.target[entries[0]]), moves.start[entries], moves.pages[entries]))
        self.reconciler.enqueue(moves.row, self.now_ms * MS)

    @rule(which=st.integers(0, 99), outcome=st.sampled_from([None, *Outcome]), begun_pages=st.integers(0, 9))
    def report(self, which: int, outcome: Outcome | None, begun_pages: int) -> None:
        """End one batch: with an outcome, or taken back, perhaps inside its first region."""
        if not self.in_work:
            return
        key, target, start, pages = self.in_work.pop(which % len(self.in_work))
        outcomes = np.zeros((len(start), OUTCOMES), np.uint64)
        if outcome is not None:
            outcomes[:, outcome] = pages
        elif begun_pages < pages[0]:
            start, pages = start.copy(), pages.copy()
            start[0] += np.uint64(begun_pages * PAGE_BYTES)
            pages[0] -= begun_pages
        report = MoveReport(key, target, start, pages, outcomes, dropped=outcome is None)
        self.reconciler.report(report, self.now_ms * MS)

    @rule(index=st.integers(0, 3))
    def leave(self, index: int) -> None:
        self.reconciler.forget([KEYS[index]], self.now_ms * MS)

    @rule(heat=st.booleans())
    def change_policy(self, heat: bool) -> None:
        policy: Policy = heat_policy() if heat else age_policy()
        self.reconciler.set_policy(policy)
        self.is_guarded = heat

    @rule()
    def reset_counters(self) -> None:
        self.reconciler.reset_counters()

    @invariant()
    def rows_are_sorted_and_apart(self) -> None:
        table = self.reconciler.table
        keys = list(zip(table.process.tolist(), table.start.tolist(), strict=True))
        assert keys == sorted(set(keys))
        same = table.process[1:] == table.process[:-1]
        assert (table.end[:-1][same] <= table.start[1:][same]).all()
        for process in set(table.process.tolist()):
            assert (table.process[table.rows_of(process)] == process).all()
            assert self.reconciler.processes.row(self.reconciler.processes.facts(process).key) == process

    @invariant()
    def all_columns_have_all_rows(self) -> None:
        table = self.reconciler.table
        assert {len(values) for _, values in table.columns()} == {len(table)}
        assert table.node_pages.shape == (len(NODES), len(table))

    @invariant()
    def codes_mean_something(self) -> None:
        table, policy = self.reconciler.table, self.reconciler.policy
        assert (table.activity < policy.activity.state("gone")).all()
        assert (table.placement <= BACKOFF).all()
        assert (table.desired < len(policy.places)).all()
        known = {0, *(o + 1 for o in Outcome), *(o + OBSTACLE_BASE for o in Obstacle)}
        assert set(table.outcome.tolist()) <= known

    @invariant()
    def demotions_are_remembered_in_order_and_only_of_known_processes(self) -> None:
        entries = self.reconciler.guards._damping._entries
        assert (np.diff(entries["key"].astype(np.int64)) > 0).all()
        assert (entries["back_pages"] <= entries["moved_pages"]).all()
        known = {process for process, _ in self.reconciler.processes.rows()}
        assert set(entries["process"].tolist()) <= known

    @invariant()
    def times_make_sense(self) -> None:
        table = self.reconciler.table
        streaks = table.active_since_ms != NEVER_MS
        assert (table.active_since_ms[streaks] <= table.last_access_ms[streaks]).all()
        assert (active_ms(table.last_access_ms, table.active_since_ms) <= table.last_access_ms).all()
        assert np.isfinite(table.heat).all()
        assert (table.heat >= 0).all()

    @invariant()
    def the_plan_names_only_processes_that_are_known(self) -> None:
        for process in set(self.reconciler.plan.process.tolist()):
            self.reconciler.processes.facts(process)


World.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
