"""Trackers on real processes; each test runs wherever the kernel has what the tracker needs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import attrs
import numpy as np
import pytest

from memtierd.errors import UnsupportedError
from memtierd.linux.numa import machine_facts
from memtierd.linux.probe import probe
from memtierd.linux.proc import process_key
from memtierd.model import U32, ProcessFacts, ProcessKey, ProcessScan, Scan
from memtierd.regions.carving import Geometry
from memtierd.trackers import REGISTRY, LinuxTrackerKernel, Scanner, StopFlag, Tracker, build, linux_kernel
from memtierd.trackers.kernel import Counts
from memtierd.units import PAGE_BYTES

FEATURES = probe()
NAMES = ("idlepage", "softdirty", "referenced")
WORKING = [name for name in NAMES if FEATURES.works(name)]
MISSING = [name for name in NAMES if not FEATURES.works(name)]
PAGES = 8192
"""Of an area that is in use: more than a TLB holds, which hides accesses from the kernel."""
TIB_PAGES = (1 << 40) // PAGE_BYTES

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
]

PROGRAM = """
import ctypes, mmap, os, sys
PAGE, NORESERVE = mmap.PAGESIZE, 0x4000
libc, areas = ctypes.CDLL(None), []
print("ready", flush=True)
for line in sys.stdin:
    command, *numbers = line.split()
    answer = "done"
    if command == "map":
        length = int(numbers[0]) * PAGE
        area = mmap.mmap(-1, length + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
        try:
            area.madvise(mmap.MADV_NOHUGEPAGE)
        except OSError:
            pass
        answer = ctypes.addressof(ctypes.c_char.from_buffer(area))
        # The last page keeps the area apart from the next one.
        assert libc.mprotect(ctypes.c_void_p(answer + length), ctypes.c_size_t(PAGE), 0) == 0
        areas.append(area)
    elif command == "exec":
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    else:
        index, first, count = map(int, numbers)
        area = areas[index]
        for page in range(first, first + count):
            if command == "write":
                area[page * PAGE] = 1
            else:
                area[page * PAGE]
    print(answer, flush=True)
"""


class Child:
    """A process that maps areas and touches them on command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"
        self.key = process_key(self.process.pid)

    def do(self, *command: str | int) -> str:
        """Give a command and return the answer to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, command)) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def map(self, pages: int) -> int:
        """Return the address of a new area."""
        return int(self.do("map", pages))

    def kill(self, *, reap: bool) -> None:
        """End the process, and wait until its memory is gone."""
        self.process.kill()
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | (0 if reap else os.WNOWAIT))

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.process.send_signal(signal.SIGKILL)
    made.process.communicate()


def kernel_of(cls: type[LinuxTrackerKernel] = LinuxTrackerKernel) -> LinuxTrackerKernel:
    made = linux_kernel(machine_facts(), pagemap_scan=FEATURES.works("pagemap_scan"), clock=time.monotonic_ns)
    return cls(**attrs.asdict(made, recurse=False))


@pytest.fixture
def make() -> Iterator[Callable[..., Tracker]]:
    """Return a maker of trackers that are closed at the end."""
    made: list[Tracker] = []

    def maker(name: str, kernel: LinuxTrackerKernel | None = None, **params: int) -> Tracker:
        tracker = build(name, REGISTRY[name](**params), kernel or kernel_of(), FEATURES)
        made.append(tracker)
        return tracker

    yield maker
    for tracker in made:
        tracker.close()


def counting_all(name: str) -> dict[str, int]:
    return {} if name == "referenced" else {"max_count_per_region": 0, "regions_update_ms": 0}


def scan_of(tracker: Tracker, key: ProcessKey) -> ProcessScan:
    scan = tracker.scan([key], StopFlag())
    assert scan.failed == ()
    (found,) = scan.processes
    return found


def inside(scan: ProcessScan, address: int, pages: int) -> "np.typing.NDArray[np.bool_]":
    end = np.uint64(address + pages * PAGE_BYTES)
    chosen: np.typing.NDArray[np.bool_] = (scan.start >= np.uint64(address)) & (scan.start < end)
    return chosen


def total(column: U32, chosen: "np.typing.NDArray[np.bool_]") -> int:
    return int(column[..., chosen].sum())


@pytest.mark.parametrize("name", WORKING)
def test_memory_in_use_is_told_from_idle_memory(name: str, child: Child, make: Callable[..., Tracker]) -> None:
    hot, cold = child.map(PAGES), child.map(PAGES)
    child.do("write", 0, 0, PAGES)
    child.do("write", 1, 0, PAGES)
    tracker = make(name, **counting_all(name))
    first = scan_of(tracker, child.key)
    scan_of(tracker, child.key)  # pages that lay in per-CPU batches are set idle now
    child.do("write", 0, 0, PAGES)
    found = scan_of(tracker, child.key)
    in_hot, in_cold = inside(found, hot, PAGES), inside(found, cold, PAGES)
    assert not first.primed.any()
    assert found.primed[in_hot].all()
    assert found.primed[in_cold].all()
    assert total(found.pages, in_hot) == total(found.pages, in_cold) == PAGES
    assert total(found.accessed_pages, in_hot) > PAGES // 2
    assert total(found.accessed_pages, in_cold) < PAGES // 10
    assert total(found.written_pages, in_hot) == (PAGES if name == "softdirty" else 0)
    assert total(found.node_pages, in_hot) == total(found.node_pages, in_cold) == PAGES


@pytest.mark.parametrize("name", WORKING)
def test_reading_counts_except_with_softdirty(name: str, child: Child, make: Callable[..., Tracker]) -> None:
    address = child.map(PAGES)
    child.do("write", 0, 0, PAGES)
    tracker = make(name, **counting_all(name))
    scan_of(tracker, child.key)
    scan_of(tracker, child.key)
    child.do("read", 0, 0, PAGES)
    found = scan_of(tracker, child.key)
    seen = total(found.accessed_pages, inside(found, address, PAGES))
    assert seen == 0 if name == "softdirty" else seen > PAGES // 2


@pytest.mark.parametrize("name", [name for name in WORKING if name == "softdirty"])
def test_softdirty_can_be_told_to_count_reads_of_a_mapping(
    name: str, child: Child, make: Callable[..., Tracker]
) -> None:
    address = child.map(PAGES)
    child.do("write", 0, 0, PAGES)
    tracker = make(name, **counting_all(name), track_referenced=True)
    scan_of(tracker, child.key)
    quiet = scan_of(tracker, child.key)
    child.do("read", 0, 0, PAGES)
    found = scan_of(tracker, child.key)
    assert total(quiet.accessed_pages, inside(quiet, address, PAGES)) < PAGES // 10
    assert total(found.accessed_pages, inside(found, address, PAGES)) > PAGES // 2
    assert total(found.written_pages, inside(found, address, PAGES)) == 0


@pytest.mark.parametrize("name", WORKING)
def test_memory_mapped_later_is_found_and_not_primed(name: str, child: Child, make: Callable[..., Tracker]) -> None:
    tracker = make(name, **counting_all(name))
    scan_of(tracker, child.key)
    address = child.map(PAGES)
    child.do("write", 0, 0, PAGES)
    found = scan_of(tracker, child.key)
    new = inside(found, address, PAGES)
    assert total(found.pages, new) == PAGES
    assert not found.primed[new].any()
    assert found.primed[~new].any()


@pytest.mark.parametrize("name", MISSING)
def test_a_tracker_without_its_kernel_feature_is_refused_with_what_to_change(
    name: str, make: Callable[..., Tracker]
) -> None:
    with pytest.raises(UnsupportedError) as raised:
        make(name)
    assert FEATURES.get(name).detail in str(raised.value)


def test_auto_works_here_and_says_why(child: Child, make: Callable[..., Tracker]) -> None:
    tracker = make("auto")
    assert tracker.name == WORKING[0]
    assert all(FEATURES.get(name).detail in tracker.why for name in NAMES[: NAMES.index(tracker.name)])
    assert scan_of(tracker, child.key).total_pages > 0


@attrs.frozen
class Interrupted(LinuxTrackerKernel):
    """Something happens to the process when its scan has begun."""

    def facts(self, key: ProcessKey) -> ProcessFacts:
        facts = super().facts(key)
        HAPPENS.pop()() if HAPPENS else None
        return facts


HAPPENS: list[Callable[[], object]] = []


@pytest.mark.parametrize("reap", [False, True])
@pytest.mark.parametrize("name", WORKING)
def test_a_process_that_dies_while_it_is_scanned_is_gone(
    name: str, reap: bool, child: Child, make: Callable[..., Tracker]
) -> None:
    other = Child()
    tracker = make(name, kernel_of(Interrupted))
    tracker.scan([child.key, other.key], StopFlag())
    HAPPENS.append(lambda: child.kill(reap=reap))
    scan = tracker.scan([child.key, other.key], StopFlag())
    other.kill(reap=True)
    other.process.communicate()
    assert scan.gone == (child.key,)
    assert scan.failed == ()
    assert [found.key for found in scan.processes] == [other.key]


@pytest.mark.parametrize("name", WORKING)
def test_a_process_that_runs_another_program_while_it_is_scanned_is_scanned_anew(
    name: str, child: Child, make: Callable[..., Tracker]
) -> None:
    tracker = make(name, kernel_of(Interrupted))
    assert not scan_of(tracker, child.key).primed.any()
    HAPPENS.append(lambda: child.do("exec"))
    found = scan_of(tracker, child.key)
    assert not found.primed.any()
    assert found.node_pages.any()


@pytest.mark.parametrize("name", WORKING)
def test_a_zombie_and_a_reused_pid_are_gone(name: str, child: Child, make: Callable[..., Tracker]) -> None:
    tracker = make(name)
    earlier = ProcessKey(child.key.pid, child.key.start_ticks - 1)
    assert tracker.scan([earlier], StopFlag()).gone == (earlier,)
    child.kill(reap=False)
    assert tracker.scan([child.key], StopFlag()).gone == (child.key,)


@pytest.mark.skipif(not FEATURES.works("pagemap_scan"), reason="needs PAGEMAP_SCAN")
@pytest.mark.parametrize("name", WORKING)
def test_a_reservation_of_many_terabytes_costs_only_what_is_populated(
    name: str, child: Child, make: Callable[..., Tracker]
) -> None:
    address = child.map(8 * TIB_PAGES)
    for first in (0, TIB_PAGES + 77, 7 * TIB_PAGES):
        child.do("write", 0, first, 10)
    found = scan_of(make(name), child.key)
    chosen = inside(found, address, 8 * TIB_PAGES)
    assert total(found.node_pages, chosen) == 30
    assert 3 <= chosen.sum() <= 6
    assert total(found.pages, chosen) <= 6 * 512


@attrs.frozen
class Endless(LinuxTrackerKernel):
    """Takes a reservation for memory, reads it entry by entry, and says when it begins to."""

    def count_present(self, pagemap_fd: int, regions: Geometry, counts: Counts, stop: StopFlag) -> None:
        COUNTING.set()
        super().count_present(pagemap_fd, regions, counts, stop)


COUNTING = threading.Event()


@pytest.mark.skipif("referenced" not in WORKING, reason="needs the referenced tracker")
def test_the_scanner_stops_in_the_middle_of_a_long_scan(child: Child, make: Callable[..., Tracker]) -> None:
    child.map(8 * TIB_PAGES)
    kernel = attrs.evolve(kernel_of(Endless), memory_pages=16 * TIB_PAGES)
    posted: list[Scan] = []
    errors: list[str] = []
    scanner = Scanner(make("referenced", kernel), posted.append, time.monotonic_ns, errors.append)
    COUNTING.clear()
    scanner.set_targets((child.key,))
    scanner.start()
    assert COUNTING.wait(60)
    assert scanner.stop(60)
    assert posted == []
    assert errors == []
