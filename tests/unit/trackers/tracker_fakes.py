"""A kernel in memory: processes, mappings and page bits that behave like the real ones."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import numpy as np

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.probe import Feature, Features
from memtierd.linux.proc import CLEAR_REFERENCED, CLEAR_SOFT_DIRTY, Mapping, MappingUse
from memtierd.linux.roots import ROOTS, Roots
from memtierd.model import U64, AddressRange, ProcessFacts, ProcessKey
from memtierd.native import PAGEMAP_EXCLUSIVE, PAGEMAP_PRESENT, PAGEMAP_SOFT_DIRTY
from memtierd.regions.carving import Geometry
from memtierd.trackers.kernel import Counts, IdleFiles
from memtierd.trackers.tracker import ScanStoppedError, StopFlag
from memtierd.units import PAGE_BYTES

BASE_PAGE = 0x7F00_0000_0000 // PAGE_BYTES
KB_PER_PAGE = PAGE_BYTES // 1024


def mapping(first: int, end: int, perms: str = "rw-p", path: str = "") -> Mapping:
    """Return a mapping of pages [first, end) behind BASE_PAGE."""
    return Mapping((BASE_PAGE + first) * PAGE_BYTES, (BASE_PAGE + end) * PAGE_BYTES, perms, 0, "00:00", 0, path)


@attrs.define
class FakeProcess:
    """One process; pages are numbers behind BASE_PAGE."""

    mappings: list[Mapping]
    node_of: dict[int, int] = attrs.field(factory=dict)
    """Present pages."""
    swapped: set[int] = attrs.field(factory=set)
    dirty: set[int] = attrs.field(factory=set)
    huge_blocks: set[int] = attrs.field(factory=set)
    """First pages of what is mapped as huge pages, of 512 pages each."""
    young: set[int] = attrs.field(factory=set)
    """Accessed since clear_refs 1 or since set idle."""
    zombie: bool = False
    error: KernelError | None = None

    def touch(self, *pages: int, write: bool = True, node: int = 0) -> None:
        """Access pages as the process would."""
        for page in pages:
            assert any(m.start <= (BASE_PAGE + page) * PAGE_BYTES < m.end for m in self.mappings), page
            self.node_of.setdefault(page, node)
            self.swapped.discard(page)
            self.young.add(page)
            if write:
                self.dirty.add(page)

    def entry_of(self, page: int) -> int:
        """Return the pagemap entry of a page, as far as it is looked at; every present page is exclusive."""
        present = PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE if page in self.node_of else 0
        return present | (PAGEMAP_SOFT_DIRTY if page in self.dirty else 0)

    def use_of(self, m: Mapping) -> MappingUse:
        """Return the figures of one mapping."""

        def kb(pages: set[int]) -> int:
            return KB_PER_PAGE * sum(m.start <= (BASE_PAGE + page) * PAGE_BYTES < m.end for page in pages)

        present = set(self.node_of)
        huge = {page for first in self.huge_blocks for page in range(first, first + 512)}
        return MappingUse(m, kb(present), kb(present & self.young), kb(self.swapped), 0, 0, kb(huge))


@attrs.define
class FakeKernel:
    """TrackerKernel over FakeProcesses; `fd` is the pid."""

    processes: dict[int, FakeProcess] = attrs.field(factory=dict)
    roots: Roots = ROOTS
    nodes: int = 2
    memory_pages: int = 1 << 20
    finds_populated: bool = True
    time_ns: int = 0
    open_files: int = 0
    clears: list[tuple[int, int]] = attrs.field(factory=list)
    maps_read: int = 0
    refreshed: int = 0
    during_count: Callable[[int, StopFlag], None] = lambda pid, stop: None
    """What happens while the pages of a process are counted."""

    def now_ns(self) -> int:
        return self.time_ns

    def refresh(self) -> None:
        self.refreshed += 1

    def facts(self, key: ProcessKey) -> ProcessFacts:
        self._process(key)
        return ProcessFacts(key, f"name{key.pid}", frozenset(range(self.nodes)), 0)

    def mappings(self, key: ProcessKey) -> list[Mapping]:
        self.maps_read += 1
        process = self._process(key)
        return [] if process.zombie else list(process.mappings)

    def uses(self, key: ProcessKey) -> list[MappingUse]:
        process = self._process(key)
        if process.zombie:
            return []
        return [process.use_of(m) for m in process.mappings]

    def clear(self, key: ProcessKey, value: int) -> None:
        process = self._process(key)
        self.clears.append((key.pid, value))
        if value == CLEAR_SOFT_DIRTY:
            process.dirty.clear()
        elif value == CLEAR_REFERENCED:
            process.young.clear()

    @contextmanager
    def pagemap(self, key: ProcessKey) -> Iterator[int]:
        self._process(key)
        self.open_files += 1
        try:
            yield key.pid
        finally:
            self.open_files -= 1

    def open_idle(self) -> IdleFiles:
        return IdleFiles(os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_RDWR))

    def populated(self, pagemap_fd: int, bounds: AddressRange, stop: StopFlag) -> tuple[U64, U64]:
        process = self.processes[pagemap_fd]
        pages = [BASE_PAGE + page for page in sorted(process.node_of.keys() | process.swapped)]
        inside = [page for page in pages if bounds.start <= page * PAGE_BYTES < bounds.end]
        start = np.array([page * PAGE_BYTES for page in inside], np.uint64)
        return start, start + np.uint64(PAGE_BYTES)

    def huge_mapped(self, pagemap_fd: int, bounds: AddressRange, stop: StopFlag) -> tuple[U64, U64]:
        blocks = sorted((BASE_PAGE + first) * PAGE_BYTES for first in self.processes[pagemap_fd].huge_blocks)
        start = np.array([address for address in blocks if bounds.start <= address < bounds.end], np.uint64)
        return start, start + np.uint64(512 * PAGE_BYTES)

    def find_pages(self, pagemap_fd: int, regions: Geometry, mask: int, bits: int, stop: StopFlag) -> Geometry:
        process = self._living(pagemap_fd)
        runs: list[list[int]] = []
        for pages in _pages(regions):
            found = [page for page in sorted(pages) if process.entry_of(page) & mask == bits]
            for index, page in enumerate(found):
                if index and page == found[index - 1] + 1:
                    runs[-1][1] += 1
                else:
                    runs.append([(BASE_PAGE + page) * PAGE_BYTES, 1])
        return Geometry(np.array([run[0] for run in runs], np.uint64), np.array([run[1] for run in runs], np.uint32))

    def count_present(self, pagemap_fd: int, regions: Geometry, counts: Counts, stop: StopFlag) -> None:
        self.during_count(pagemap_fd, stop)
        if stop.is_set():
            raise ScanStoppedError("stopped")
        process = self._living(pagemap_fd)
        for index, pages in enumerate(_pages(regions)):
            counts.swapped[index] += len(pages & process.swapped)
            for page in pages & process.node_of.keys():
                counts.node_pages[process.node_of[page], index] += 1

    def count_dirty(
        self,
        pagemap_fd: int,
        regions: Geometry,
        max_count: int,
        counts: Counts,
        stop: StopFlag,
    ) -> None:
        self.count_present(pagemap_fd, regions, counts, stop)
        for index, pages in enumerate(_pages(regions)):
            counts.written[index] = min(len(pages & self._living(pagemap_fd).dirty), max_count or 1 << 30)

    def count_idle(
        self,
        pagemap_fd: int,
        files: IdleFiles,
        regions: Geometry,
        max_count: int,
        counts: Counts,
        stop: StopFlag,
    ) -> None:
        os.fstat(files.bitmap_fd)
        self.count_present(pagemap_fd, regions, counts, stop)
        process = self._living(pagemap_fd)
        for index, pages in enumerate(_pages(regions)):
            counts.accessed[index] = min(len(pages & process.young), max_count or 1 << 30)
            process.young -= pages

    def _process(self, key: ProcessKey) -> FakeProcess:
        process = self.processes.get(key.pid)
        if process is None:
            raise ProcessGoneError(f"look at pid {key.pid}")
        if process.error is not None:
            raise process.error
        return process

    def _living(self, pid: int) -> FakeProcess:
        """Return the process, or one without any page when its address space is gone: that is how it scans."""
        process = self.processes.get(pid)
        return FakeProcess([]) if process is None or process.zombie else process


def _pages(regions: Geometry) -> list[set[int]]:
    firsts = (regions.start // np.uint64(PAGE_BYTES)).tolist()
    return [
        set(range(first - BASE_PAGE, first - BASE_PAGE + count))
        for first, count in zip(firsts, regions.pages.tolist(), strict=True)
    ]


def fake_features(*working: str) -> Features:
    """Return features of which only these work."""
    names = ("idlepage", "softdirty", "referenced", "pagemap_pfn")
    features = tuple(Feature(name, name in working, f"{name} is off; switch it on") for name in names)
    return Features(features, thp_mode="none", disturbs=())
