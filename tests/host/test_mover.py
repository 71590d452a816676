"""The mover against the kernel that runs the tests: real move_pages, real swap on a zram device of its own."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np
import pytest

from memtierd import native
from memtierd.linux import numa, proc
from memtierd.linux.roots import ROOTS
from memtierd.linux.swaps import swaps
from memtierd.model import OUTCOMES, SWAP_NODE, U32, U64, CallReport, MoveReport, Outcome, ProcessKey
from memtierd.mover import Batch, Mover, MoverParams, WaitResult
from memtierd.mover.host import host_kernel
from memtierd.mover.kernel import MoverKernel
from memtierd.units import MIB, PAGE_BYTES
from tests.native.child import Child

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
DEADLINE_S = 60.0
FAST = MoverParams(bandwidth=10_000)
PAGES = 4096
ZRAM = Path("/sys/class/zram-control")


@attrs.define
class Posted:
    """What a mover posted."""

    reports: list[MoveReport] = attrs.field(factory=list)
    calls: list[CallReport] = attrs.field(factory=list)
    called: threading.Event = attrs.field(factory=threading.Event)

    def post_call(self, report: CallReport) -> None:
        self.calls.append(report)
        self.called.set()

    def outcomes(self) -> dict[Outcome, int]:
        """Return the outcomes that there were, after checking that they add up for every range."""
        total = np.zeros(OUTCOMES, np.uint64)
        for report in self.reports:
            assert not report.dropped
            assert report.outcomes.sum(axis=1).tolist() == report.pages.tolist()
            total += report.outcomes.sum(axis=0)
        return {outcome: int(total[outcome]) for outcome in Outcome if total[outcome]}


def real_kernel() -> MoverKernel:
    """Return the port that the daemon uses."""
    node_ids = numa.machine_facts().node_ids
    node_map = numa.node_map(ROOTS, node_ids)
    return host_kernel(lambda: (node_map, node_ids))


def blind_kernel(*node_ids: int) -> MoverKernel:
    """Return a port that knows the node of no page, so that every page is asked for."""
    node_map = native.NodeMap(1, np.empty(0, np.int8))
    return host_kernel(lambda: (node_map, node_ids))


@contextmanager
def running(kernel: MoverKernel, params: MoverParams = FAST) -> Iterator[tuple[Mover, Posted]]:
    """A started mover and what it posts."""
    posted = Posted()
    mover = Mover(params, kernel, time.monotonic_ns, posted.reports.append, posted.post_call)
    mover.start()
    try:
        yield mover, posted
    finally:
        assert mover.stop(DEADLINE_S)


def batch_of(child: Child, target: int, pages: int = PAGES, range_pages: int = 1000) -> Batch:
    """Return a batch of the child's first pages, in ranges of `range_pages`."""
    first = np.arange(0, pages, range_pages)
    start: U64 = (np.uint64(child.address) + first.astype(np.uint64) * np.uint64(PAGE_BYTES)).astype(np.uint64)
    lengths: U32 = np.minimum(range_pages, pages - first).astype(np.uint32)
    return Batch(proc.process_key(child.pid), target, start, lengths, pages)


def swapped_pages(child: Child, pages: int = PAGES) -> int:
    """Return how many pages are in swap, by looking at each pagemap entry."""
    entries = native.read_pagemap(child.pagemap_fd, child.address, pages)
    return int(np.count_nonzero(entries & np.uint64(1 << 62)))


@contextmanager
def zram_swap(size_bytes: int) -> Iterator[None]:
    """Swap on a new zram device, taken away afterwards.  Skips where the kernel has no zram."""
    if not ZRAM.exists() and subprocess.run(["modprobe", "zram"], check=False, capture_output=True).returncode:
        pytest.skip("no zram: /sys/class/zram-control is missing and modprobe zram fails")
    number = (ZRAM / "hot_add").read_text().strip()
    device = f"/dev/zram{number}"
    try:
        Path(f"/sys/block/zram{number}/disksize").write_text(str(size_bytes))
        if not os.path.exists(device):
            major, minor = Path(f"/sys/block/zram{number}/dev").read_text().split(":")
            os.mknod(device, 0o600 | 0o060000, os.makedev(int(major), int(minor)))
        subprocess.run(["mkswap", device], check=True, capture_output=True)
        subprocess.run(["swapon", device], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["swapoff", device], check=True, capture_output=True)
    finally:
        Path(f"/sys/block/zram{number}/reset").write_text("1")
        (ZRAM / "hot_remove").write_text(number)


@pytest.fixture
def swap() -> Iterator[None]:
    """Plenty of swap."""
    with zram_swap(256 * MIB):
        yield


@pytest.fixture
def no_swap() -> None:
    """A machine without swap."""
    if swaps():
        pytest.skip("this machine has swap in use, which is not ours to take away")


def test_pages_of_the_only_node_are_there_already() -> None:
    node = numa.machine_facts().node_ids[0]
    if len(numa.machine_facts().node_ids) > 1:
        pytest.skip("with several nodes a page may be anywhere; tests/vm moves between nodes")
    with Child(PAGES) as child, running(real_kernel()) as (mover, posted):
        child.do("write", 0, 3000)
        mover.add(batch_of(child, node))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert posted.outcomes() == {Outcome.ALREADY_THERE: 3000, Outcome.NOT_PRESENT: PAGES - 3000}
    assert posted.calls == []


def test_the_answers_of_real_calls_are_counted() -> None:
    with Child(PAGES) as child, running(blind_kernel(0)) as (mover, posted):
        child.do("write", 0, 3000)
        child.do("read", 3000, 10)
        mover.add(batch_of(child, 0))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert posted.outcomes() == {Outcome.MOVED: 3000, Outcome.NOT_PRESENT: PAGES - 3000}
    zero_pages = {number: pages for report in posted.reports for number, pages in report.errnos.items()}
    assert zero_pages in ({errno.EFAULT: 10}, {errno.ENOENT: 10})
    assert sum(call.done_pages for call in posted.calls) == 3000


def test_huge_pages_are_asked_for_once_and_count_whole() -> None:
    with Child(PAGES, huge=True) as child, running(blind_kernel(0)) as (mover, posted):
        child.do("write", 0, PAGES)
        mover.add(batch_of(child, 0, range_pages=1024))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert posted.outcomes() == {Outcome.MOVED: PAGES}


def test_a_node_that_does_not_exist_is_the_kernels_answer() -> None:
    missing = 63
    with Child(PAGES) as child, running(blind_kernel(0, missing)) as (mover, posted):
        child.do("write", 0, PAGES)
        mover.add(batch_of(child, missing))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert posted.outcomes() == {Outcome.OTHER: PAGES}
    assert [call.returned for call in posted.calls] == [-errno.ENODEV]
    assert {number for report in posted.reports for number in report.errnos} == {errno.ENODEV}


@pytest.mark.parametrize("reaped", [True, False])
def test_a_process_that_dies_on_the_way_is_gone_for_the_rest(reaped: bool) -> None:
    slow = MoverParams(bandwidth=4)
    with Child(PAGES) as child, running(blind_kernel(0), slow) as (mover, posted):
        child.do("write", 0, PAGES)
        mover.add(batch_of(child, 0))
        assert posted.called.wait(DEADLINE_S)
        mover.pause()
        if reaped:
            child.end()
        else:
            os.kill(child.pid, 9)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        mover.reconfigure(FAST)
        mover.continue_()
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    outcomes = posted.outcomes()
    assert outcomes[Outcome.MOVED] + outcomes[Outcome.PROCESS_GONE] == PAGES
    assert outcomes[Outcome.PROCESS_GONE] > PAGES // 2


def test_another_process_with_the_same_pid_is_not_touched() -> None:
    with Child(PAGES) as child, running(blind_kernel(0)) as (mover, posted):
        child.do("write", 0, PAGES)
        batch = batch_of(child, 0)
        earlier = ProcessKey(child.pid, batch.key.start_ticks - 1)
        mover.add(attrs.evolve(batch, key=earlier))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert posted.outcomes() == {Outcome.PROCESS_GONE: PAGES}
    assert posted.calls == []


@pytest.mark.usefixtures("no_swap")
def test_without_swap_nothing_goes_out_and_that_is_said() -> None:
    with Child(PAGES) as child, running(real_kernel()) as (mover, posted):
        child.do("write", 0, PAGES)
        mover.add(batch_of(child, SWAP_NODE))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        assert len(mover.conditions()) == 1
    assert posted.outcomes() == {Outcome.TARGET_FULL: PAGES}


@pytest.mark.usefixtures("swap")
def test_swap_out_counts_what_is_really_out() -> None:
    touched = 3000
    with Child(PAGES) as child, running(real_kernel()) as (mover, posted):
        child.do("write", 0, touched)
        mover.add(batch_of(child, SWAP_NODE))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        out = swapped_pages(child)
        outcomes = posted.outcomes()
        assert outcomes[Outcome.MOVED] == out
        assert outcomes[Outcome.NOT_PRESENT] == PAGES - touched
        assert outcomes.get(Outcome.BUSY, 0) == touched - out
        assert out > touched * 9 // 10
        assert sum(call.done_pages for call in posted.calls) == out

        posted.reports.clear()
        mover.add(batch_of(child, SWAP_NODE))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        assert posted.outcomes()[Outcome.ALREADY_THERE] == out
        child.do("read", 0, touched)


@pytest.mark.usefixtures("swap")
def test_huge_pages_and_many_ranges_are_swapped_out() -> None:
    with Child(PAGES, huge=True) as child, running(real_kernel()) as (mover, posted):
        child.do("write", 0, PAGES)
        mover.add(batch_of(child, SWAP_NODE, range_pages=2))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        assert posted.outcomes()[Outcome.MOVED] == swapped_pages(child) > PAGES * 9 // 10


@pytest.mark.usefixtures("swap")
def test_a_locked_range_is_refused_and_the_others_go() -> None:
    program = (
        "import ctypes, mmap, sys\n"
        "a = mmap.mmap(-1, 96 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "a.write(b'x' * len(a))\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(a))\n"
        "libc = ctypes.CDLL(None)\n"
        "assert libc.mlock(ctypes.c_void_p(address + 32 * 4096), ctypes.c_size_t(32 * 4096)) == 0\n"
        "print(address, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = int(process.stdout.readline())
        start: U64 = np.array([address + part * 32 * PAGE_BYTES for part in range(3)], np.uint64)
        batch = Batch(proc.process_key(process.pid), SWAP_NODE, start, np.full(3, 32, np.uint32), 96)
        with running(real_kernel()) as (mover, posted):
            mover.add(batch)
            assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        process.kill()
    outcomes = posted.outcomes()
    assert outcomes[Outcome.OTHER] == 32
    assert outcomes[Outcome.MOVED] + outcomes.get(Outcome.BUSY, 0) == 64
    assert -errno.EINVAL in [call.returned for call in posted.calls]


def test_swap_that_fills_up_is_full_and_not_a_success() -> None:
    with zram_swap(8 * MIB), Child(PAGES) as child, running(real_kernel()) as (mover, posted):
        if len(swaps()) > 1:
            pytest.skip("this machine has other swap, which would take the rest")
        child.do("write", 0, PAGES)
        mover.add(batch_of(child, SWAP_NODE))
        assert mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        outcomes = posted.outcomes()
        assert outcomes[Outcome.MOVED] == swapped_pages(child)
        assert outcomes[Outcome.MOVED] <= 8 * MIB // PAGE_BYTES
        assert outcomes[Outcome.TARGET_FULL] >= PAGES - 8 * MIB // PAGE_BYTES
        assert sum(outcomes.values()) == PAGES
