"""What works on this kernel for this user, found by trying it on memtierd's own process and never by version."""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import numpy as np

from memtierd import native
from memtierd.errors import KernelError, MemtierdError, UnsupportedError
from memtierd.linux.numa import machine_facts
from memtierd.linux.proc_smaps import CLEAR_REFERENCED, clear_refs, smaps
from memtierd.linux.roots import ROOTS, Roots, list_names, read_optional, translated
from memtierd.linux.swaps import swaps
from memtierd.units import KIB, PAGE_BYTES, format_bytes

_ENTRY_BYTES = 8
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
    numa_nodes: int
    """Nodes that have memory."""
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

    @property
    def idle_bitmap(self) -> bool:
        """Return whether the idle page bitmap can be read and written."""
        return self.get("idlepage").works

    @property
    def soft_dirty(self) -> bool:
        """Return whether written pages show in pagemap."""
        return self.get("softdirty").works

    @property
    def referenced(self) -> bool:
        """Return whether smaps shows referenced memory and it can be cleared."""
        return self.get("referenced").works

    @property
    def pagemap_pfn(self) -> bool:
        """Return whether pagemap shows page frame numbers."""
        return self.get("pagemap_pfn").works

    @property
    def pagemap_scan(self) -> bool:
        """Return whether the PAGEMAP_SCAN ioctl works."""
        return self.get("pagemap_scan").works

    @property
    def kpageflags(self) -> bool:
        """Return whether the flags of page frames can be read."""
        return self.get("kpageflags").works

    @property
    def swap(self) -> bool:
        """Return whether there is free swap space."""
        return self.get("swap").works

    @property
    def move_pages(self) -> bool:
        """Return whether pages can be moved between nodes."""
        return self.get("move_pages").works

    @property
    def process_madvise(self) -> bool:
        """Return whether another process's memory can be advised to be paged out."""
        return self.get("process_madvise").works


def probe(roots: Roots = ROOTS) -> Features:
    """Try every feature and return what was found; never raises, takes a few milliseconds.

    Only memory of this process is touched, and nothing of DAMON is written.
    """
    features = tuple(_tried(name, attempt, roots) for name, attempt in _ATTEMPTS.items())
    return Features(features, _node_count(roots), _thp_mode(roots), _disturbances(roots))


def _tried(name: str, attempt: Callable[[Roots], str], roots: Roots) -> Feature:
    """Make a Feature of an attempt, which returns what works or raises what is missing."""
    try:
        return Feature(name, True, attempt(roots))
    except MemtierdError as error:
        return Feature(name, False, str(error))
    except OSError as error:
        return Feature(name, False, str(translated(f"try {name}", error)))


def _idle_bitmap(roots: Roots) -> str:
    path = f"{roots.sys}/kernel/mm/page_idle/bitmap"
    try:
        with _opened(path, os.O_RDWR) as bitmap:
            os.pread(bitmap, _ENTRY_BYTES, 0)
            # Zeros change nothing: a write sets the pages of its 1 bits idle (Documentation/admin-guide/mm/idle_page_tracking.rst).
            os.pwrite(bitmap, bytes(_ENTRY_BYTES), 0)
    except FileNotFoundError as error:
        raise UnsupportedError(
            f"{path} does not exist; the kernel needs CONFIG_IDLE_PAGE_TRACKING, or use another tracker"
        ) from error
    return f"{path} can be read and written"


def _soft_dirty(_roots: Roots) -> str:
    if not native.soft_dirty_works():
        raise UnsupportedError(
            "a written page has no soft-dirty bit in pagemap;"
            " the kernel needs CONFIG_MEM_SOFT_DIRTY, or use another tracker"
        )
    return "written pages are marked in pagemap"


def _referenced(roots: Roots) -> str:
    with _own_page() as address:
        clear_refs(os.getpid(), CLEAR_REFERENCED, roots)
        cleared = _referenced_kb(address, roots)
        _touch(address)
        touched = _referenced_kb(address, roots)
    if touched <= cleared:
        raise UnsupportedError(
            f"smaps shows {touched} kB referenced of a page that was just used; use another tracker"
        )
    return "used memory is marked in smaps and can be cleared"
