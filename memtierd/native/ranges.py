"""Count and find pages with the PAGEMAP_SCAN ioctl (Linux 6.7): several times faster than pagemap, but without PFNs.

Documentation/admin-guide/mm/pagemap.rst.  All functions raise OSError: ENOTTY when the kernel lacks PAGEMAP_SCAN,
ESRCH when the address space is gone, ECANCELED when `stop` was set; ValueError when an array is not as described.
"""

import errno

import numpy as np

from memtierd.model import U32, U64, AddressRange
from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import (
    Stop,
    checked_count,
    cleared,
    ranges_pointers,
    regions_pointers,
    stop_pointer,
    succeeded,
)
from memtierd.native.scan import read_pagemap, scan_swapped
from memtierd.units import PAGE_BYTES

_CAPACITY = 4096


def scan_soft_dirty_fast(
    pagemap_fd: int, start: U64, pages: U32, max_count: int, written: U32, swapped: U32, present: U32, stop: Stop
) -> int:
    """Count pages written since the last clear_refs (at most `max_count` a region, 0: all), swapped and present.

    Regions ascend without overlap; the columns are overwritten.  Returns the pages looked at.
    """
    shape = (len(start),)
    starts, lengths = regions_pointers(start, pages)
    result = lib.memtierd_count_ranges(
        pagemap_fd,
        starts,
        lengths,
        len(start),
        checked_count(max_count),
        cleared("written", written, np.uint32, shape),
        cleared("swapped", swapped, np.uint32, shape),
        cleared("present", present, np.uint32, shape),
        stop_pointer(stop),
    )
    return succeeded(result)


def scan_presence_fast(pagemap_fd: int, start: U64, pages: U32, swapped: U32, present: U32, stop: Stop) -> int:
    """Count swapped and present pages; regions ascend without overlap.  Returns the pages looked at."""
    shape = (len(start),)
    starts, lengths = regions_pointers(start, pages)
    result = lib.memtierd_count_ranges(
        pagemap_fd,
        starts,
        lengths,
        len(start),
        0,
        ffi.NULL,
        cleared("swapped", swapped, np.uint32, shape),
        cleared("present", present, np.uint32, shape),
        stop_pointer(stop),
    )
    return succeeded(result)


def count_swapped(pagemap_fd: int, start: U64, pages: U32, stop: Stop) -> int:
    """Return how many pages of the ranges (in any order) are swapped out; works without PAGEMAP_SCAN, too.

    The kernel also says "swapped" of the few pages that are being migrated at that moment.
    """
    starts, lengths = ranges_pointers(start, pages)
    swapped = np.zeros(len(start), np.uint32)
    column = cleared("swapped", swapped, np.uint32, swapped.shape)
    result = lib.memtierd_count_ranges(
        pagemap_fd, starts, lengths, len(start), 0, ffi.NULL, column, ffi.NULL, stop_pointer(stop)
    )
    if result == -errno.ENOTTY:
        scan_swapped(pagemap_fd, start, pages, swapped, stop)
        result = 0
    succeeded(result)
    return int(swapped.sum(dtype=np.uint64))


def populated(pagemap_fd: int, address_range: AddressRange, stop: Stop) -> tuple[U64, U64]:
    """Return starts and ends (bytes, ascending, not touching) of what is present or swapped out in a range."""
    if address_range.start % PAGE_BYTES or address_range.end % PAGE_BYTES:
        raise ValueError(f"{address_range} is not made of whole pages")
    position = ffi.new("uint64_t *", address_range.start)
    starts, ends = np.empty(_CAPACITY, np.uint64), np.empty(_CAPACITY, np.uint64)
    found = [(starts[:0], ends[:0])]
    while position[0] < address_range.end:
        count = succeeded(
            lib.memtierd_populated(
                pagemap_fd,
                position,
                address_range.end,
                ffi.from_buffer("uint64_t[]", starts, require_writable=True),
                ffi.from_buffer("uint64_t[]", ends, require_writable=True),
                _CAPACITY,
                stop_pointer(stop),
            )
        )
        found.append((starts[:count].copy(), ends[:count].copy()))
    read_pagemap(pagemap_fd, address_range.start, 1)  # ESRCH: of a dead process PAGEMAP_SCAN finds nothing, silently
    return _merged(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _merged(start: U64, end: U64) -> tuple[U64, U64]:
    """Return the ranges with those that touch joined."""
    apart = start[1:] != end[:-1]
    first = np.concatenate([[True], apart])[: len(start)]
    last = np.concatenate([apart, [True]])[: len(start)]
    return start[first], end[last]
