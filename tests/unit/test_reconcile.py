"""The life of regions from scan to scan, decision to decision, with a fake clock."""

import numpy as np
import pytest

from memtierd.model import OUTCOMES, SWAP_NODE, MoveReport, Outcome, ProcessKey, ScanFailure
from memtierd.parameters import Part
from memtierd.placement.plan import Obstacle
from memtierd.policies.heat import HeatmapParams, HeatParams, HeatPolicy
from memtierd.reconcile import KEEP_MS, REBASE_AT_MS
from memtierd.regions.columns import OBSTACLE_BASE
from memtierd.regions.history import idle_ms
from memtierd.regions.journal import ACTIVITY, PLACEMENT
from memtierd.regions.lifecycle import PLACEMENT as PLACEMENT_MACHINE
from memtierd.units import PAGE_BYTES
from tests.unit.reconcile_samples import Life, age_policy, rows_of, targets_of
from tests.unit.regions.region_samples import (
    BASE,
    MS,
    addresses,
    as_pages,
    facts_of,
    machine_of,
    round_of,
    scan_of,
    u32,
    without_swap,
)

ONE = [(0, 8)]
TWO = [(0, 8), (8, 8)]
FACTS = facts_of(100)
OTHER = facts_of(200)


def idle_life(regions: list[tuple[int, int]] = ONE, **changes: object) -> Life:
    """Return a life at 11000 ms whose regions, on node 0, were found idle for 10 s, and are not decided on yet."""
    life = Life(age_policy(**changes))
    life.scan(scan_of(FACTS, 1000, regions, primed=False))
    life.scan(scan_of(FACTS, 11_000, regions))
    return life


# from scan to plan


def test_a_first_look_proves_nothing() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, TWO, accessed=8, primed=False, node=[0, 2]))
    assert (life.activity, life.placement) == (["unknown"] * 2, ["settled"] * 2)
    assert len(life.decide(900_000)) == 0
    assert (life.activity, life.placement) == (["unknown"] * 2, ["settled"] * 2)


def test_used_memory_is_promoted_and_idle_memory_demoted_once_scans_prove_it() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, TWO, primed=False, node=[2, 0]))
    for at_ms in (6000, 11_000):
        life.scan(scan_of(FACTS, at_ms, TWO, accessed=[1, 0], node=[2, 0]))
        plan = life.decide(at_ms + 100)
    assert life.activity == ["warm", "idle"]
    assert targets_of(plan) == [(1, 2)]
    life.scan(scan_of(FACTS, 16_000, TWO, accessed=[1, 0], node=[2, 0]))
    plan = life.decide(16_100)
    assert life.activity == ["active", "idle"]
    assert targets_of(plan) == [(0, 0), (1, 2)]
    assert plan.row.tolist() == [0, 1], "promotions come first"
    assert plan.value.tolist() == [10.0, 15.0]


def test_time_that_no_scan_has_looked_at_makes_nothing_idle() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, ONE, primed=False))
    life.scan(scan_of(FACTS, 6000, ONE))
    assert len(life.decide(3_600_000)) == 0
    assert life.activity == ["warm"]


def test_memory_that_lies_right_is_not_planned() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, TWO, primed=False, node=[3, 0]))
    life.scan(scan_of(FACTS, 11_000, TWO, node=[3, 0]))
    assert targets_of(life.decide(11_100)) == [(1, 2)]
    assert life.placement == ["settled", "misplaced"]
    life.scan(scan_of(FACTS, 12_000, TWO, node=[3, 2]))
    assert len(life.decide(12_100)) == 0
    assert life.placement == ["settled", "settled"]


def test_a_use_calls_idle_memory_back() -> None:
    life = idle_life()
    assert targets_of(life.decide(11_100)) == [(0, 2)]
    life.scan(scan_of(FACTS, 12_000, ONE, accessed=1))
    assert len(life.decide(12_100)) == 0
    assert (life.activity, life.placement) == (["warm"], ["settled"])


# the mover's answers


def test_a_move_from_plan_to_settled() -> None:
    life = idle_life()
    moves = life.hand_over(11_100)
    assert life.placement == ["queued"]
    assert len(life.decide(11_200)) == 0, "the mover has it"
    life.scan(scan_of(FACTS, 11_300, ONE))
    assert life.placement == ["queued"]
    life.report(moves, 11_500)
    assert life.placement == ["unseen"]
    assert len(life.decide(11_600)) == 0, "nobody has looked yet"
    life.scan(scan_of(FACTS, 12_000, ONE, node=2))
    assert life.placement == ["settled"]
    assert len(life.decide(12_100)) == 0
    assert life.placement == ["settled"]


@pytest.mark.parametrize(("scan_ms", "placement"), [(11_499, "unseen"), (11_500, "unseen"), (11_501, "settled")])
def test_a_scan_that_began_before_the_move_ended_does_not_count(scan_ms: int, placement: str) -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_500)
    life.scan(scan_of(FACTS, scan_ms, ONE, node=2))
    assert life.placement == [placement]


@pytest.mark.parametrize(("scan_ms", "accesses"), [(11_499, 0), (11_500, 0), (11_501, 1)])
def test_a_scan_that_began_before_the_move_ended_tells_nothing_of_use(scan_ms: int, accesses: int) -> None:
    """It may have looked for a page's use where the page was no longer."""
    life = idle_life()
    life.report(life.hand_over(11_100), 11_500)
    before = life.reconciler.table.accesses.copy()
    life.scan(scan_of(FACTS, scan_ms, ONE, node=2, accessed=1))
    assert (life.reconciler.table.accesses - before).tolist() == [accesses]
    assert life.activity == ["idle"]
    life.decide(11_600)
    assert life.activity == ["warm" if accesses else "idle"]


def test_a_move_that_did_not_help_is_tried_again() -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_500)
    life.scan(scan_of(FACTS, 12_000, ONE, node=0))
    assert targets_of(life.decide(12_100)) == [(0, 2)]


def test_failures_wait_twice_as_long_each_time_up_to_the_longest_wait() -> None:
    life, now_ms = idle_life(), 11_000
    for failures, wait_ms in enumerate([10_000, 20_000, 40_000, 60_000, 60_000], start=1):
        life.report(life.hand_over(now_ms), now_ms, Outcome.BUSY)
        assert life.placement == ["backoff"]
        assert life.reconciler.table.failures.tolist() == [failures]
        assert len(life.decide(now_ms + wait_ms - 1)) == 0
        assert life.placement == ["backoff"]
        now_ms += wait_ms
    assert targets_of(life.decide(now_ms)) == [(0, 2)]
    assert life.placement == ["misplaced"]


def test_success_and_lying_right_forget_failures() -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_100, Outcome.BUSY)
    life.report(life.hand_over(21_100), 21_200, Outcome.MOVED)
    assert life.reconciler.table.failures.tolist() == [0]
    life = idle_life()
    life.report(life.hand_over(11_100), 11_100, Outcome.BUSY)
    life.scan(scan_of(FACTS, 12_000, ONE, node=2))
    life.decide(12_100)
    assert life.placement == ["settled"]
    assert life.reconciler.table.failures.tolist() == [0]


def test_very_many_failures_and_very_long_waits_fit_their_columns() -> None:
    life, now_ms = idle_life(retry_ms=1, retry_max_ms=1_000_000_000_000), 11_000
    life.reconciler.table.failures[:] = 254
    life.report(life.hand_over(now_ms), now_ms, Outcome.BUSY)
    assert life.reconciler.table.failures.tolist() == [255]
    now_ms += 1 << 20
    life.report(life.hand_over(now_ms), now_ms, Outcome.BUSY)
    assert life.reconciler.table.failures.tolist() == [255]
    life = idle_life(retry_ms=1_000_000_000_000, retry_max_ms=1_000_000_000_000)
    life.report(life.hand_over(11_100), 11_100, Outcome.BUSY)
    assert len(life.decide(REBASE_AT_MS - 1)) == 0


def test_what_shall_go_elsewhere_now_does_not_wait_for_its_old_retry() -> None:
    life = Life(age_policy(swap_out_ms=20_000))
    life.scan(scan_of(FACTS, 1000, ONE, primed=False))
    life.scan(scan_of(FACTS, 11_000, ONE))
    for now_ms in (11_100, 21_100):
        life.report(life.hand_over(now_ms), now_ms, Outcome.TARGET_FULL)
    assert life.reconciler.table.failures.tolist() == [2]
    life.scan(scan_of(FACTS, 22_000, ONE))
    assert targets_of(life.decide(22_100)) == [(0, SWAP_NODE)]
    assert life.reconciler.table.failures.tolist() == [0]


def test_what_is_dropped_is_planned_again_at_once() -> None:
    life = idle_life()
    life.drop(life.hand_over(11_100), 11_200)
    assert life.placement == ["misplaced"]
    assert life.reconciler.table.failures.tolist() == [0]
    assert targets_of(life.decide(11_300)) == [(0, 2)]


def test_a_region_that_was_begun_and_taken_back_midway_is_planned_again() -> None:
    life = idle_life(TWO)
    life.hand_over(11_100)
    outcomes = np.zeros((1, OUTCOMES), np.uint64)
    outcomes[0, Outcome.MOVED] = 3
    begun = MoveReport(FACTS.key, 2, addresses(0), u32(3), outcomes)
    rest = MoveReport(FACTS.key, 2, addresses(3, 8), u32(5, 8), np.zeros((2, OUTCOMES), np.uint64), dropped=True)
    life.reconciler.report(begun, 11_200 * MS)
    assert life.placement == ["queued", "queued"]
    life.reconciler.report(rest, 11_200 * MS)
    assert life.placement == ["misplaced", "misplaced"]
    assert life.reconciler.statistics.outcomes[100][Outcome.MOVED] == 3


def test_a_report_for_a_region_that_was_cut_anew_changes_nothing() -> None:
    life = idle_life()
    moves = life.hand_over(11_100)
    life.scan(scan_of(FACTS, 12_000, [(0, 6), (6, 6)]))
    before = (life.activity, life.placement, life.reconciler.table.outcome.tolist())
    life.report(moves, 12_100, Outcome.BUSY)
    assert (life.activity, life.placement, life.reconciler.table.outcome.tolist()) == before
    assert life.placement == ["settled", "settled"]


def test_a_move_by_hand_of_a_settled_region_is_only_counted() -> None:
    life = idle_life()
    moves = life.decide(11_100)
    life.scan(scan_of(FACTS, 12_000, ONE, node=2))
    life.decide(12_100)
    for outcome in (Outcome.MOVED, Outcome.BUSY):
        life.report(moves, 12_200, outcome)
        assert life.placement == ["settled"]
    assert life.reconciler.table.failures.tolist() == [0]
    assert life.reconciler.statistics.outcomes[100][Outcome.BUSY] == 8


@pytest.mark.parametrize(
    ("pages", "told", "placement"),
    [
        ({Outcome.MOVED: 8}, Outcome.MOVED, "unseen"),
        ({Outcome.MOVED: 1, Outcome.NOT_PRESENT: 7}, Outcome.MOVED, "unseen"),
        ({Outcome.NOT_PRESENT: 8}, Outcome.NOT_PRESENT, "unseen"),
        ({Outcome.MOVED: 2, Outcome.ALREADY_THERE: 6}, Outcome.ALREADY_THERE, "unseen"),
        ({Outcome.MOVED: 7, Outcome.BUSY: 1}, Outcome.BUSY, "backoff"),
        ({Outcome.DENIED: 5, Outcome.BUSY: 3}, Outcome.DENIED, "backoff"),
        ({Outcome.TARGET_FULL: 8}, Outcome.TARGET_FULL, "backoff"),
        ({Outcome.OTHER: 1, Outcome.NOT_PRESENT: 7}, Outcome.OTHER, "backoff"),
        ({Outcome.PROCESS_GONE: 8}, Outcome.PROCESS_GONE, "backoff"),
    ],
)
def test_the_outcome_of_a_region_tells_what_kept_most_of_its_pages(
    pages: dict[Outcome, int], told: Outcome, placement: str
) -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_200, pages)
    assert life.reconciler.table.outcome.tolist() == [told + 1]
    assert life.placement == [placement]


# obstacles


def test_what_cannot_move_waits_and_says_why() -> None:
    life = idle_life(TWO)
    full = machine_of((1 << 20, 1 << 20, 8, 0))
    plan = life.decide(11_100, full)
    assert targets_of(plan) == [(0, 2)]
    assert (plan.blocked.row.tolist(), plan.blocked.obstacle.tolist()) == ([1], [Obstacle.NO_ROOM])
    assert life.placement == ["misplaced", "backoff"]
    assert life.reconciler.table.outcome.tolist() == [0, OBSTACLE_BASE + Obstacle.NO_ROOM]
    assert life.reconciler.obstacles() == [(0, life.reconciler.policy.activity.state("idle"), Obstacle.NO_ROOM)]


def test_an_obstacle_is_looked_at_again_at_a_steady_pace() -> None:
    life, full = idle_life(), machine_of((1 << 20, 1 << 20, 0, 0))
    for now_ms in range(12_000, 112_000, 10_000):
        assert len(life.decide(now_ms, full).blocked) == 1
        assert len(life.decide(now_ms + 9_999, full)) == 0
        assert len(life.reconciler.obstacles()) == 1
    assert life.reconciler.table.failures.tolist() == [0]
    assert targets_of(life.decide(112_000)) == [(0, 2)]
    assert life.placement == ["misplaced"]
    assert life.reconciler.obstacles() == []
    changes = life.reconciler.journal.of_region(100, BASE)
    events = [PLACEMENT_MACHINE.declaration.events[c.event] for c in changes if c.machine == PLACEMENT]
    assert events == ["observed", "wrong", "blocked", "retry"], "waiting is told once"


def test_obstacles_are_told_once_for_each_process_state_and_reason() -> None:
    life = Life(age_policy(swap_out_ms=20_000))
    regions = [(0, 8), (8, 8), (16, 8)]
    nowhere = facts_of(200, allowed=(0, 1))
    for at_ms, primed in ((1000, False), (2000, True)):
        life.scan(*(scan_of(facts, at_ms, regions, primed=primed, accessed=1) for facts in (FACTS, nowhere)))
    life.scan(*(scan_of(facts, 12_000, regions, accessed=[0, 0, 1]) for facts in (FACTS, nowhere)))
    life.scan(*(scan_of(facts, 22_000, regions, accessed=[0, 1, 0]) for facts in (FACTS, nowhere)))
    life.decide(22_100, without_swap(machine_of((1 << 20, 1 << 20, 0, 0))))
    idle, cold = (life.reconciler.policy.activity.state(name) for name in ("idle", "cold"))
    assert life.activity == ["cold", "warm", "idle"] * 2
    assert life.reconciler.obstacles() == [
        (0, idle, Obstacle.NO_ROOM),
        (0, cold, Obstacle.NO_SWAP),
        (1, idle, Obstacle.NOT_ALLOWED),
        (1, cold, Obstacle.NO_SWAP),
    ]


def test_a_failed_move_is_no_obstacle() -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_200, Outcome.BUSY)
    assert life.placement == ["backoff"]
    assert life.reconciler.obstacles() == []


def test_room_is_shared_by_all_processes_and_limits_count_tracked_pages() -> None:
    params = HeatParams(
        heatmap=HeatmapParams(heat_max=1.0, heat_classes=2, heat_retention=0),
        heat_numas={1: (0,)},
        numa_size={0: str(16 * PAGE_BYTES)},
    )
    life = Life(HeatPolicy(params))
    scans = [(FACTS, [8, 6], [0, 2]), (OTHER, [7, 5], [2, 2])]
    for at_ms in (1000, 2000):
        life.scan(*(scan_of(facts, at_ms, TWO, accessed=used, node=node) for facts, used, node in scans))
    plan = life.decide(2100)
    assert targets_of(plan) == [(2, 0)], "8 pages lie there, 8 more may come: the hottest of all"
    assert rows_of(plan.blocked) == [1, 3]


def test_limits_count_pages_that_arrived_and_were_not_seen_yet() -> None:
    params = HeatParams(
        heatmap=HeatmapParams(heat_max=1.0, heat_classes=2, heat_retention=1),
        heat_numas={1: (0,)},
        numa_size={0: str(8 * PAGE_BYTES)},
    )
    life = Life(HeatPolicy(params))
    for at_ms in (1000, 2000):
        life.scan(scan_of(FACTS, at_ms, TWO, accessed=[8, 7], node=2))
    life.report(life.hand_over(2100), 2200)
    assert targets_of(life.decide(2300)) == [], "the first region fills the limit, though no scan saw it there"
    life.scan(scan_of(FACTS, 3000, TWO, accessed=[8, 7], node=2))
    assert targets_of(life.decide(3100)) == [(0, 0)], "it was seen elsewhere"


def test_a_target_that_turned_out_full_is_told_until_the_region_has_moved() -> None:
    life = idle_life()
    idle = life.reconciler.policy.activity.state("idle")
    moves = life.hand_over(11_100)
    life.report(moves, 11_200, Outcome.TARGET_FULL)
    assert life.reconciler.obstacles() == [(0, idle, Obstacle.NO_ROOM)]
    again = life.hand_over(21_300)
    assert life.placement == ["queued"]
    assert life.reconciler.obstacles() == [(0, idle, Obstacle.NO_ROOM)]
    life.report(again, 21_400)
    assert life.reconciler.obstacles() == []


# dry run


def test_a_dry_run_tells_every_move_once_and_again_after_a_change() -> None:
    life = idle_life(TWO)
    assert rows_of(life.reconciler.unshown(life.decide(11_100).moves)) == [0, 1]
    assert rows_of(life.reconciler.unshown(life.decide(11_200).moves)) == []
    life.scan(scan_of(FACTS, 12_000, TWO, accessed=[1, 0]))
    assert rows_of(life.reconciler.unshown(life.decide(12_100).moves)) == []
    life.scan(scan_of(FACTS, 22_000, TWO))
    assert rows_of(life.reconciler.unshown(life.decide(22_100).moves)) == [0]
    life.scan(scan_of(FACTS, 23_000, TWO, node=[0, 3]))
    life.decide(23_100)
    life.scan(scan_of(FACTS, 24_000, TWO))
    assert rows_of(life.reconciler.unshown(life.decide(24_100).moves)) == [1], "it lay right in between"
    life.scan(scan_of(FACTS, 25_000, [(0, 8), (8, 9)]))
    assert rows_of(life.reconciler.unshown(life.decide(25_100).moves)) == [1], "it is another region"


# processes


def test_a_process_that_is_gone_takes_its_regions_and_its_part_of_the_plan() -> None:
    life = Life()
    for at_ms, primed in ((1000, False), (11_000, True)):
        life.scan(scan_of(FACTS, at_ms, ONE, primed=primed), scan_of(OTHER, at_ms, TWO, primed=primed))
    moves = life.hand_over(11_100)
    mine = moves.choose(moves.process == 0)
    life.reconciler.observe(round_of(scan_of(OTHER, 12_000, TWO), gone=[FACTS.key]))
    assert as_pages(life.reconciler.table) == [(1, 0, 8), (1, 8, 8)]
    assert life.placement == ["queued", "queued"]
    assert set(life.reconciler.plan.process.tolist()) == {1}
    assert list(life.reconciler.processes) == [OTHER.key]
    report = MoveReport(FACTS.key, 2, mine.start, mine.pages, np.zeros((1, OUTCOMES), np.uint64))
    life.reconciler.report(report, 12_100 * MS)
    assert life.placement == ["queued", "queued"]
    (last,) = life.reconciler.journal.of_region(100, BASE)[-1:]
    gone = life.reconciler.policy.activity.state("gone")
    assert (last.machine, last.after) == (ACTIVITY, gone)


def test_forgetting_the_unknown_changes_nothing() -> None:
    life = idle_life()
    life.reconciler.forget([OTHER.key, ProcessKey(100, 2)], 11_100 * MS)
    assert targets_of(life.decide(11_200)) == [(0, 2)]


def test_a_pid_that_was_used_again_inherits_nothing() -> None:
    life = idle_life()
    life.decide(11_100)
    again = facts_of(100, start_ticks=9)
    life.reconciler.observe(round_of(scan_of(again, 12_000, ONE, primed=False), gone=[FACTS.key]))
    assert (life.activity, life.placement) == (["unknown"], ["settled"])
    assert life.reconciler.table.last_access_ms.tolist() == [12_000]
    life.scan(scan_of(again, 17_000, ONE))
    assert len(life.decide(17_100)) == 0
    assert life.activity == ["warm"]


def test_a_late_report_for_a_pid_that_was_used_again_is_not_its() -> None:
    life = idle_life()
    moves = life.hand_over(11_100)
    again = facts_of(100, start_ticks=9)
    life.reconciler.observe(round_of(scan_of(again, 12_000, ONE, primed=False), gone=[FACTS.key]))
    life.scan(scan_of(again, 22_000, ONE))
    life.hand_over(22_100)
    late = MoveReport(FACTS.key, 2, moves.start, moves.pages, np.zeros((1, OUTCOMES), np.uint64))
    life.reconciler.report(late, 22_200 * MS)
    assert life.placement == ["queued"]


def test_a_process_that_could_not_be_scanned_does_not_age() -> None:
    life = Life()
    for at_ms, primed in ((1000, False), (6000, True)):
        life.scan(scan_of(FACTS, at_ms, ONE, primed=primed), scan_of(OTHER, at_ms, ONE, primed=primed))
    failure = ScanFailure(FACTS.key, "read /proc/100/pagemap: permission denied (EACCES)")
    life.reconciler.observe(round_of(scan_of(OTHER, 11_000, ONE), failed=[failure]))
    life.decide(11_100)
    assert life.activity == ["warm", "idle"]
    assert life.reconciler.statistics.events["tracker.test.failed"].count == 1


def test_what_is_unmapped_is_gone_and_its_neighbours_keep_their_states() -> None:
    life = idle_life([(0, 8), (8, 8), (16, 8)])
    life.decide(11_100)
    life.scan(scan_of(FACTS, 12_000, [(0, 8), (16, 8)]))
    assert life.activity == ["idle", "idle"]
    assert life.placement == ["misplaced", "misplaced"]
    (last,) = life.reconciler.journal.of_region(100, BASE + 8 * PAGE_BYTES)[-1:]
    assert last.after == life.reconciler.policy.activity.state("gone")


def test_a_fresh_region_ages_from_the_scan_of_its_own_process() -> None:
    life = Life()
    life.reconciler.observe(round_of(scan_of(FACTS, 61_000, ONE, primed=False), at_ms=1000))
    life.scan(scan_of(FACTS, 66_000, ONE))
    life.decide(66_100)
    assert life.activity == ["warm"]


def test_time_without_a_tracker_proves_nothing() -> None:
    life = Life(age_policy(swap_out_ms=60_000))
    life.scan(scan_of(FACTS, 1000, ONE, primed=False))
    life.scan(scan_of(FACTS, 6000, ONE))
    life.scan(scan_of(FACTS, 3_600_000, ONE, primed=False))
    life.scan(scan_of(FACTS, 3_604_000, ONE))
    life.decide(3_604_100)
    assert life.activity == ["warm"], "5 s before the gap and 4 s after it"
    life.scan(scan_of(FACTS, 3_605_000, ONE))
    life.decide(3_605_100)
    assert life.activity == ["idle"]


def test_an_empty_world() -> None:
    life = Life()
    assert len(life.decide(1000)) == 0
    life.reconciler.observe(round_of(at_ms=2000))
    life.scan(scan_of(FACTS, 3000, []))
    assert len(life.decide(4000)) == 0
    assert life.reconciler.obstacles() == []
    assert list(life.reconciler.processes) == [FACTS.key]


# change of policy, passing of time


def test_a_change_of_policy_keeps_ages() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, ONE, primed=False))
    life.scan(scan_of(FACTS, 6000, ONE))
    assert len(life.decide(6100)) == 0
    life.reconciler.set_policy(age_policy(idle_duration_ms=5000))
    assert life.activity == ["unknown"]
    assert len(life.reconciler.plan) == 0
    assert targets_of(life.decide(6200)) == [(0, 2)]


def test_a_change_of_policy_ends_waiting_for_the_old_one() -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_200, Outcome.BUSY)
    life.reconciler.set_policy(age_policy(idle_numas=(3,)))
    assert targets_of(life.decide(11_300)) == [(0, 3)]


@pytest.mark.parametrize("change", [{"batch_mb": 1}, {"interval_ms": 7}, {"tracker": Part("stub", None)}])
def test_a_policy_that_decides_alike_leaves_states_and_waits_as_they_are(change: dict[str, object]) -> None:
    life = idle_life()
    life.report(life.hand_over(11_100), 11_200, Outcome.BUSY)
    before = (life.activity, life.placement, life.reconciler.table.not_before_ms.tolist())
    life.reconciler.set_policy(age_policy(**change))
    assert (life.activity, life.placement, life.reconciler.table.not_before_ms.tolist()) == before
    assert life.reconciler.policy.params == age_policy(**change).params
    assert targets_of(life.decide(11_300)) == []


def heat_policy() -> HeatPolicy:
    """Return four classes: the coldest belongs on node 3, the hottest on node 0."""
    return HeatPolicy(HeatParams(heatmap=HeatmapParams(heat_max=1, heat_classes=4), heat_numas={0: (3,), 3: (0,)}))


def test_heat_that_nobody_has_kept_makes_nothing_cold() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, ONE, primed=False))
    life.scan(scan_of(FACTS, 2000, ONE, accessed=8))
    life.reconciler.set_policy(heat_policy())
    assert len(life.decide(2100)) == 0
    assert life.activity == ["unknown"]
    life.scan(scan_of(FACTS, 3000, ONE, accessed=8))
    life.decide(3100)
    assert life.activity == ["heat_3"]
    life.reconciler.set_policy(heat_policy())
    life.decide(3200)
    assert life.activity == ["heat_3"], "the same heat goes on"


def test_the_journal_tells_no_states_of_another_policy() -> None:
    life = idle_life()
    life.decide(11_100)
    life.reconciler.set_policy(age_policy(idle_duration_ms=7000))
    assert {c.machine for c in life.reconciler.journal.of_region(100, BASE)} == {ACTIVITY, PLACEMENT}
    life.reconciler.set_policy(heat_policy())
    assert {c.machine for c in life.reconciler.journal.of_region(100, BASE)} == {PLACEMENT}


def test_heat_moves_the_hottest_first_and_of_the_cold_the_coldest() -> None:
    life = Life(heat_policy())
    regions = [(8 * i, 8) for i in range(4)]
    life.scan(scan_of(FACTS, 1000, regions, accessed=[1, 7, 0, 8], node=1))
    plan = life.decide(1100)
    assert life.activity == ["heat_0", "heat_3", "heat_0", "heat_3"]
    assert plan.row.tolist() == [3, 1, 2, 0]
    assert plan.target.tolist() == [0, 0, 3, 3]
    assert plan.value.tolist() == [1.0, 0.875, 0.0, 0.125]


def test_counters_are_reset_without_forgetting_ages() -> None:
    life = Life()
    life.scan(scan_of(FACTS, 1000, ONE, accessed=5, written=2))
    assert (life.reconciler.table.accesses.tolist(), life.reconciler.table.writes.tolist()) == ([5], [2])
    life.reconciler.reset_counters()
    assert (life.reconciler.table.accesses.tolist(), life.reconciler.table.writes.tolist()) == ([0], [0])
    assert life.reconciler.table.last_access_ms.tolist() == [1000]


def test_after_24_days_the_epoch_moves_and_nothing_else() -> None:
    life, regions = Life(), [(0, 8), (8, 8), (16, 8)]
    start_ms = REBASE_AT_MS - 30_000
    life.scan(scan_of(FACTS, 1000, regions, primed=False, node=1))
    life.scan(scan_of(FACTS, start_ms, regions, accessed=[1, 1, 0], node=1))
    life.scan(scan_of(FACTS, start_ms + 25_000, regions, accessed=[1, 0, 0], node=1))
    life.report(life.hand_over(start_ms + 26_000), start_ms + 29_000, Outcome.BUSY)
    before = life.reconciler.history()
    idle_before = idle_ms(before.last_access_ms, before.observed_ms)
    assert life.activity == ["active", "idle", "idle"]
    assert life.placement == ["settled", "backoff", "backoff"]
    assert len(life.decide(REBASE_AT_MS)) == 0
    assert life.reconciler.at_ms(REBASE_AT_MS * MS) == KEEP_MS
    after = life.reconciler.history()
    assert idle_ms(after.last_access_ms, after.observed_ms)[:2].tolist() == idle_before[:2].tolist()
    assert life.activity == ["active", "idle", "idle"]
    assert len(life.decide(start_ms + 38_999)) == 0
    assert targets_of(life.decide(start_ms + 39_000)) == [(1, 2), (2, 2)]
    life.scan(scan_of(FACTS, start_ms + 40_000, regions, accessed=[1, 0, 0], node=1))
    life.decide(start_ms + 40_100)
    assert life.activity == ["active", "idle", "idle"]
    last = life.reconciler.journal.of_region(100, BASE + 8 * PAGE_BYTES)[-1]
    assert last.at_ms == life.reconciler.at_ms((start_ms + 39_000) * MS)


@pytest.mark.parametrize("days", [30, 100, 1000])
def test_a_clock_that_jumps_by_months_raises_nothing(days: int) -> None:
    life = idle_life()
    moves = life.hand_over(11_100)
    late_ms = days * 86_400_000
    life.report(moves, late_ms)
    life.reconciler.forget([OTHER.key], 2 * late_ms * MS)
    life.scan(scan_of(FACTS, 3 * late_ms, ONE))
    life.decide(4 * late_ms)
    life.scan(scan_of(FACTS, 4 * late_ms + 20_000, ONE))
    assert targets_of(life.decide(4 * late_ms + 20_100)) == [(0, 2)]
    life.reconciler.forget([FACTS.key], 5 * late_ms * MS)


def test_the_clock_starts_anywhere() -> None:
    life = Life(epoch_ms=123_456_789)
    for at_ms, primed in ((1000, False), (11_000, True)):
        life.scan(scan_of(FACTS, 123_456_789 + at_ms, ONE, primed=primed))
    assert targets_of(life.decide(123_456_789 + 11_100)) == [(0, 2)]
    assert life.reconciler.at_ms(0) == 0


def test_every_round_and_every_decision_is_counted() -> None:
    life = idle_life()
    life.decide(11_100)
    events = life.reconciler.statistics.events
    assert (events["tracker.test.scan"].count, events["policy.age.tick"].count) == (2, 1)
    assert life.reconciler.statistics.scans[100].scans == 2
    assert life.reconciler.last_scan is not None
    assert life.reconciler.last_scan.started_ns == 11_000 * MS
