"""Find out by trying what this kernel can do; nothing but this process is touched."""

import errno
import mmap
import os

from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import succeeded
from memtierd.native.scan import read_pagemap

_SOFT_DIRTY = 1 << 55


def has_pagemap_scan() -> bool:
    """Return whether pagemap knows the ioctl PAGEMAP_SCAN (Linux 6.7).  OSError when pagemap can't be opened."""
    pagemap_fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        result = lib.memtierd_try_pagemap_scan(pagemap_fd)
    finally:
        os.close(pagemap_fd)
    return bool(result != -errno.ENOTTY and succeeded(result) == 0)


def soft_dirty_works() -> bool:
    """Return whether the kernel tracks writes in bit 55 of pagemap; where it doesn't, clear_refs succeeds just so.

    Clears the soft-dirty bits of this process.  OSError when the files in /proc/self can't be used.
    """
    pagemap_fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
            page[0] = 1
            fresh = _is_soft_dirty(pagemap_fd, page)
            _clear_own_soft_dirty()
            cleared = not _is_soft_dirty(pagemap_fd, page)
            page[0] = 2
            return fresh and cleared and _is_soft_dirty(pagemap_fd, page)
    finally:
        os.close(pagemap_fd)


def _is_soft_dirty(pagemap_fd: int, page: mmap.mmap) -> bool:
    with ffi.from_buffer(page) as buffer:
        address = int(ffi.cast("uintptr_t", buffer))
    return bool(int(read_pagemap(pagemap_fd, address, 1)[0]) & _SOFT_DIRTY)


def _clear_own_soft_dirty() -> None:
    clear_refs_fd = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(clear_refs_fd, b"4")
    finally:
        os.close(clear_refs_fd)
