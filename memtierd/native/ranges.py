"""Find populated memory and huge pages with PAGEMAP_SCAN (Linux 6.7; Documentation/admin-guide/mm/pagemap.rst)."""

import numpy as np

from memtierd.model import U64, AddressRange
from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import Stop, stop_pointer, succeeded
from memtierd.units import PAGE_BYTES

_CAPACITY = 4096


def populated(pagemap_fd: int, address_range: AddressRange, stop: Stop) -> tuple[U64, U64]:
    """Return starts and ends (bytes, ascending, not touching) of what is present or swapped out in a range.

    Raises OSError: ENOTTY when the kernel lacks PAGEMAP_SCAN, ESRCH when the address space is gone, ECANCELED when
    `stop` was set.  ValueError unless the range is made of whole pages.
    """
    return _found(pagemap_fd, address_range, huge=False, stop=stop)


def huge_mapped(pagemap_fd: int, address_range: AddressRange, stop: Stop) -> tuple[U64, U64]:
    """Return starts and ends (bytes, ascending, not touching) of what is mapped as huge pages in a range.

    Of a huge page that lies in the range only in part, the part.  Raises like `populated`.
    """
    return _found(pagemap_fd, address_range, huge=True, stop=stop)


def _found(pagemap_fd: int, address_range: AddressRange, *, huge: bool, stop: Stop) -> tuple[U64, U64]:
    if address_range.start % PAGE_BYTES or address_range.end % PAGE_BYTES:
        raise ValueError(f"{address_range} is not made of whole pages")
    position = ffi.new("uint64_t *", address_range.start)
    starts, ends = np.empty(_CAPACITY, np.uint64), np.empty(_CAPACITY, np.uint64)
    found = [(starts[:0], ends[:0])]
    while position[0] < address_range.end:
        count = succeeded(
            lib.memtierd_scan_ranges(
                pagemap_fd,
                position,
                address_range.end,
                huge,
                ffi.from_buffer("uint64_t[]", starts, require_writable=True),
                ffi.from_buffer("uint64_t[]", ends, require_writable=True),
                _CAPACITY,
                stop_pointer(stop),
            )
        )
        found.append((starts[:count].copy(), ends[:count].copy()))
    return _merged(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _merged(start: U64, end: U64) -> tuple[U64, U64]:
    """Return the ranges with those that touch joined."""
    apart = start[1:] != end[:-1]
    first = np.concatenate([[True], apart])[: len(start)]
    last = np.concatenate([apart, [True]])[: len(start)]
    return start[first], end[last]
