"""Find pages by the bits of their pagemap entries (Documentation/admin-guide/mm/pagemap.rst)."""

import numpy as np

from memtierd.model import U32, U64
from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import Stop, pointer, regions_pointers, stop_pointer, succeeded

PAGEMAP_SOFT_DIRTY = 1 << 55
PAGEMAP_EXCLUSIVE = 1 << 56
"""Mapped by this process alone."""
PAGEMAP_PRESENT = 1 << 63

_CAPACITY = 16384


def find_pages(pagemap_fd: int, start: U64, pages: U32, mask: int, bits: int, stop: Stop) -> tuple[U64, U32]:
    """Return start (bytes) and pages of the runs of pages whose entries have exactly the bits `bits` of `mask`.

    Runs ascend; one that reaches from a region into the next is two.  `start` and `pages` describe regions that
    ascend without overlap.  Raises OSError: ESRCH when the address space is gone, ECANCELED when `stop` was set;
    ValueError when an array is not as described, or `bits` has bits that `mask` has not.
    """
    if bits & ~mask:
        raise ValueError(f"bits {bits:#x} are not within mask {mask:#x}")
    starts, lengths = regions_pointers(start, pages)
    run_start, run_pages = np.empty(_CAPACITY, np.uint64), np.empty(_CAPACITY, np.uint32)
    position = ffi.new("struct position *", {"range": 0, "page": 0})
    found = [(run_start[:0], run_pages[:0])]
    while position.range < len(start):
        count = succeeded(
            lib.memtierd_find_pages(
                pagemap_fd,
                starts,
                lengths,
                len(start),
                mask,
                bits,
                position,
                pointer("run_start", run_start, np.uint64, (_CAPACITY,), writable=True),
                pointer("run_pages", run_pages, np.uint32, (_CAPACITY,), writable=True),
                _CAPACITY,
                stop_pointer(stop),
            )
        )
        found.append((run_start[:count].copy(), run_pages[:count].copy()))
    return np.concatenate([run[0] for run in found]), np.concatenate([run[1] for run in found])
