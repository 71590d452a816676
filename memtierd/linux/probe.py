"""What works on this kernel for this user, found by trying it on memtierd's own process and never by version."""

import errno
import mmap
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import numpy as np

from memtierd import native
from memtierd.errors import KernelError, MemtierdError, UnsupportedError
from memtierd.linux import damon_probe, damon_programs
from memtierd.linux.numa import machine_facts
from memtierd.linux.page_frames import open_idle_bitmap, open_kpageflags
from memtierd.linux.pressure import pressure
from memtierd.linux.proc_smaps import CLEAR_REFERENCED, clear_refs, smaps
from memtierd.linux.roots import ROOTS, Roots, open_fd, read_optional, translated
from memtierd.linux.swaps import swaps
from memtierd.model import U8
from memtierd.units import KIB, PAGE_BYTES, format_bytes, format_node_set

_ENTRY_BYTES = 8
_REFERENCED_PAGES = 64  # more than the neighbours that the kernel may join to the mapping use meanwhile
_PFN_MASK = (1 << 55) - 1  # Documentation/admin-guide/mm/pagemap.rst
_DAMON_MODULES = ("damon_stat", "damon_reclaim", "damon_lru_sort")


@attrs.frozen
class Feature:
    """One thing that the kernel may or may not do for memtierd."""

    name: str
    works: bool
    detail: str
    """What works, or what is missing and what to do."""


@attrs.frozen
class Features:
    """Everything that was tried at start."""

    features: tuple[Feature, ...]
    thp_mode: str
    """"always", "madvise", "never", or "none" on a kernel without transparent huge pages."""
    disturbs: tuple[str, ...]
    """Who else clears accessed bits on this machine, one sentence each: idle pages may be misjudged."""

    def get(self, name: str) -> Feature:
        """Return a feature by its name.  A name that was not tried raises KeyError."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    def works(self, name: str) -> bool:
        """Return whether a feature works.  A name that was not tried raises KeyError."""
        return self.get(name).works


def probe(roots: Roots = ROOTS) -> Features:
    """Try every feature and return what was found; never raises, takes a few milliseconds.

    Only memory of this process is touched, and nothing of DAMON is written.
    """
    features = tuple(_tried(name, attempt, roots) for name, attempt in _ATTEMPTS.items())
    return Features(features, _thp_mode(roots), _disturbances(roots))


def _tried(name: str, attempt: Callable[[Roots], str], roots: Roots) -> Feature:
    """Make a Feature of an attempt, which returns what works or raises what is missing."""
    try:
        return Feature(name, True, attempt(roots))
    except MemtierdError as error:
        return Feature(name, False, str(error))
    except OSError as error:
        return Feature(name, False, str(translated(f"try {name}", error)))


def _idle_bitmap(roots: Roots) -> str:
    with _closing(open_idle_bitmap(roots)) as bitmap:
        os.pread(bitmap, _ENTRY_BYTES, 0)
        # Zeros change nothing: a write sets idle the pages of its 1 bits
        # (Documentation/admin-guide/mm/idle_page_tracking.rst).
        os.pwrite(bitmap, bytes(_ENTRY_BYTES), 0)
    return "the idle page bitmap can be read and written"


def _soft_dirty(_roots: Roots) -> str:
    if not native.soft_dirty_works():
        raise UnsupportedError(
            "a written page has no soft-dirty bit in pagemap;"
            " the kernel needs CONFIG_MEM_SOFT_DIRTY, or use another tracker"
        )
    return "written pages are marked in pagemap"


def _referenced(roots: Roots) -> str:
    # First used, then cleared: the other way round fails at random, because clear_refs leaves the TLB alone and a page
    # that is still in there gets no new accessed bit (fs/proc/task_mmu.c, clear_refs_pte_range).
    memory = _own_memory(_REFERENCED_PAGES)
    used_kb = _referenced_kb(memory, roots)
    clear_refs(os.getpid(), CLEAR_REFERENCED, roots)
    if _referenced_kb(memory, roots) >= used_kb:
        raise UnsupportedError("used memory is not marked in smaps, or not cleared by clear_refs; use another tracker")
    return "used memory is marked in smaps and can be cleared"


def _referenced_kb(memory: U8, roots: Roots) -> int:
    address = memory.ctypes.data
    return sum(use.referenced_kb for use in smaps(os.getpid(), roots) if use.mapping.start <= address < use.mapping.end)


def _pagemap_pfn(roots: Roots) -> str:
    page = _own_memory()
    with _closing(open_fd(f"{roots.proc}/{os.getpid()}/pagemap")) as pagemap:
        entries = native.read_pagemap(pagemap, page.ctypes.data, 1)
    if not int(entries[0]) & _PFN_MASK:
        raise UnsupportedError("pagemap hides page frame numbers; run as root (CAP_SYS_ADMIN)")
    return "pagemap shows page frame numbers"


def _pagemap_scan(_roots: Roots) -> str:
    if not native.has_pagemap_scan():
        raise UnsupportedError("the kernel has no PAGEMAP_SCAN ioctl (Linux 6.7); pagemap is read entry by entry")
    return "the PAGEMAP_SCAN ioctl works"


def _kpageflags(roots: Roots) -> str:
    with _closing(open_kpageflags(roots)) as flags:
        os.pread(flags, _ENTRY_BYTES, 0)
    return "flags of page frames can be read"


def _swap(roots: Roots) -> str:
    areas = swaps(roots)
    if not areas:
        raise UnsupportedError("no swap area is in use; nothing can be swapped out before swapon")
    free = format_bytes(sum(area.free_kb for area in areas) * KIB)
    if not any(area.free_kb for area in areas):
        raise UnsupportedError("all swap areas are full; add one with swapon")
    return f"{free} free in {len(areas)} area{'s' if len(areas) > 1 else ''}"


def _numa(roots: Roots) -> str:
    nodes = machine_facts(roots).node_ids
    if len(nodes) < 2:
        raise UnsupportedError(
            f"{len(nodes)} NUMA node with memory; memory can't be moved to another one, only be swapped out"
        )
    return f"{len(nodes)} nodes with memory: {format_node_set(nodes)}"


def _pressure(roots: Roots) -> str:
    if problems := pressure(roots=roots).problems:
        raise UnsupportedError(problems[0].removeprefix("maxpressure: "))
    return "the kernel tells how long tasks wait for memory and io"


def _move_pages(_roots: Roots) -> str:
    tried = "move_pages of an own page to the node it is on"
    page = _own_memory()
    address, status = np.array([page.ctypes.data], np.uint64), np.empty(1, np.int32)
    try:
        native.query_nodes(os.getpid(), address, status)
        node = int(status[0])
        if node >= 0:
            native.move_pages(os.getpid(), address, node, status)
    except OSError as error:
        raise translated(tried, error) from error
    if status[0] < 0:
        raise KernelError(tried, errno.EAGAIN if status[0] == native.NOT_ATTEMPTED else -int(status[0]))
    return "pages can be moved"


def _process_madvise(_roots: Roots) -> str:
    tried = "process_madvise(MADV_PAGEOUT) of no memory of this process"
    page = _own_memory()
    try:
        with _closing(os.pidfd_open(os.getpid())) as pidfd:
            native.page_out(pidfd, np.array([page.ctypes.data], np.uint64), np.zeros(1, np.uint64))
    except OSError as error:
        raise translated(tried, error) from error
    return "memory can be paged out"


_ATTEMPTS: dict[str, Callable[[Roots], str]] = {
    "idlepage": _idle_bitmap,
    "softdirty": _soft_dirty,
    "referenced": _referenced,
    "pagemap_pfn": _pagemap_pfn,
    "pagemap_scan": _pagemap_scan,
    "kpageflags": _kpageflags,
    "swap": _swap,
    "numa": _numa,
    "pressure": _pressure,
    "move_pages": _move_pages,
    "process_madvise": _process_madvise,
    "damon_sysfs": damon_probe.sysfs_works,
    "damon_debugfs": damon_probe.debugfs_works,
    "damon_tracefs": damon_probe.tracefs_works,
    "damon_bpftrace": damon_programs.bpftrace_works,
    "damon_perf": damon_programs.perf_works,
}


def _thp_mode(roots: Roots) -> str:
    selected = re.search(r"\[(\w+)\]", _optional(f"{roots.sys}/kernel/mm/transparent_hugepage/enabled"))
    return selected[1] if selected else "none"


def _disturbances(roots: Roots) -> tuple[str, ...]:
    found = []
    if _optional(f"{roots.proc}/sys/kernel/numa_balancing").strip() not in ("", "0"):
        found.append("NUMA balancing is on; turn it off with: sysctl kernel.numa_balancing=0")
    kdamonds = f"{roots.sys}/kernel/mm/damon/admin/kdamonds"
    count = _optional(f"{kdamonds}/nr_kdamonds").strip() or "0"
    own = damon_probe.leftover_threads(roots)
    found.extend(
        f"DAMON runs as kdamond {number}; stop it, or use a tracker that does not need accessed bits"
        for number in range(int(count))
        if _optional(f"{kdamonds}/{number}/state").strip() == "on"
        and not (own and int(_optional(f"{kdamonds}/{number}/pid") or "-1") in own)
    )
    found.extend(
        f"DAMON runs for {module}; turn it off with: echo N > {roots.sys}/module/{module}/parameters/enabled"
        for module in _DAMON_MODULES
        if _optional(f"{roots.sys}/module/{module}/parameters/enabled").strip() == "Y"
    )
    return tuple(found)


def _optional(path: str) -> str:
    """Return the text of a file that only informs, empty when it does not exist or may not be read."""
    try:
        return read_optional(path) or ""
    except KernelError:
        return ""


def _own_memory(pages: int = 1) -> U8:
    """Return private anonymous memory of which every page was just written to."""
    memory = np.frombuffer(
        mmap.mmap(-1, pages * PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype=np.uint8
    )
    memory[::PAGE_BYTES] = 1
    return memory


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
