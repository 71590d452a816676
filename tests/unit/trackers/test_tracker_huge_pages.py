"""Regions don't split huge pages, and say how much of them is mapped as such; on a kernel in memory."""

from collections.abc import Callable

import pytest

from memtierd.model import ProcessKey, ProcessScan
from memtierd.trackers.finder import FinderTracker
from memtierd.trackers.grid import SoftDirtyTracker
from memtierd.trackers.params import FinderParams, ReferencedParams, SoftDirtyParams
from memtierd.trackers.referenced import ReferencedTracker
from memtierd.trackers.rounds import RoundTracker
from memtierd.trackers.tracker import StopFlag
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.tracker_fakes import BASE_PAGE, FakeKernel, FakeProcess, mapping

KEY = ProcessKey(7, 700)
MS = 1_000_000
Maker = Callable[[FakeKernel], RoundTracker]


@pytest.fixture
def process() -> FakeProcess:
    """Return a process with small pages, then two huge ones, then small ones; 512 pages of each."""
    process = FakeProcess([mapping(0, 2048)], huge_blocks={512, 1024})
    process.touch(*range(2048))
    return process


@pytest.fixture
def kernel(process: FakeProcess) -> FakeKernel:
    return FakeKernel({7: process})


def softdirty(kernel: FakeKernel, pages_in_region: int = 256) -> RoundTracker:
    return SoftDirtyTracker(SoftDirtyParams(pages_in_region=pages_in_region, max_count_per_region=0), kernel)


def finder(kernel: FakeKernel, pages_in_region: int = 256) -> RoundTracker:
    return FinderTracker(FinderParams(pages_in_region=pages_in_region), kernel)


def filtering(kernel: FakeKernel, pages_in_region: int = 256) -> RoundTracker:
    return FinderTracker(FinderParams(pages_in_region=pages_in_region, pagemap_bit_present=True), kernel)


def referenced(kernel: FakeKernel) -> RoundTracker:
    return ReferencedTracker(ReferencedParams(), kernel)


def scan_one(tracker: RoundTracker) -> ProcessScan:
    (found,) = tracker.scan([KEY], StopFlag()).processes
    return found


def cut_of(scan: ProcessScan) -> list[tuple[int, int, int]]:
    """Return (first page, pages, huge pages) of each region."""
    firsts = [start // PAGE_BYTES - BASE_PAGE for start in scan.start.tolist()]
    return list(zip(firsts, scan.pages.tolist(), scan.huge_pages.tolist(), strict=True))


SMALL_AND_HUGE = [(0, 256, 0), (256, 256, 0), (512, 512, 512), (1024, 512, 512), (1536, 256, 0), (1792, 256, 0)]


@pytest.mark.parametrize("finds_populated", [True, False])
@pytest.mark.parametrize("make", [softdirty, finder, filtering])
def test_regions_smaller_than_a_huge_page(kernel: FakeKernel, make: Maker, finds_populated: bool) -> None:
    kernel.finds_populated = finds_populated
    if not finds_populated:  # smaps only tells of whole mappings
        kernel.processes[7].mappings = [mapping(0, 512), mapping(512, 1536), mapping(1536, 2048)]
    assert cut_of(scan_one(make(kernel))) == SMALL_AND_HUGE


def test_without_pagemap_scan_every_block_of_a_mapping_with_huge_pages_is_taken_for_one(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    kernel.finds_populated = False
    process.mappings = [mapping(0, 500), mapping(500, 1700), mapping(1700, 2048)]
    assert cut_of(scan_one(softdirty(kernel, 1000))) == [
        (0, 88, 0),
        (88, 412, 0),
        (500, 524, 512),
        (1024, 676, 512),
        (1700, 348, 0),
    ]


def test_regions_that_are_no_multiple_of_a_huge_page(kernel: FakeKernel) -> None:
    assert [page for page in range(2048) if (BASE_PAGE + page) % 700 == 0] == [488, 1188, 1888]
    assert cut_of(scan_one(softdirty(kernel, 700))) == [
        (0, 488, 0),
        (488, 536, 512),
        (1024, 864, 512),
        (1888, 160, 0),
    ]


def test_a_whole_mapping_tells_how_much_of_it_is_huge(kernel: FakeKernel) -> None:
    for kernel.finds_populated in (True, False):
        assert cut_of(scan_one(referenced(kernel)))[0][:2] == (0, 2048)
    kernel.finds_populated = True
    assert cut_of(scan_one(referenced(kernel))) == [(0, 2048, 1024)]


def test_uses_of_a_huge_page_count_in_the_region_that_holds_it(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)
    process.touch(1023)
    assert scan_one(tracker).accessed_pages.tolist() == [0, 0, 1, 0, 0, 0]


def test_huge_pages_are_looked_for_with_the_regions(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = SoftDirtyTracker(SoftDirtyParams(pages_in_region=256, regions_update_ms=10_000), kernel)
    assert cut_of(scan_one(tracker)) == SMALL_AND_HUGE
    process.huge_blocks = {1024}
    kernel.time_ns = 5000 * MS
    assert cut_of(scan_one(tracker)) == SMALL_AND_HUGE
    kernel.time_ns = 10_000 * MS
    second = scan_one(tracker)
    assert cut_of(second) == [
        (0, 256, 0),
        (256, 256, 0),
        (512, 256, 0),
        (768, 256, 0),
        *SMALL_AND_HUGE[3:],
    ]
    assert second.primed.all()


def test_what_was_swapped_out_since_is_not_huge_any_more(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)
    for page in range(512, 1024):
        del process.node_of[page]
        process.swapped.add(page)
    assert cut_of(scan_one(tracker))[2:4] == [(512, 512, 0), (1024, 512, 512)]


def test_a_huge_page_of_which_only_a_part_is_tracked_is_left_out(kernel: FakeKernel, process: FakeProcess) -> None:
    process.mappings = [mapping(600, 1600)]
    assert cut_of(scan_one(softdirty(kernel))) == [(1024, 512, 512), (1536, 64, 0)]


def test_a_process_that_is_forgotten_leaves_nothing(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = softdirty(kernel)
    scan_one(tracker)
    tracker.forget(KEY)
    process.huge_blocks.clear()
    assert not scan_one(tracker).huge_pages.any()
