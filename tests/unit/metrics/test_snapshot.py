"""What the control thread sums up: right, whole, and a copy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd.metrics.collector import event_families, move_families, scan_families, table_families
from memtierd.metrics.families import Measured
from memtierd.metrics.snapshot import take
from memtierd.model import Outcome
from memtierd.policies.age import AgePolicy
from memtierd.reconcile import Reconciler
from memtierd.statistics import Totals
from tests.unit.reconcile_samples import AGE, Life
from tests.unit.regions.region_samples import NODES, facts_of, scan_of


def samples(measured: Measured) -> dict[tuple[str, ...], float]:
    """Return the values by labels."""
    return {sample.labels: sample.value for sample in measured.samples if not sample.suffix}


def by_name(families: list[Measured]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return all values by name and labels."""
    return {measured.family.name.removeprefix("memtierd_"): samples(measured) for measured in families}


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_pages_are_summed_by_group_state_and_place(data: st.DataObject) -> None:
    reconciler = Reconciler(AgePolicy(AGE), NODES, 0)
    processes, rows = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 6))
    life = Life()
    life.reconciler = reconciler
    keys = []
    for pid in range(1, processes + 1):
        regions = [(region * 8, 8) for region in range(rows)]
        pages = data.draw(st.lists(st.integers(0, 2), min_size=rows * 4, max_size=rows * 4))
        life.scan(scan_of(facts_of(pid), 1, regions, node_pages=np.reshape(pages, (4, rows)).tolist(), swapped=1))
        keys.append(facts_of(pid).key)
    table = reconciler.table
    table.activity = np.array(
        data.draw(st.lists(st.integers(0, 4), min_size=len(table), max_size=len(table))), np.uint8
    )
    group_of = {key: data.draw(st.integers(0, 2)) for key in keys[:3]}
    snapshot = take(reconciler, group_of, 3)
    expected = np.zeros((3, 5, 5), np.int64)
    for row in range(len(table)):
        key = reconciler.processes.facts(int(table.process[row])).key
        for place, pages_there in enumerate((*table.node_pages[:, row].tolist(), int(table.swapped_pages[row]))):
            expected[group_of.get(key, 2), table.activity[row], place] += pages_there
    assert snapshot.states == ("unknown", "warm", "active", "idle", "cold")
    assert (snapshot.group_pages == expected).all()
    assert sum(snapshot.placement_regions.values()) == len(table)


def test_a_life_with_a_move_that_succeeds_and_one_that_does_not() -> None:
    life = Life()
    life.scan(scan_of(facts_of(), 1_000, [(0, 8), (8, 8)], accessed=1))
    life.scan(scan_of(facts_of(), 12_000, [(0, 8), (8, 8)]))
    moves = life.hand_over(12_000)
    assert len(moves) == 2
    before = take(life.reconciler, {}, 1)
    life.report(moves, 13_000, {Outcome.MOVED: 6, Outcome.BUSY: 2})
    target = str(int(moves.target[0]))
    got = by_name([*table_families(before, ["other"]), *move_families(before)])
    assert got["planned_bytes"][(target,)] == 16 * 4096
    assert sum(got["planned_bytes"].values()) == 16 * 4096
    assert got["regions"][("queued",)] == 2
    assert got["tracked_bytes"]["other", "idle", "0"] == 16 * 4096
    assert got["moved_bytes_total"] == {}, "a snapshot does not change any more"
    after = by_name(list(move_families(take(life.reconciler, {}, 1))))
    assert after["moved_bytes_total"] == {("0", target): 12 * 4096}
    assert after["move_outcome_bytes_total"]["moved",] == 12 * 4096
    assert after["move_outcome_bytes_total"]["busy",] == 4 * 4096


def test_what_can_t_be_moved_is_blocked() -> None:
    life = Life()
    facts = facts_of(allowed=(0,))
    life.scan(scan_of(facts, 1_000, [(0, 8)], accessed=1))
    life.scan(scan_of(facts, 12_000, [(0, 8)]))
    life.decide(12_000)
    got = by_name(list(table_families(take(life.reconciler, {facts.key: 0}, 2), ["program", "other"])))
    assert got["blocked_bytes"]["not_allowed",] == 8 * 4096
    assert sum(got["blocked_bytes"].values()) == 8 * 4096
    assert {group for group, _, _ in got["tracked_bytes"]} == {"program"}, "other has nothing"


def test_nothing_is_measured_before_the_first_scan() -> None:
    snapshot = take(Life().reconciler, {}, 1)
    assert by_name(list(table_families(snapshot, ["other"])))["tracked_bytes"] == {}
    names = {measured.family.name for measured in scan_families(snapshot.totals, 0)}
    assert "memtierd_last_scan_timestamp_seconds" not in names
    assert "memtierd_scan_duration_seconds" in names


def test_times_are_those_of_the_calendar() -> None:
    totals = Totals()
    totals.scans.add(5, 2_000_000_000)
    got = by_name(list(scan_families(totals, 1_000_000_000_000)))
    assert got["last_scan_timestamp_seconds"] == {(): 1002}


def test_reloads_and_bugs_are_events_with_a_metric_of_their_own() -> None:
    events = {"configuration reload": 2, "configuration reload failed": 1, "control error: KeyError": 3, "x": 4}
    got = by_name(list(event_families(events, 5)))
    assert got["config_reloads_total"] == {("good",): 2, ("bad",): 1, ("unchanged",): 0}
    assert got["control_errors_total"] == {(): 3}
    assert got["events_total"]["x",] == 4
    assert got["events_total"]["other",] == 5
