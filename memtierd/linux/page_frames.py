"""Single page frames: their flags in /proc/kpageflags and their idle bit in the bitmap of idle page tracking."""

import errno
import os

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.roots import ROOTS, Roots, translated

KPF_NAMES = (
    "LOCKED", "ERROR", "REFERENCED", "UPTODATE", "DIRTY", "LRU", "ACTIVE", "SLAB", "WRITEBACK", "RECLAIM", "BUDDY",
    "MMAP", "ANON", "SWAPCACHE", "SWAPBACKED", "COMPOUND_HEAD", "COMPOUND_TAIL", "HUGE", "UNEVICTABLE", "HWPOISON",
    "NOPAGE", "KSM", "THP", "OFFLINE", "ZERO_PAGE", "IDLE", "PGTABLE",
)  # fmt: skip
"""Names of the flags, the lowest bit first (include/uapi/linux/kernel-page-flags.h)."""

_WORD_BYTES = 8
_BITS = 64


def page_flags(pfn: int, roots: Roots = ROOTS) -> int:
    """Return the flags of a page frame.  Raises KernelError, also for a frame that does not exist."""
    return _read_word(f"{roots.proc}/kpageflags", pfn)


def is_idle(pfn: int, roots: Roots = ROOTS) -> bool:
    """Return whether a page frame is marked idle.  Raises UnsupportedError on a kernel without the bitmap."""
    return bool(_read_word(_bitmap(roots), pfn // _BITS) >> (pfn % _BITS) & 1)


def set_idle(pfn: int, roots: Roots = ROOTS) -> None:
    """Mark a page frame idle; the kernel ignores frames that aren't user memory (mm/page_idle.c).

    Raises UnsupportedError on a kernel without the bitmap.
    """
    path = _bitmap(roots)
    word = (1 << (pfn % _BITS)).to_bytes(_WORD_BYTES, "little")  # a write only sets bits, so the others stay
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, word, pfn // _BITS * _WORD_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise translated(f"write {path} at page frame {pfn}", error) from error


def _bitmap(roots: Roots) -> str:
    path = f"{roots.sys}/kernel/mm/page_idle/bitmap"
    if not os.path.exists(path):
        raise UnsupportedError(
            f"open {path}: this kernel has no idle page tracking; it needs CONFIG_IDLE_PAGE_TRACKING"
        )
    return path


def _read_word(path: str, index: int) -> int:
    tried = f"read {path} at word {index}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, _WORD_BYTES, index * _WORD_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise translated(tried, error) from error
    if len(data) < _WORD_BYTES:
        raise KernelError(tried, errno.ENXIO, "the machine has no such page frame")
    return int.from_bytes(data, "little")
