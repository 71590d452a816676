"""Counts add up, by process and in total, and stay bounded."""

import attrs
import numpy as np
import pytest

from memtierd import statistics
from memtierd.model import OUTCOMES, SWAP_NODE, CallReport, MoveReport, Outcome, ProcessKey, ProcessScan, ScanFailure
from memtierd.statistics import (
    BOUNDS_NS,
    UNKNOWN_PLACE,
    Durations,
    EventCounts,
    MoveCounts,
    ScanCounts,
    Statistics,
    SwapCounts,
)
from tests.unit.regions.region_samples import addresses, facts_of, round_of, scan_of, u32


def call_of(pid: int = 1, call: str = "move_pages", target: int = 2, **changes: object) -> CallReport:
    """Return a call that moved 8 of 10 pages, with some fields changed."""
    fields: dict[str, object] = {
        "key": ProcessKey(pid, 1),
        "call": call,
        "target": target,
        "requested_pages": 10,
        "done_pages": 8,
        "first_address": 4096,
        "returned": 0,
        "errnos": {},
        "at_ns": 5,
    }
    return CallReport(**(fields | changes))  # type: ignore[arg-type]


def scan_for(pid: int, at_ms: int, spent_ns: int, accessed: list[int], primed: list[bool]) -> ProcessScan:
    """Return a scan of two regions of 8 pages that took `spent_ns`."""
    scan = scan_of(facts_of(pid), at_ms, [(0, 8), (8, 8)], accessed=accessed, written=[1, 1], primed=primed)
    return attrs.evolve(scan, ended_ns=scan.started_ns + spent_ns)


def test_scans_are_summed_by_process() -> None:
    counted = Statistics()
    counted.scan(round_of(scan_for(1, 1, 300, [8, 8], [False, False]), scan_for(2, 2, 10, [1, 1], [True, True])))
    counted.scan(round_of(scan_for(1, 2, 100, [3, 8], [True, False])))
    assert counted.scans[1] == ScanCounts(
        scans=2,
        total_pages=32,
        total_ns=400,
        last_ns=100,
        max_ns=300,
        last_pages=16,
        accessed_pages=3,
        last_accessed_pages=3,
        written_pages=1,
    )
    assert counted.scans[2].accessed_pages == 2
    assert counted.events["tracker.test.scan"].count == 2


def test_pages_of_a_scan_may_be_more_than_32_bits_hold() -> None:
    counted = Statistics()
    huge = scan_of(facts_of(1), 1, [(0, 1 << 31), (1 << 32, 1 << 31)], accessed=1 << 31)
    counted.scan(round_of(huge))
    assert (counted.scans[1].total_pages, counted.scans[1].accessed_pages) == (1 << 32, 1 << 32)


def test_processes_that_could_not_be_scanned_are_counted_not_named() -> None:
    counted = Statistics()
    failures = [ScanFailure(ProcessKey(pid, 1), f"read pid {pid}") for pid in (1, 2)]
    counted.scan(round_of(at_ms=1, failed=failures))
    assert {name: event.count for name, event in counted.events.items()} == {
        "tracker.test.scan": 1,
        "tracker.test.failed": 2,
    }


def test_moves_are_summed_by_process_node_and_errno() -> None:
    counted = Statistics()
    counted.call(call_of(target=2))
    counted.call(call_of(target=2, done_pages=5, errnos={16: 3, 2: 2}))
    counted.call(call_of(target=0, done_pages=0, returned=-3, errnos={3: 10}))
    counted.call(call_of(target=0, done_pages=10, errnos={}))
    assert counted.moves[1] == MoveCounts(
        calls=4, requested_pages=40, on_target_pages=23, to_node={2: 13, 0: 10}, errnos={16: 3, 2: 2, 3: 10}
    )
    assert 1 not in counted.swaps


def test_swapping_counts_what_was_accepted_and_what_really_went_out() -> None:
    counted = Statistics()
    counted.call(call_of(call="process_madvise", target=SWAP_NODE, returned=10 * 4096))
    counted.call(call_of(call="process_madvise", target=SWAP_NODE, done_pages=0, returned=-22, errnos={22: 10}))
    counted.call(call_of(pid=2, call="process_madvise", target=SWAP_NODE))
    assert counted.swaps[1] == SwapCounts(
        calls=2, requested_pages=20, accepted_pages=10, swapped_pages=8, errnos={22: 10}
    )
    assert counted.swapped_out_pages == 16
    assert 1 not in counted.moves


def test_the_latest_call_and_the_latest_that_went_wrong() -> None:
    counted = Statistics()
    fine, failed, partly = call_of(at_ns=1), call_of(at_ns=2, returned=-3), call_of(at_ns=3, errnos={16: 1})
    for call in (fine, failed, fine):
        counted.call(call)
    assert (counted.latest_call[1], counted.latest_error[1]) == (fine, failed)
    counted.call(partly)
    assert (counted.latest_call[1], counted.latest_error[1]) == (partly, partly)
    counted.call(call_of(pid=2))
    assert 2 not in counted.latest_error


def test_outcomes_are_summed_and_dropped_batches_are_not() -> None:
    counted, key = Statistics(), ProcessKey(1, 1)
    outcomes = np.arange(2 * OUTCOMES, dtype=np.uint64).reshape(2, OUTCOMES)
    counted.report(MoveReport(key, 2, addresses(0, 8), u32(8, 8), outcomes))
    counted.report(MoveReport(key, 2, addresses(0, 8), u32(8, 8), outcomes, dropped=True))
    assert counted.outcomes[1] == [2 * outcome + OUTCOMES for outcome in Outcome]


def test_events_keep_count_and_times() -> None:
    counted = Statistics()
    for at_ns in (5, 7, 9):
        counted.event("tick", at_ns)
    assert counted.events == {"tick": EventCounts(count=3, first_ns=5, last_ns=9)}


def test_new_names_of_events_are_left_out_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_EVENTS", 2)
    counted = Statistics()
    for name in ("a", "b", "c", "a", "d"):
        counted.event(name, 1)
    assert {name: event.count for name, event in counted.events.items()} == {"a": 2, "b": 1}
    assert counted.events_left_out == 2


def test_the_process_heard_of_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_PIDS", 2)
    counted = Statistics()
    for pid in (1, 2, 1, 3):
        counted.call(call_of(pid=pid, call="process_madvise", target=SWAP_NODE))
    assert list(counted.swaps) == [1, 3]
    assert list(counted.latest_call) == [1, 3]
    assert counted.swaps[1].calls == 2
    assert counted.swapped_out_pages == 32, "the total forgets nothing"


def test_counts_are_bounded_by_default() -> None:
    counted = Statistics()
    for pid in range(statistics.MAX_PIDS + 10):
        counted.call(call_of(pid=pid))
        counted.event(f"event {pid}", 1)
    assert len(counted.moves) == len(counted.latest_call) == statistics.MAX_PIDS
    assert len(counted.events) == statistics.MAX_EVENTS


def test_durations_are_counted_by_length() -> None:
    durations = Durations()
    for spent_ms in (0, 1, 2, 40_000):
        durations.add(spent_ms * 1_000_000, 7)
    assert (durations.count, durations.longest_ns, durations.last_ended_ns) == (4, 40_000_000_000, 7)
    assert durations.total_ns == 40_003_000_000
    assert durations.by_bound == [2, 1] + [0] * (len(BOUNDS_NS) - 2) + [1], "a bound belongs to what is shorter"


def test_totals_forget_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_PIDS", 1)
    counted = Statistics()
    outcomes = np.zeros((1, OUTCOMES), np.uint64)
    outcomes[0, [Outcome.MOVED, Outcome.BUSY]] = 5, 3
    for pid in (1, 2):
        counted.scan(round_of(scan_for(pid, 1, 300, [8, 8], [True, True]), failed=[ScanFailure(ProcessKey(9, 1), "x")]))
        counted.call(call_of(pid=pid))
        counted.report(MoveReport(ProcessKey(pid, 1), 2, addresses(0), u32(8), outcomes, errnos={16: 3}))
    totals = counted.totals
    assert (totals.scans.count, totals.scanned_pages, totals.accessed_pages, totals.written_pages) == (2, 32, 32, 4)
    assert totals.unscanned_processes == 2
    assert totals.calls == {"move_pages": 2}
    assert (totals.outcome_pages[Outcome.MOVED], totals.outcome_pages[Outcome.BUSY]) == (10, 6)
    assert totals.errno_pages == {16: 6}
    assert totals.moved_pages == {(UNKNOWN_PLACE, 2): 10}


def test_moves_came_from_where_they_were_seen_each_region_in_its_shares() -> None:
    counted = Statistics()
    outcomes = np.zeros((4, OUTCOMES), np.uint64)
    outcomes[:, Outcome.MOVED] = 8, 6, 4, 2
    counted.report(MoveReport(ProcessKey(1, 1), 2, addresses(0, 8, 16, 24), u32(8, 8, 8, 8), outcomes))
    seen = np.array([[8, 2, 0, 1], [0, 1, 0, 0], [0, 5, 4, 0]], np.uint32)
    counted.came_from(2, (0, 1, 2), outcomes[:3, Outcome.MOVED], seen[:, :3])
    assert counted.totals.moved_pages == {(0, 2): 12, (1, 2): 2, (UNKNOWN_PLACE, 2): 6}, "nothing comes from its target"
