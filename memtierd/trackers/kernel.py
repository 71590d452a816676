"""The kernel as trackers see it: one port, and what implements it on Linux."""

import errno
import os
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingType
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import attrs
import numpy as np

from memtierd import native
from memtierd.errors import MemtierdError
from memtierd.linux.node_map import MemoryBlocks
from memtierd.linux.numa import cpu_to_node
from memtierd.linux.page_frames import open_idle_bitmap, open_kpageflags
from memtierd.linux.proc import Mapping, MappingUse, clear_refs, maps, process_facts, smaps
from memtierd.linux.proc_mem import opened
from memtierd.linux.roots import ROOTS, Roots, translated
from memtierd.model import U32, U64, AddressRange, MachineFacts, ProcessFacts, ProcessKey
from memtierd.regions.carving import Geometry
from memtierd.trackers.limits import Limits
from memtierd.trackers.tracker import ScanStoppedError, StopFlag


@attrs.frozen(eq=False)
class Counts:
    """What one scan counts in each region of one process, in pages."""

    accessed: U32
    written: U32
    swapped: U32
    node_pages: U32
    """Shape (nodes, regions)."""

    @classmethod
    def zero(cls, regions: Geometry, nodes: int) -> "Counts":
        """Return counts to be filled."""
        size = regions.start.size
        return cls(
            accessed=np.zeros(size, np.uint32),
            written=np.zeros(size, np.uint32),
            swapped=np.zeros(size, np.uint32),
            node_pages=np.zeros((nodes, size), np.uint32),
        )

    @property
    def finds_nothing(self) -> bool:
        """Return whether no page at all was found, in memory or in swap."""
        return not self.node_pages.any() and not self.swapped.any()


@attrs.frozen
class IdleFiles:
    """Open files of idle page tracking; whoever opened them closes them."""

    kpageflags_fd: int
    bitmap_fd: int

    def close(self) -> None:
        """Close both."""
        os.close(self.kpageflags_fd)
        os.close(self.bitmap_fd)


class TrackerKernel(Protocol):
    """All that a tracker needs of the machine.

    Methods that take a process raise ProcessGoneError when it has ended and KernelError for
    everything else; those that take a stop flag raise ScanStoppedError when it was set.
    """

    @property
    def roots(self) -> Roots:
        """Return where its pseudo file systems are mounted."""

    @property
    def nodes(self) -> int:
        """Return the number of NUMA nodes."""

    @property
    def memory_pages(self) -> int:
        """Return the pages of memory and swap together: no process can have more."""

    @property
    def finds_populated(self) -> bool:
        """Tell whether `populated` and `huge_mapped` work here."""

    def now_ns(self) -> int:
        """Return a monotonic time."""

    def refresh(self) -> None:
        """Take notice of memory that was plugged in or out; called before every round."""

    def facts(self, key: ProcessKey) -> ProcessFacts:
        """Return what placement needs to know; also the proof that the pid still names this process."""

    def mappings(self, key: ProcessKey) -> list[Mapping]:
        """Return the mappings, ascending; none of a process that has exited and was not reaped."""

    def uses(self, key: ProcessKey) -> list[MappingUse]:
        """Return the mappings with their referenced pages, ascending."""

    def clear(self, key: ProcessKey, value: int) -> None:
        """Write `value` to the process's clear_refs."""

    def pagemap(self, key: ProcessKey) -> AbstractContextManager[int]:
        """Open the process's pagemap for the duration of a `with` block."""

    def open_idle(self) -> IdleFiles:
        """Open the files of idle page tracking."""

    def populated(self, pagemap_fd: int, bounds: AddressRange, stop: StopFlag) -> tuple[U64, U64]:
        """Return start and end of the present or swapped ranges inside `bounds`, ascending."""

    def huge_mapped(self, pagemap_fd: int, bounds: AddressRange, stop: StopFlag) -> tuple[U64, U64]:
        """Return start and end of the ranges inside `bounds` that are mapped as huge pages, ascending.

        Works where `populated` does.
        """

    def find_pages(self, pagemap_fd: int, regions: Geometry, mask: int, bits: int, stop: StopFlag) -> Geometry:
        """Return the runs of pages of `regions` whose pagemap entries have exactly the bits `bits` of `mask`."""

    def count_present(self, pagemap_fd: int, regions: Geometry, counts: Counts, stop: StopFlag) -> None:
        """Fill the counts of where pages are."""

    def count_dirty(self, pagemap_fd: int, regions: Geometry, max_count: int, counts: Counts, stop: StopFlag) -> None:
        """Fill the counts of soft-dirty pages, at most `max_count` a region (0: all), and of where pages are."""

    def count_idle(
        self,
        pagemap_fd: int,
        files: IdleFiles,
        regions: Geometry,
        max_count: int,
        counts: Counts,
        stop: StopFlag,
    ) -> None:
        """Fill the counts of pages that are not idle, and set all idle again; and those of where pages are."""


@attrs.frozen
class LinuxTrackerKernel:
    """TrackerKernel over /proc, /sys and memtierd.native."""

    nodes: int
    memory_pages: int
    finds_populated: bool
    memory: MemoryBlocks
    cpu_nodes: MappingType[int, int]
    """Node of each CPU that was online at the start."""
    clock: Callable[[], int]
    roots: Roots = ROOTS
    limits: Limits = attrs.field(factory=Limits)
    """What of each process is tracked."""

    def now_ns(self) -> int:
        """Return the time of the injected clock."""
        return self.clock()

    def refresh(self) -> None:
        """Look which memory blocks there are, if their number has changed."""
        self.memory.refresh()

    def facts(self, key: ProcessKey) -> ProcessFacts:
        """Return what placement needs to know."""
        return process_facts(key, self.roots, self.cpu_nodes)

    def mappings(self, key: ProcessKey) -> list[Mapping]:
        """Return the mappings from /proc/PID/maps, within the limits."""
        return self.limits.clip_mappings(key, maps(key.pid, self.roots))

    def uses(self, key: ProcessKey) -> list[MappingUse]:
        """Return the mappings from /proc/PID/smaps, within the limits."""
        return self.limits.clip_uses(key, smaps(key.pid, self.roots))

    def clear(self, key: ProcessKey, value: int) -> None:
        """Write to /proc/PID/clear_refs."""
        clear_refs(key.pid, value, self.roots)

    @contextmanager
    def pagemap(self, key: ProcessKey) -> Iterator[int]:
        """Open /proc/PID/pagemap; errors of reading it inside the `with` block are translated, too."""
        with opened(key, "pagemap", self.roots) as pagemap_fd:
            try:
                yield pagemap_fd
            except OSError as error:
                raise _scan_error(f"read the pagemap of pid {key.pid}", error) from error

    def open_idle(self) -> IdleFiles:
        """Open /proc/kpageflags and the idle bitmap (Documentation/admin-guide/mm/idle_page_tracking.rst)."""
        kpageflags_fd = open_kpageflags(self.roots)
        try:
            bitmap_fd = open_idle_bitmap(self.roots)
        except MemtierdError:
            os.close(kpageflags_fd)
            raise
        return IdleFiles(kpageflags_fd, bitmap_fd)

    def populated(self, pagemap_fd: int, bounds: AddressRange, stop: StopFlag) -> tuple[U64, U64]:
        """Find present and swapped ranges with PAGEMAP_SCAN."""
        return native.populated(pagemap_fd, bounds, stop.array)

    def huge_mapped(self, pagemap_fd: int, bounds: AddressRange, stop: StopFlag) -> tuple[U64, U64]:
        """Find huge pages with PAGEMAP_SCAN."""
        return native.huge_mapped(pagemap_fd, bounds, stop.array)

    def find_pages(self, pagemap_fd: int, regions: Geometry, mask: int, bits: int, stop: StopFlag) -> Geometry:
        """Find the runs in the pagemap."""
        return Geometry(*native.find_pages(pagemap_fd, *regions, mask, bits, stop.array))

    def count_present(self, pagemap_fd: int, regions: Geometry, counts: Counts, stop: StopFlag) -> None:
        """Count by page frame number."""
        native.scan_presence(pagemap_fd, *regions, self.memory.node_map, counts.swapped, counts.node_pages, stop.array)

    def count_dirty(self, pagemap_fd: int, regions: Geometry, max_count: int, counts: Counts, stop: StopFlag) -> None:
        """Count by page frame number."""
        native.scan_soft_dirty(
            pagemap_fd,
            *regions,
            max_count,
            self.memory.node_map,
            counts.written,
            counts.swapped,
            counts.node_pages,
            stop.array,
        )

    def count_idle(
        self,
        pagemap_fd: int,
        files: IdleFiles,
        regions: Geometry,
        max_count: int,
        counts: Counts,
        stop: StopFlag,
    ) -> None:
        """Count by page frame number in the idle bitmap."""
        native.scan_idle(
            pagemap_fd,
            files.kpageflags_fd,
            files.bitmap_fd,
            *regions,
            max_count,
            self.memory.node_map,
            counts.accessed,
            counts.swapped,
            counts.node_pages,
            stop.array,
        )


def linux_kernel(
    machine: MachineFacts, *, pagemap_scan: bool, clock: Callable[[], int], roots: Roots = ROOTS
) -> LinuxTrackerKernel:
    """Return the port for this machine; `pagemap_scan` tells whether the ioctl PAGEMAP_SCAN works."""
    nodes = machine.node_ids
    return LinuxTrackerKernel(
        nodes=len(nodes),
        memory_pages=sum(node.total_pages for node in machine.nodes) + machine.swap_total_pages,
        finds_populated=pagemap_scan,
        memory=MemoryBlocks(roots, nodes),
        cpu_nodes=cpu_to_node(roots),
        clock=clock,
        roots=roots,
    )


def _scan_error(tried: str, error: OSError) -> Exception:
    if error.errno == errno.ECANCELED:
        return ScanStoppedError(f"{tried}: stopped before the end; its counts are dropped")
    return translated(tried, error)
