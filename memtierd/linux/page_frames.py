"""Single page frames: their flags in /proc/kpageflags and their idle bit in the bitmap of idle page tracking."""

import errno
import os

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.roots import ROOTS, Roots, open_fd, translated

KPF_NAMES = (
    "LOCKED", "ERROR", "REFERENCED", "UPTODATE", "DIRTY", "LRU", "ACTIVE", "SLAB", "WRITEBACK", "RECLAIM", "BUDDY",
    "MMAP", "ANON", "SWAPCACHE", "SWAPBACKED", "COMPOUND_HEAD", "COMPOUND_TAIL", "HUGE", "UNEVICTABLE", "HWPOISON",
    "NOPAGE", "KSM", "THP", "OFFLINE", "ZERO_PAGE", "IDLE", "PGTABLE",
)  # fmt: skip
"""Names of the flags, the lowest bit first (include/uapi/linux/kernel-page-flags.h)."""

_WORD_BYTES = 8
_BITS = 64


def open_kpageflags(roots: Roots = ROOTS) -> int:
    """Return a new descriptor of /proc/kpageflags, 8 bytes a page frame; the caller closes it.  Raises KernelError."""
    return open_fd(_kpageflags(roots))


def open_idle_bitmap(roots: Roots = ROOTS) -> int:
    """Return a new descriptor, for reading and writing, of the bitmap of idle page tracking; the caller closes it.

    Documentation/admin-guide/mm/idle_page_tracking.rst.  Raises UnsupportedError on a kernel without it, KernelError.
    """
    path = _bitmap(roots)
    try:
        return open_fd(path, os.O_RDWR)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        raise UnsupportedError(
            f"open {path}: this kernel has no idle page tracking; it needs CONFIG_IDLE_PAGE_TRACKING"
        ) from error


def page_flags(pfn: int, roots: Roots = ROOTS) -> int:
    """Return the flags of a page frame.  Raises KernelError, also for a frame that does not exist."""
    return _read_word(open_kpageflags(roots), _kpageflags(roots), pfn)


def is_idle(pfn: int, roots: Roots = ROOTS) -> bool:
    """Return whether a page frame is marked idle.  Raises UnsupportedError on a kernel without the bitmap."""
    return bool(_read_word(open_idle_bitmap(roots), _bitmap(roots), pfn // _BITS) >> (pfn % _BITS) & 1)


def set_idle(pfn: int, roots: Roots = ROOTS) -> None:
    """Mark a page frame idle; the kernel ignores frames that aren't user memory (mm/page_idle.c).

    Raises UnsupportedError on a kernel without the bitmap.
    """
    word = (1 << (pfn % _BITS)).to_bytes(_WORD_BYTES, "little")  # a write only sets bits, so the others stay
    descriptor = open_idle_bitmap(roots)
    try:
        os.pwrite(descriptor, word, pfn // _BITS * _WORD_BYTES)
    except OSError as error:
        raise translated(f"write {_bitmap(roots)} at page frame {pfn}", error) from error
    finally:
        os.close(descriptor)


def _kpageflags(roots: Roots) -> str:
    return f"{roots.proc}/kpageflags"


def _bitmap(roots: Roots) -> str:
    return f"{roots.sys}/kernel/mm/page_idle/bitmap"


def _read_word(descriptor: int, path: str, index: int) -> int:
    """Return a word of an open file and close it."""
    tried = f"read {path} at word {index}"
    try:
        data = os.pread(descriptor, _WORD_BYTES, index * _WORD_BYTES)
    except OSError as error:
        raise translated(tried, error) from error
    finally:
        os.close(descriptor)
    if len(data) < _WORD_BYTES:
        raise KernelError(tried, errno.ENXIO, "the machine has no such page frame")
    return int.from_bytes(data, "little")
