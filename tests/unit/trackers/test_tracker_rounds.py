"""What a round of each tracker reports, on a kernel in memory."""

import errno
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.proc import CLEAR_REFERENCED, CLEAR_SOFT_DIRTY
from memtierd.model import ProcessKey, ProcessScan
from memtierd.trackers.grid import IdlePageTracker, SoftDirtyTracker
from memtierd.trackers.params import IdlePageParams, ReferencedParams, SoftDirtyParams
from memtierd.trackers.referenced import ReferencedTracker
from memtierd.trackers.rounds import SPARSE_LEFT_OUT, RoundTracker
from memtierd.trackers.tracker import ScanStoppedError, StopFlag
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.tracker_fakes import BASE_PAGE, FakeKernel, FakeProcess, mapping

KEY, OTHER = ProcessKey(7, 700), ProcessKey(8, 800)
MS = 1_000_000
Maker = Callable[[FakeKernel], RoundTracker]


def softdirty(kernel: FakeKernel) -> RoundTracker:
    return SoftDirtyTracker(SoftDirtyParams(pages_in_region=8, max_count_per_region=0), kernel)


def idlepage(kernel: FakeKernel) -> RoundTracker:
    return IdlePageTracker(IdlePageParams(pages_in_region=8, max_count_per_region=0), kernel)


def referenced(kernel: FakeKernel) -> RoundTracker:
    return ReferencedTracker(ReferencedParams(), kernel)


@pytest.fixture
def process() -> FakeProcess:
    return FakeProcess([mapping(0, 16), mapping(20, 24)])


@pytest.fixture
def kernel(process: FakeProcess) -> FakeKernel:
    return FakeKernel({7: process})


def scan_one(tracker: RoundTracker) -> ProcessScan:
    scan = tracker.scan([KEY], StopFlag())
    assert scan.gone == ()
    assert scan.failed == ()
    (found,) = scan.processes
    return found


def firsts(scan: ProcessScan) -> list[tuple[int, int]]:
    return [
        (start // PAGE_BYTES - BASE_PAGE, pages)
        for start, pages in zip(scan.start.tolist(), scan.pages.tolist(), strict=True)
    ]


def test_softdirty_reports_written_pages_of_each_region_and_starts_over(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    tracker = softdirty(kernel)
    process.touch(0, 1, 9, 20)
    first = scan_one(tracker)
    process.touch(2, 3, 21)
    process.touch(10, write=False)
    second = scan_one(tracker)
    assert firsts(second) == [(0, 8), (8, 8), (20, 4)]
    assert not first.primed.any()
    assert second.primed.all()
    assert second.written_pages.tolist() == [2, 0, 1]
    assert second.accessed_pages.tolist() == [2, 0, 1]
    assert kernel.clears == [(7, CLEAR_SOFT_DIRTY)] * 2


def test_idlepage_reports_reads_and_writes_as_accesses_only(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = idlepage(kernel)
    process.touch(0, 1, 9, 20)
    first = scan_one(tracker)
    process.touch(2, 3, 21)
    process.touch(10, write=False)
    second = scan_one(tracker)
    tracker.close()
    assert not first.primed.any()
    assert second.primed.all()
    assert second.accessed_pages.tolist() == [2, 1, 1]
    assert second.written_pages.tolist() == [0, 0, 0]
    assert kernel.clears == []


def test_referenced_reports_whole_mappings(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = referenced(kernel)
    process.touch(0, 1, 9, 20)
    first = scan_one(tracker)
    process.touch(2, 3, 9, write=False)
    second = scan_one(tracker)
    assert firsts(second) == [(0, 16), (20, 4)]
    assert not first.primed.any()
    assert second.primed.all()
    assert second.accessed_pages.tolist() == [3, 0]
    assert second.written_pages.tolist() == [0, 0]
    assert second.node_pages[0].tolist() == [5, 1]
    assert kernel.clears == [(7, CLEAR_REFERENCED)] * 2


@pytest.mark.parametrize("make", [softdirty, idlepage, referenced])
def test_a_scan_says_where_pages_are(make: Maker, kernel: FakeKernel, process: FakeProcess) -> None:
    process.touch(0, 1, node=0)
    process.touch(2, 20, node=1)
    process.swapped |= {3, 21, 22}
    tracker = make(kernel)
    found = scan_one(tracker)
    tracker.close()
    assert found.node_pages.sum(axis=1).tolist() == [2, 2]
    assert found.node_pages.shape == (2, len(found.start))
    assert found.swapped_pages[[0, -1]].tolist() == [1, 2]
    assert found.facts == kernel.facts(KEY)


@pytest.mark.parametrize("max_count", [1, 3])
def test_counts_stop_at_the_configured_maximum(max_count: int, kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = SoftDirtyTracker(
        SoftDirtyParams(pages_in_region=8, max_count_per_region=max_count, track_referenced=True), kernel
    )
    process.touch(0, 1, 2, 3, 4, 8)
    assert scan_one(tracker).accessed_pages.tolist() == [max_count, 1, 0]


def test_softdirty_with_track_referenced_spreads_reads_over_the_present_pages_of_a_mapping(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    tracker = SoftDirtyTracker(
        SoftDirtyParams(pages_in_region=8, max_count_per_region=0, track_referenced=True), kernel
    )
    process.touch(0, 1, 2, 3, 8, 9, 20)
    scan_one(tracker)
    process.touch(0, 1, 2, write=False)
    found = scan_one(tracker)
    assert found.written_pages.tolist() == [0, 0, 0]
    assert found.accessed_pages.tolist() == [2, 1, 0]
    assert kernel.clears == [(7, CLEAR_SOFT_DIRTY), (7, CLEAR_REFERENCED)] * 2


def test_only_regions_that_were_recorded_since_the_scan_before_are_primed(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    tracker = SoftDirtyTracker(SoftDirtyParams(pages_in_region=8, regions_update_ms=0), kernel)
    scan_one(tracker)
    process.mappings = [mapping(0, 16), mapping(20, 24), mapping(40, 48)]
    process.touch(40)
    found = scan_one(tracker)
    assert firsts(found) == [(0, 8), (8, 8), (20, 4), (40, 8)]
    assert found.primed.tolist() == [True, True, True, False]
    assert scan_one(tracker).primed.all()


@pytest.mark.parametrize(
    ("update_ms", "scan_times_ms", "maps_read"),
    [
        (0, [0, 5000, 10_000], 3),
        (10_000, [0, 5000, 10_000, 15_000, 20_000], 3),
        (10_000, [0, 5010, 9990, 15_000], 2),
        (10_000, [0, 5000, 7000], 1),
    ],
)
def test_regions_are_looked_for_when_they_are_due(
    update_ms: int, scan_times_ms: list[int], maps_read: int, kernel: FakeKernel, process: FakeProcess
) -> None:
    process.touch(0)
    tracker = SoftDirtyTracker(SoftDirtyParams(regions_update_ms=update_ms), kernel)
    for at_ms in scan_times_ms:
        kernel.time_ns = at_ms * MS
        scan_one(tracker)
    assert kernel.maps_read == maps_read


@pytest.mark.parametrize("make", [softdirty, idlepage, referenced])
def test_one_bad_process_does_not_hurt_the_others(make: Maker, kernel: FakeKernel, process: FakeProcess) -> None:
    process.touch(0)
    kernel.processes[9] = FakeProcess([], error=KernelError("open pagemap of pid 9", errno.EACCES, "run as root"))
    tracker = make(kernel)
    gone, bad = ProcessKey(1, 1), ProcessKey(9, 9)
    scan = tracker.scan([gone, bad, KEY], StopFlag())
    tracker.close()
    assert [found.key for found in scan.processes] == [KEY]
    assert scan.gone == (gone,)
    assert [(failure.key, failure.message) for failure in scan.failed] == [
        (bad, "open pagemap of pid 9: permission denied (EACCES); run as root")
    ]
    assert kernel.open_files == 0


def exits(kernel: FakeKernel) -> Callable[[int, StopFlag], None]:
    def during_count(pid: int, stop: StopFlag) -> None:
        kernel.processes.pop(pid)

    return during_count


def turns_zombie(kernel: FakeKernel) -> Callable[[int, StopFlag], None]:
    def during_count(pid: int, stop: StopFlag) -> None:
        kernel.processes[pid].zombie = True

    return during_count


@pytest.mark.parametrize("make", [softdirty, idlepage, referenced])
@pytest.mark.parametrize("ending", [exits, turns_zombie])
def test_a_process_that_ends_while_it_is_scanned_is_gone(
    make: Maker, ending: Callable[[FakeKernel], Callable[[int, StopFlag], None]], process: FakeProcess
) -> None:
    process.touch(0)
    kernel = FakeKernel({7: process})
    kernel.during_count = ending(kernel)
    tracker = make(kernel)
    scan = tracker.scan([KEY], StopFlag())
    tracker.close()
    assert scan.gone == (KEY,)
    assert scan.processes == ()
    assert scan.failed == ()
    assert kernel.open_files == 0


def test_a_process_that_runs_another_program_while_it_is_scanned_is_scanned_anew(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)

    def execs(pid: int, stop: StopFlag) -> None:
        kernel.during_count = lambda pid, stop: None
        process.mappings = [mapping(4, 8)]
        raise ProcessGoneError("read pagemap: its address space is gone")

    kernel.during_count = execs
    found = scan_one(tracker)
    assert firsts(found) == [(4, 4)]
    assert not found.primed.any()


def test_a_process_without_any_page_is_not_mistaken_for_one_that_ended(kernel: FakeKernel) -> None:
    found = scan_one(softdirty(kernel))
    assert firsts(found) == [(0, 8), (8, 8), (20, 4)]


@pytest.mark.parametrize("make", [softdirty, idlepage, referenced])
def test_a_stopped_round_is_void_and_the_next_one_primes_anew(
    make: Maker, kernel: FakeKernel, process: FakeProcess
) -> None:
    kernel.processes[8] = FakeProcess([mapping(0, 8)])
    process.touch(0)
    kernel.processes[8].touch(0)
    tracker = make(kernel)
    assert len(tracker.scan([KEY, OTHER], StopFlag()).processes) == 2

    def stop_in_the_second(pid: int, stop: StopFlag) -> None:
        if pid == OTHER.pid:
            stop.set()

    kernel.during_count = stop_in_the_second
    with pytest.raises(ScanStoppedError):
        tracker.scan([KEY, OTHER], StopFlag())
    kernel.during_count = lambda pid, stop: None
    again = tracker.scan([KEY, OTHER], StopFlag())
    tracker.close()
    assert [found.primed.any() for found in again.processes] == [False, False]
    assert kernel.open_files == 0


def test_nothing_is_scanned_after_the_stop_flag_is_set(kernel: FakeKernel) -> None:
    stop = StopFlag()
    stop.set()
    with pytest.raises(ScanStoppedError):
        softdirty(kernel).scan([KEY], stop)
    assert kernel.clears == []


def test_a_round_without_targets_is_empty(kernel: FakeKernel) -> None:
    kernel.time_ns = 5
    scan = softdirty(kernel).scan([], StopFlag())
    assert (scan.tracker, scan.processes, scan.started_ns, scan.ended_ns) == ("softdirty", (), 5, 5)


def test_times_of_a_scan_come_from_the_clock(kernel: FakeKernel, process: FakeProcess) -> None:
    def take_a_second(pid: int, stop: StopFlag) -> None:
        kernel.time_ns += 1000 * MS

    kernel.during_count = take_a_second
    kernel.processes[8] = FakeProcess([mapping(0, 8)])
    kernel.time_ns = 100
    scan = softdirty(kernel).scan([KEY, OTHER], StopFlag())
    assert (scan.started_ns, scan.ended_ns) == (100, 100 + 2000 * MS)
    assert [found.started_ns for found in scan.processes] == [100, 100 + 1000 * MS]
    assert [found.ended_ns for found in scan.processes] == [100 + 1000 * MS, 100 + 2000 * MS]


def test_forgetting_a_process_primes_it_anew(kernel: FakeKernel) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)
    tracker.forget(KEY)
    assert not scan_one(tracker).primed.any()


def test_only_mappings_that_are_managed_become_regions(kernel: FakeKernel, process: FakeProcess) -> None:
    process.mappings = [mapping(0, 8), mapping(8, 16, "---p"), mapping(16, 24, "rw-s", "/dev/zero"), mapping(24, 32)]
    assert firsts(scan_one(softdirty(kernel))) == [(0, 8), (24, 8)]
    assert firsts(scan_one(referenced(kernel))) == [(0, 8), (24, 8)]


HUGE_PAGES = 1 << 30


def test_a_sparse_mapping_is_carved_around_its_populated_pages(kernel: FakeKernel, process: FakeProcess) -> None:
    process.mappings = [mapping(0, 8), mapping(100, 100 + HUGE_PAGES), mapping(200 + HUGE_PAGES, 204 + HUGE_PAGES)]
    process.touch(0, 105, 106, 1000)
    found = scan_one(softdirty(kernel))
    assert firsts(found) == [(0, 8), (104, 8), (1000, 8), (200 + HUGE_PAGES, 4)]
    assert found.node_pages.sum(axis=0).tolist() == [1, 2, 1, 0]


def test_the_parts_of_a_sparse_mapping_share_its_referenced_pages(kernel: FakeKernel, process: FakeProcess) -> None:
    process.mappings = [mapping(100, 100 + HUGE_PAGES)]
    process.touch(600, 1200, 1300, 10_000)
    found = scan_one(referenced(kernel))
    assert firsts(found) == [(512, 1024), (9728, 512)]
    assert found.accessed_pages.tolist() == [3, 2]


def test_a_sparse_mapping_is_left_out_and_named_when_populated_pages_cant_be_found(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    kernel.finds_populated = False
    process.mappings = [mapping(0, 8), mapping(100, 100 + HUGE_PAGES)]
    for tracker in (softdirty(kernel), referenced(kernel)):
        assert tracker.conditions() == ()
        assert firsts(scan_one(tracker)) == [(0, 8)]
        assert tracker.conditions() == (f"tracker {tracker.name}: {SPARSE_LEFT_OUT}",)
        tracker.forget(KEY)
        assert tracker.conditions() == ()


def test_skipping_pages_has_no_effect_and_says_so(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = SoftDirtyTracker(SoftDirtyParams(pages_in_region=8, max_count_per_region=0, skip_page_prob=999), kernel)
    assert len(tracker.conditions()) == 1
    process.touch(0, 1, 2, 3)
    assert scan_one(tracker).written_pages.tolist() == [4, 0, 0]


def test_columns_are_fresh_in_every_scan(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = softdirty(kernel)
    process.touch(0)
    first, second = scan_one(tracker), scan_one(tracker)
    for column in ("accessed_pages", "written_pages", "swapped_pages", "node_pages", "primed"):
        assert not np.shares_memory(getattr(first, column), getattr(second, column)), column
    assert first.written_pages.tolist() == [1, 0, 0]


def test_closing_the_idlepage_tracker_closes_its_files(kernel: FakeKernel) -> None:
    tracker = IdlePageTracker(IdlePageParams(), kernel)
    fds = tracker._files.kpageflags_fd, tracker._files.bitmap_fd
    tracker.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize("make", [softdirty, referenced])
def test_a_stop_before_the_clearing_prevents_it(
    make: Maker, kernel: FakeKernel, process: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, stop = make(kernel), StopFlag()
    counted = kernel.count_present

    def count_and_stop(*arguments: Any) -> None:
        counted(*arguments)
        stop.set()

    monkeypatch.setattr(FakeKernel, "count_present", lambda _kernel, *arguments: count_and_stop(*arguments))
    with pytest.raises(ScanStoppedError):
        tracker.scan([KEY], stop)
    assert kernel.clears == []


def test_a_round_lost_to_a_bug_primes_every_region_anew(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)
    assert scan_one(tracker).primed.all()

    def fail(pid: int, stop: StopFlag) -> None:
        raise ValueError("a bug")

    kernel.during_count = fail
    with pytest.raises(ValueError, match="a bug"):
        tracker.scan([KEY], StopFlag())
    kernel.during_count = lambda pid, stop: None
    assert not scan_one(tracker).primed.any()


def test_every_round_takes_notice_of_plugged_memory(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)
    scan_one(tracker)
    assert kernel.refreshed == 2
