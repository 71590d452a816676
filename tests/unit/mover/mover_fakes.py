"""A kernel in memory that moves and swaps pages as the real one does, and refuses what no kernel could be asked."""

import errno
import os
import threading
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.model import SWAP_NODE, U32, U64, ProcessKey
from memtierd.mover.kernel import I32, MoverKernel
from memtierd.native import Collected, Stop
from memtierd.units import PAGE_BYTES

KEY = ProcessKey(4242, 777)
BASE = 0x7F0000000000
NS_PER_S = 1_000_000_000


class FakeClock:
    """Time that passes only when somebody says so."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """Let the time pass at once that the mover wants to wait."""
        self.now_ns += round(seconds * NS_PER_S)
        changed.wait(0)


@attrs.define
class FakeProcess:
    """The pages of one process: place is a node, SWAP_NODE or None (not present)."""

    key: ProcessKey
    places: dict[int, int | None]
    """By page number (address / page size)."""
    huge: dict[int, int] = attrs.field(factory=dict)
    """First page of a compound page → pages in it."""
    shared: set[int] = attrs.field(factory=set)
    busy: dict[int, int] = attrs.field(factory=dict)
    """How often a page can't be isolated (its status says so) before it can."""
    pinned: set[int] = attrs.field(factory=set)
    """Isolated, but never migrated: the whole group of pages gets no status."""
    locked: set[int] = attrs.field(factory=set)
    """In a mapping that process_madvise refuses."""
    unswappable: dict[int, int] = attrs.field(factory=dict)
    """How often a page stays in memory before it can be swapped out."""
    coldness: dict[int, int] = attrs.field(factory=dict)
    """What memory.reclaim takes first; 0 where it doesn't say."""
    allowed: frozenset[int] = frozenset(range(8))
    alive: bool = True
    mm_gone: bool = False
    """Exiting: no memory any more, which move_pages calls EINVAL."""

    def head_of(self, page: int) -> int:
        """Return the first page of the compound page that a page belongs to."""
        return next((head for head, size in self.huge.items() if head <= page < head + size), page)

    def together(self, page: int) -> range:
        """Return all pages that move with a page."""
        head = self.head_of(page)
        return range(head, head + self.huge.get(head, 1))

    def on(self, place: int | None) -> int:
        """Return how many pages are there."""
        return sum(1 for where in self.places.values() if where == place)


class FakeKernel:
    """Processes, the free pages of nodes and swap, and a port on them."""

    def __init__(self, clock: FakeClock, processes: Sequence[FakeProcess], swap_free: int = 1 << 30) -> None:
        self.clock = clock
        self.processes = {process.key: process for process in processes}
        self.free = {0: 1 << 30, 1: 1 << 30}
        self.swap_free = swap_free
        self.move_ns: Callable[[int], int] = lambda _pages: 0
        self.on_call: Callable[[int], object] = lambda _number: None
        """Called before each moving system call with its number, from 1 on."""
        self.reclaim_error: Exception | None = None
        self.calls = 0
        self.largest_call_pages = 0
        self.open: dict[int, tuple[str, FakeProcess | None]] = {}
        self._next_fd = 100

    def port(self) -> MoverKernel:
        """Return the port."""
        return MoverKernel(
            open_pidfd=self.open_pidfd,
            is_alive=lambda fd: self._process("pidfd", fd).alive,
            open_pagemap=self.open_pagemap,
            open_kpageflags=lambda: self._opened("kpageflags", None),
            close=self.close,
            collect_pages=self.collect_pages,
            move_pages=self.move_pages,
            query_nodes=self.query_nodes,
            presence=self.presence,
            page_out=self.page_out,
            reclaim=self.reclaim,
            swap_free_pages=lambda: self.swap_free,
        )

    # Descriptors

    def open_pidfd(self, key: ProcessKey) -> int:
        process = self.processes.get(key)
        if process is None or not process.alive:
            raise ProcessGoneError(f"open a pidfd of pid {key.pid}")
        return self._opened("pidfd", process)

    def open_pagemap(self, key: ProcessKey) -> int:
        return self._opened("pagemap", self.processes[key])

    def close(self, fd: int) -> None:
        del self.open[fd]

    def _opened(self, kind: str, process: FakeProcess | None) -> int:
        self._next_fd += 1
        self.open[self._next_fd] = (kind, process)
        return self._next_fd

    def _process(self, kind: str, fd: int) -> FakeProcess:
        opened, process = self.open[fd]
        assert opened == kind, f"descriptor of {opened}, not of {kind}"
        assert process is not None
        return process

    def _by_pid(self, pid: int) -> FakeProcess:
        for process in self.processes.values():
            if process.key.pid == pid:
                return process
        raise _os_error(errno.ESRCH)

    # Page tables

    def collect_pages(
        self,
        pagemap_fd: int,
        kpageflags_fd: int,
        start: U64,
        pages: U32,
        range_index: int,
        page_index: int,
        target: int,
        max_pages: int,
        stop: Stop,
    ) -> Collected:
        process = self._process("pagemap", pagemap_fd)
        assert self.open[kpageflags_fd][0] == "kpageflags"
        assert max_pages >= 1
        assert page_index < pages[range_index]
        if stop[0]:
            raise _os_error(errno.ECANCELED)
        if target not in self.free:
            raise _os_error(errno.ENODEV)
        if not process.alive or process.mm_gone:
            raise _os_error(errno.ESRCH)
        already_there, not_present = np.zeros(len(start), np.uint64), np.zeros(len(start), np.uint64)
        addresses: list[int] = []
        owner: list[int] = []
        weight: list[int] = []
        while range_index < len(start):
            page = int(start[range_index]) // PAGE_BYTES + page_index
            inside = min(process.together(page).stop - page, int(pages[range_index]) - page_index)
            place = self._place(process, page)
            if place is None or place == SWAP_NODE:
                not_present[range_index] += np.uint64(inside)
            elif place == target:
                already_there[range_index] += np.uint64(inside)
            elif addresses and sum(weight) + inside > max_pages:
                break
            else:
                addresses.append(page * PAGE_BYTES)
                owner.append(range_index)
                weight.append(inside)
            page_index += inside
            if page_index == pages[range_index]:
                range_index, page_index = range_index + 1, 0
        return Collected(
            np.array(addresses, np.uint64),
            np.array(owner, np.uint32),
            np.array(weight, np.uint32),
            already_there,
            not_present,
            already_there + np.bincount(owner, weight, len(start)).astype(np.uint64),
            range_index,
            page_index,
        )

    def presence(self, pagemap_fd: int, start: U64, pages: U32) -> tuple[U32, U32]:
        process = self._process("pagemap", pagemap_fd)
        if not process.alive or process.mm_gone:
            raise _os_error(errno.ESRCH)
        swapped, present = np.zeros(len(start), np.uint32), np.zeros(len(start), np.uint32)
        for index, (address, count) in enumerate(zip(start.tolist(), pages.tolist(), strict=True)):
            places = [self._place(process, address // PAGE_BYTES + page) for page in range(count)]
            swapped[index] = places.count(SWAP_NODE)
            present[index] = count - places.count(SWAP_NODE) - places.count(None)
        return swapped, present

    @staticmethod
    def _place(process: FakeProcess, page: int) -> int | None:
        assert page in process.places, f"page {page:#x} was never asked for"
        return process.places[page]

    # Moving

    def move_pages(self, pid: int, addresses: U64, target: int, status: I32) -> int:
        assert len(addresses) == len(status) > 0
        status.fill(-(1 << 31))
        process = self._called(self._by_pid(pid), len(addresses))
        if not process.alive:
            raise _os_error(errno.ESRCH)
        if process.mm_gone:
            raise _os_error(errno.EINVAL)
        if target not in self.free:
            raise _os_error(errno.ENODEV)
        if target not in process.allowed:
            raise _os_error(errno.EACCES)
        group: list[int] = []
        for index, page in enumerate((addresses // PAGE_BYTES).tolist()):
            answer = self._isolate(process, page, target, {int(addresses[i]) // PAGE_BYTES for i in group})
            if answer is None:
                group.append(index)
                continue
            status[index] = answer
            if failed := self._migrate(process, addresses, group, target, status):
                return failed + len(addresses) - index - 1
            group = []
        return self._migrate(process, addresses, group, target, status)

    def _isolate(self, process: FakeProcess, page: int, target: int, isolated: set[int]) -> int | None:
        """Return the status that a page has at once, None when it is isolated for migration (mm/migrate.c)."""
        place = self._place(process, page)
        if place is None or place == SWAP_NODE:
            return -errno.ENOENT
        if place == target:
            return target
        if page in process.shared:
            return -errno.EACCES
        head = process.head_of(page)
        if any(process.head_of(other) == head for other in isolated):
            return -errno.EBUSY
        if process.busy.get(head, 0):
            process.busy[head] -= 1
            return -errno.EBUSY
        return None

    def _migrate(self, process: FakeProcess, addresses: U64, group: list[int], target: int, status: I32) -> int:
        """Move isolated pages; return how many were not.  Their statuses are only stored when all were."""
        failed = 0
        for index in group:
            pages = process.together(int(addresses[index]) // PAGE_BYTES)
            if pages.start in process.pinned:
                failed += 1
                continue
            if self.free[target] < len(pages):
                raise _os_error(errno.ENOMEM)
            self.free[target] -= len(pages)
            for page in pages:
                place = process.places[page]
                assert place is not None
                self.free[place] += 1
                process.places[page] = target
        if not failed:
            status[group] = target
        return failed

    def query_nodes(self, pid: int, addresses: U64, status: I32) -> int:
        process = self._by_pid(pid)
        if not process.alive:
            raise _os_error(errno.ESRCH)
        for index, page in enumerate((addresses // PAGE_BYTES).tolist()):
            place = self._place(process, page)
            status[index] = -errno.ENOENT if place is None or place == SWAP_NODE else place
        return 0

    def page_out(self, pidfd: int, start: U64, length_bytes: U64) -> int:
        process = self._process("pidfd", pidfd)
        assert len(start) == len(length_bytes) > 0
        assert len(start) <= 1024
        assert length_bytes.sum() <= (1 << 31) - PAGE_BYTES
        assert not np.any((start | length_bytes) % PAGE_BYTES)
        self._called(process, int(length_bytes.sum()) // PAGE_BYTES)
        if not process.alive or process.mm_gone:
            raise _os_error(errno.ESRCH)
        walked = 0
        for address, length in zip(start.tolist(), length_bytes.tolist(), strict=True):
            pages = range(address // PAGE_BYTES, (address + length) // PAGE_BYTES)
            if not process.locked.isdisjoint(pages):
                if not walked:
                    raise _os_error(errno.EINVAL)
                return walked
            self._swap(process, pages)
            walked += length
        return walked

    def reclaim(self, key: ProcessKey, size_bytes: int) -> int:
        process = self.processes[key]
        assert size_bytes > 0
        assert size_bytes % PAGE_BYTES == 0
        self._called(process, size_bytes // PAGE_BYTES)
        if self.reclaim_error is not None:
            raise self.reclaim_error
        before, wanted = process.on(SWAP_NODE), size_bytes // PAGE_BYTES
        for page in sorted(process.places, key=lambda page: process.coldness.get(page, 0), reverse=True):
            if process.on(SWAP_NODE) - before < wanted:
                self._swap(process, range(page, page + 1))
        if process.on(SWAP_NODE) - before < wanted:
            raise KernelError("reclaim", errno.EAGAIN)
        return size_bytes

    def _swap(self, process: FakeProcess, pages: range) -> None:
        for page in pages:
            place = self._place(process, page)
            if place is None or place == SWAP_NODE or page in process.shared or not self.swap_free:
                continue
            if process.unswappable.get(page, 0):
                process.unswappable[page] -= 1
                continue
            self.free[place] += 1
            self.swap_free -= 1
            process.places[page] = SWAP_NODE

    def _called(self, process: FakeProcess, pages: int) -> FakeProcess:
        self.calls += 1
        self.on_call(self.calls)
        self.largest_call_pages = max(self.largest_call_pages, pages)
        self.clock.now_ns += self.move_ns(pages)
        return process


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def process_of(places: Sequence[int | None], key: ProcessKey = KEY) -> FakeProcess:
    """Return a process with one page for each place, from BASE on."""
    return FakeProcess(key, {BASE // PAGE_BYTES + index: place for index, place in enumerate(places)})


def page(index: int) -> int:
    """Return the number of a process_of page."""
    return BASE // PAGE_BYTES + index
