"""Scan regions through /proc/PID/pagemap: what was accessed or written, what is swapped out, which node has what.

All functions: `start` (bytes) and `pages` describe regions that ascend without overlap; the columns of results have
one entry a region, are overwritten, and hold rubbish after an error.  `node_pages` has shape (nodes, regions) and
counts movable pages: private ones that this process alone maps; pages of unknown nodes are on none.  They return the
number of pagemap entries read and raise OSError: ESRCH when the address space is gone (the process exited or ran
another program: open pagemap again), ECANCELED when `stop` was set.  ValueError when an array is not as described.
"""

import errno
import os

import numpy as np

from memtierd.model import U32, U64
from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import (
    Stop,
    checked_count,
    cleared,
    regions_pointers,
    stop_pointer,
    succeeded,
)
from memtierd.native.nodemap import NodeMap, node_map_struct
from memtierd.units import PAGE_BYTES


def scan_soft_dirty(
    pagemap_fd: int,
    start: U64,
    pages: U32,
    max_count: int,
    node_map: NodeMap,
    written: U32,
    swapped: U32,
    node_pages: U32,
    stop: Stop,
) -> int:
    """Count pages written since the last clear_refs (at most `max_count` a region, 0: all), swapped, on each node.

    Documentation/admin-guide/mm/soft-dirty.rst: a new or grown mapping counts as written in all its touched pages.
    """
    regions = regions_pointers(start, pages)
    column = cleared("written", written, np.uint32, (len(start),))
    return _scan_pagemap(
        pagemap_fd, regions, len(start), checked_count(max_count), node_map, column, swapped, node_pages, stop
    )


def scan_presence(
    pagemap_fd: int, start: U64, pages: U32, node_map: NodeMap, swapped: U32, node_pages: U32, stop: Stop
) -> int:
    """Count pages that are swapped out and pages on each node."""
    regions = regions_pointers(start, pages)
    return _scan_pagemap(pagemap_fd, regions, len(start), 0, node_map, ffi.NULL, swapped, node_pages, stop)


def _scan_pagemap(
    pagemap_fd: int,
    pointers: tuple[object, object],
    regions: int,
    max_count: int,
    node_map: NodeMap,
    written: object,
    swapped: U32,
    node_pages: U32,
    stop: Stop,
) -> int:
    struct, _blocks = node_map_struct(node_map, len(node_pages))
    result = lib.memtierd_scan_pagemap(
        pagemap_fd,
        *pointers,
        regions,
        max_count,
        struct,
        written,
        cleared("swapped", swapped, np.uint32, (regions,)),
        cleared("node_pages", node_pages, np.uint32, (len(node_pages), regions)),
        stop_pointer(stop),
    )
    return succeeded(result)


def scan_idle(
    pagemap_fd: int,
    kpageflags_fd: int,
    bitmap_fd: int,
    start: U64,
    pages: U32,
    max_count: int,
    node_map: NodeMap,
    accessed: U32,
    swapped: U32,
    node_pages: U32,
    stop: Stop,
) -> int:
    """Count pages accessed (at most `max_count` a region, 0: all) and set them idle; also swapped, on each node.

    Documentation/admin-guide/mm/idle_page_tracking.rst.  `bitmap_fd` is open for reading and writing.  A compound page
    is judged by its head and counts for all its pages in the region.  Pages on no LRU list never are idle and never
    count as accessed (hugetlbfs, the zero page, pages still in a per-CPU batch).  Idleness belongs to a page, not to a
    process: an access to a page that several processes map counts for the one that is scanned first.
    """
    regions = len(start)
    starts, lengths = regions_pointers(start, pages)
    struct, _blocks = node_map_struct(node_map, len(node_pages))
    result = lib.memtierd_scan_idle(
        pagemap_fd,
        kpageflags_fd,
        bitmap_fd,
        starts,
        lengths,
        regions,
        checked_count(max_count),
        struct,
        cleared("accessed", accessed, np.uint32, (regions,)),
        cleared("swapped", swapped, np.uint32, (regions,)),
        cleared("node_pages", node_pages, np.uint32, (len(node_pages), regions)),
        stop_pointer(stop),
    )
    return succeeded(result)


def read_pagemap(pagemap_fd: int, start: int, pages: int) -> U64:
    """Return the pagemap entries of `pages` pages from address `start` on; OSError ESRCH when not all are there."""
    if start % PAGE_BYTES:
        raise ValueError(f"start {start:#x} is no multiple of {PAGE_BYTES}")
    entries = np.empty(pages, np.uint64)
    buffer = ffi.from_buffer("uint64_t[]", entries, require_writable=True)
    got = succeeded(lib.memtierd_read_pagemap(pagemap_fd, start // PAGE_BYTES, buffer, pages))
    if got < pages:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return entries
