"""The finder tracker: regions and where they are, with and without filters; and the tracker that tracks nothing."""

import errno
from typing import Any

import pytest

from memtierd.errors import KernelError, UnsupportedError
from memtierd.model import ProcessKey, ProcessScan
from memtierd.trackers.build import build
from memtierd.trackers.finder import FinderTracker
from memtierd.trackers.params import FinderParams, StubParams
from memtierd.trackers.tracker import StopFlag
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.tracker_fakes import BASE_PAGE, FakeKernel, FakeProcess, fake_features, mapping

KEY = ProcessKey(7, 700)
MS = 1_000_000


@pytest.fixture
def process() -> FakeProcess:
    return FakeProcess([mapping(0, 16), mapping(20, 24)])


@pytest.fixture
def kernel(process: FakeProcess) -> FakeKernel:
    return FakeKernel({7: process})


def finder(kernel: FakeKernel, **params: Any) -> FinderTracker:
    return FinderTracker(FinderParams(**{"pages_in_region": 8, "regions_update_ms": 0, **params}), kernel)


def scan_one(tracker: FinderTracker) -> ProcessScan:
    scan = tracker.scan([KEY], StopFlag())
    assert (scan.gone, scan.failed) == ((), ())
    (found,) = scan.processes
    return found


def firsts(scan: ProcessScan) -> list[tuple[int, int]]:
    return [
        (start // PAGE_BYTES - BASE_PAGE, pages)
        for start, pages in zip(scan.start.tolist(), scan.pages.tolist(), strict=True)
    ]


def test_all_memory_is_found_and_nothing_is_said_of_its_use(kernel: FakeKernel, process: FakeProcess) -> None:
    process.touch(0, 1, 9, node=1)
    process.swapped |= {20, 21}
    tracker = finder(kernel)
    for _ in range(3):
        found = scan_one(tracker)
        assert firsts(found) == [(0, 8), (8, 8), (20, 4)]
        assert found.node_pages.tolist() == [[0, 0, 0], [2, 1, 0]]
        assert found.swapped_pages.tolist() == [0, 0, 2]
        assert not found.primed.any()
        assert not found.accessed_pages.any()
    assert kernel.clears == []
    assert process.young == {0, 1, 9}


def test_a_fixed_number_of_accesses_is_reported_as_far_as_there_are_pages(
    kernel: FakeKernel, process: FakeProcess
) -> None:
    tracker = finder(kernel, report_accesses=6)
    assert not scan_one(tracker).primed.any()
    again = scan_one(tracker)
    assert again.primed.all()
    assert again.accessed_pages.tolist() == [6, 6, 4]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ({"present": True}, [(1, 2), (6, 2), (8, 2)]),
        ({"present": False}, [(0, 1), (3, 3), (10, 6), (20, 4)]),
        ({"exclusive": True, "soft_dirty": True}, [(1, 1), (6, 2), (8, 1)]),
        ({"present": True, "soft_dirty": False}, [(2, 1), (9, 1)]),
        ({"present": False, "exclusive": True}, []),
    ],
)
def test_only_pages_with_the_bits_asked_for_are_found(
    bits: dict[str, bool], expected: list[tuple[int, int]], kernel: FakeKernel, process: FakeProcess
) -> None:
    process.touch(1, 6, 7, 8)
    process.touch(2, 9, write=False)
    tracker = finder(kernel, **{f"pagemap_bit_{name}": wanted for name, wanted in bits.items()})
    found = scan_one(tracker)
    assert firsts(found) == expected
    if bits.get("present"):
        assert found.node_pages.sum(axis=0).tolist() == found.pages.tolist()


def test_regions_are_found_anew_when_that_is_due(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = finder(kernel, regions_update_ms=1000, scan_interval_ms=400)
    scan_one(tracker)
    process.mappings.append(mapping(32, 40))
    kernel.time_ns += 400 * MS
    assert len(firsts(scan_one(tracker))) == 3
    kernel.time_ns += 400 * MS
    assert len(firsts(scan_one(tracker))) == 4


@pytest.mark.parametrize(
    ("scan_ms", "update_ms", "expected_ms"), [(5000, 5000, 5000), (5000, 1000, 1000), (300, 5000, 300), (700, 0, 700)]
)
def test_the_interval_is_the_shorter_of_both(scan_ms: int, update_ms: int, expected_ms: int) -> None:
    params = FinderParams(scan_interval_ms=scan_ms, regions_update_ms=update_ms)
    assert FinderTracker(params, FakeKernel()).interval_ms == expected_ms


def test_a_process_that_is_gone_or_fails_is_named(kernel: FakeKernel, process: FakeProcess) -> None:
    process.error = KernelError("read the pagemap of pid 7", errno.EPERM)
    scan = finder(kernel).scan([KEY, ProcessKey(8, 800)], StopFlag())
    assert [failure.key for failure in scan.failed] == [KEY]
    assert scan.gone == (ProcessKey(8, 800),)


def test_finder_works_everywhere_but_needs_soft_dirty_bits_to_look_at_them() -> None:
    features = fake_features("pagemap_pfn")
    assert build("finder", FinderParams(), FakeKernel(), features).name == "finder"
    with pytest.raises(UnsupportedError, match=r"^tracker finder with pagemapbitsoftdirty .*softdirty is off"):
        build("finder", FinderParams(pagemap_bit_soft_dirty=False), FakeKernel(), features)


def test_the_stub_finishes_rounds_without_any_process(kernel: FakeKernel) -> None:
    tracker = build("stub", StubParams(), kernel, fake_features("pagemap_pfn"))
    kernel.time_ns = 9
    scan = tracker.scan([KEY, ProcessKey(8, 800)], StopFlag())
    assert (scan.tracker, scan.processes, scan.gone, scan.failed) == ("stub", (), (), ())
    assert (scan.started_ns, scan.ended_ns) == (9, 9)
    assert tracker.interval_ms >= 1
    assert tracker.conditions() == ()
    tracker.forget(KEY)
    tracker.close()
