"""Guards in the life of regions: what is held waits, is told, and goes on at once when the guard lets go."""

import attrs

from memtierd.model import SWAP_NODE, MachineFacts, Pressure, Stall
from memtierd.placement.plan import Obstacle
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams
from memtierd.reconcile import REBASE_AT_MS
from memtierd.regions.columns import OBSTACLE_BASE
from tests.unit.reconcile_samples import Life, age_policy, rows_of, targets_of
from tests.unit.regions.region_samples import MS, facts_of, machine_of, scan_of

TWO = [(0, 8), (8, 8)]
FACTS = facts_of(100)
PRESSURE = MaxPressureParams(memory=10, resume_ms=0)
REFAULT = MaxRefaultParams(percent=60, window_ms=60_000, damp_ms=100_000, damp_max_ms=10**9)


def under(percent: float) -> MachineFacts:
    """Return a machine with so much memory pressure."""
    return attrs.evolve(machine_of(), pressure=Pressure(Stall(percent, 0.0)))


def idle_life(epoch_ms: int = 0, **changes: object) -> Life:
    """Return a life at 11000 ms with two regions on node 0 that were found idle for 10 s."""
    life = Life(age_policy(**changes), epoch_ms)
    life.scan(scan_of(FACTS, epoch_ms + 1000, TWO, primed=False))
    life.scan(scan_of(FACTS, epoch_ms + 11_000, TWO))
    return life


# pressure


def test_under_pressure_idle_memory_stays_and_goes_as_soon_as_it_may() -> None:
    life = idle_life(max_pressure=PRESSURE)
    for at_ms in (11_100, 11_200):
        plan = life.decide(at_ms, under(11))
        assert len(plan.moves) == 0
        assert plan.blocked.obstacle.tolist() == [Obstacle.PRESSURE] * 2
        assert life.placement == ["backoff"] * 2
        assert life.reconciler.table.outcome.tolist() == [OBSTACLE_BASE + Obstacle.PRESSURE] * 2
        assert len(life.reconciler.guards.conditions) == 1
        assert life.reconciler.obstacles() == [], "it is told once, as the guard's condition"
    (memory, io) = life.reconciler.statistics.guards
    assert (memory.guard, memory.is_paused, memory.held_regions) == ("maxpressure.memory", True, 2)
    assert not io.is_paused
    assert targets_of(life.decide(11_300, under(10))) == [(0, 2), (1, 2)]
    assert life.placement == ["misplaced"] * 2
    assert not life.reconciler.guards.conditions


def test_under_pressure_used_memory_is_promoted() -> None:
    life = Life(age_policy(max_pressure=PRESSURE))
    life.scan(scan_of(FACTS, 1000, TWO, primed=False, node=[2, 0]))
    for at_ms in (6000, 11_000, 16_000):
        life.scan(scan_of(FACTS, at_ms, TWO, accessed=[1, 0], node=[2, 0]))
    plan = life.decide(16_100, under(50))
    assert targets_of(plan) == [(0, 0)]
    assert rows_of(plan.blocked) == [1]


def test_under_pressure_nothing_is_swapped_out() -> None:
    life = idle_life(max_pressure=PRESSURE, swap_out_ms=10_000, idle_duration_ms=0)
    assert len(life.decide(11_100, under(50)).moves) == 0
    assert targets_of(life.decide(11_200, under(1))) == [(0, SWAP_NODE), (1, SWAP_NODE)]


def test_a_dry_run_tells_of_what_is_held_and_again_when_it_would_go() -> None:
    life = idle_life(max_pressure=PRESSURE)
    story: list[tuple[float, list[Obstacle]]]
    story = [(50, [Obstacle.PRESSURE] * 2), (60, []), (5, [Obstacle.NONE] * 2), (4, [])]
    for step, (percent, told) in enumerate(story):
        plan = life.decide(11_100 + step, under(percent))
        assert life.reconciler.unshown(plan.intended).obstacle.tolist() == told


# what comes back


def demoted(life: Life, at_ms: int) -> None:
    """Let the mover do what is planned, and a scan see it on node 2."""
    moves = life.hand_over(at_ms)
    assert targets_of(moves) == [(0, 2), (1, 2)]
    life.report(moves, at_ms + 100)
    life.scan(scan_of(FACTS, at_ms + 200, TWO, node=2))


def test_what_is_used_again_soon_waits_longer_each_time_before_it_is_demoted_again() -> None:
    life, now_ms = idle_life(max_refault=REFAULT), 11_100
    for wait_ms in (100_000, 200_000, 400_000):
        demoted(life, now_ms)
        for later_ms in (1000, 11_200):
            life.scan(scan_of(FACTS, now_ms + later_ms, TWO, accessed=[1, 0], node=2))
        back = life.hand_over(now_ms + 12_000)
        assert targets_of(back) == [(0, 0)]
        life.report(back, now_ms + 12_100)
        life.scan(scan_of(FACTS, now_ms + 22_200, TWO, node=[0, 2]))
        plan = life.decide(now_ms + 23_000)
        assert (rows_of(plan), plan.obstacle.tolist()) == ([0], [Obstacle.DAMPED])
        assert life.reconciler.obstacles() == []
        now_ms += 12_000 + wait_ms
        assert rows_of(life.decide(now_ms - 1).moves) == []
        assert targets_of(life.decide(now_ms)) == [(0, 2)]
        life.scan(scan_of(FACTS, now_ms, TWO, node=0))


def test_when_too_much_comes_back_all_demotion_pauses() -> None:
    life = idle_life(max_refault=REFAULT)
    demoted(life, 11_100)
    other = facts_of(200)
    for at_ms in (12_000, 23_000):
        life.scan(scan_of(FACTS, at_ms, TWO, accessed=1, node=2), scan_of(other, at_ms, TWO, primed=at_ms > 12_000))
    life.scan(scan_of(FACTS, 34_000, TWO, accessed=1, node=2), scan_of(other, 34_000, TWO))
    plan = life.decide(34_100)
    assert targets_of(plan) == [(0, 0), (1, 0), (2, 2), (3, 2)]
    plan = life.decide(34_200)
    assert targets_of(plan) == [(0, 0), (1, 0)]
    assert plan.blocked.obstacle.tolist() == [Obstacle.REFAULT] * 2
    assert len(life.reconciler.guards.conditions) == 1
    assert targets_of(life.decide(11_200 + 60_001))[2:] == [(2, 2), (3, 2)]


def test_what_comes_back_from_swap_soon_is_not_swapped_out_again() -> None:
    life = idle_life(max_refault=REFAULT, swap_out_ms=10_000, idle_duration_ms=0)
    moves = life.hand_over(11_100)
    assert targets_of(moves) == [(0, SWAP_NODE), (1, SWAP_NODE)]
    life.report(moves, 11_200)
    nothing = [[0, 0]] * 4
    life.scan(scan_of(FACTS, 12_000, TWO, node_pages=nothing, swapped=8))
    assert len(life.decide(12_100)) == 0
    life.scan(scan_of(FACTS, 13_000, TWO, node_pages=[[8, 0], *nothing[1:]], swapped=[0, 8], accessed=[8, 0]))
    life.decide(13_100)
    life.scan(scan_of(FACTS, 24_000, TWO, node_pages=[[8, 0], *nothing[1:]], swapped=[0, 8]))
    plan = life.decide(24_100)
    assert (rows_of(plan), plan.obstacle.tolist()) == ([0], [Obstacle.DAMPED])
    assert targets_of(life.decide(113_100)) == [(0, SWAP_NODE)]


def test_a_process_that_ended_leaves_nothing_to_its_successor() -> None:
    life = idle_life(max_refault=REFAULT)
    demoted(life, 11_100)
    life.scan(scan_of(FACTS, 12_100, TWO, accessed=1, node=2))
    life.scan(scan_of(FACTS, 22_200, TWO, accessed=1, node=2))
    life.decide(22_300)
    life.reconciler.forget([FACTS.key], 22_400 * MS)
    heir = facts_of(300)
    life.scan(scan_of(heir, 23_000, TWO, primed=False))
    life.scan(scan_of(heir, 83_000, TWO))
    assert targets_of(life.decide(83_100)) == [(0, 2), (1, 2)]


def test_waits_go_on_when_the_epoch_moves() -> None:
    start_ms = REBASE_AT_MS - 40_000
    life = Life(age_policy(max_refault=REFAULT))
    life.scan(scan_of(FACTS, start_ms + 1000, TWO, primed=False))
    life.scan(scan_of(FACTS, start_ms + 11_000, TWO))
    demoted(life, start_ms + 11_100)
    for at_ms in (12_000, 22_000):
        life.scan(scan_of(FACTS, start_ms + at_ms, TWO, accessed=[1, 0], node=2))
    back = life.hand_over(start_ms + 22_100)
    life.report(back, start_ms + 22_200)
    life.scan(scan_of(FACTS, start_ms + 39_000, TWO, node=[0, 2]))
    for at_ms, held in ((39_900, True), (40_100, True), (122_000, True), (122_100, False)):
        plan = life.decide(start_ms + at_ms)
        assert plan.obstacle.tolist() == ([Obstacle.DAMPED] if held else [Obstacle.NONE]), at_ms
