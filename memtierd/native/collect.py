"""Gather what a move_pages call needs, and count what needs no moving."""

import attrs
import numpy as np

from memtierd.model import U32, U64
from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import Stop, pointer, ranges_pointers, stop_pointer, succeeded
from memtierd.native.nodemap import NodeMap, node_map_struct

CALL_PAGES = 65536
"""Pagemap entries that one call looks at, at most."""


@attrs.frozen(eq=False)
class Collected:
    """What one step over a list of ranges found; the counts cover only the pages passed in this step."""

    addresses: U64
    """One a page to move; a compound page has one for all its pages."""
    owner: U32
    """Index of the range of each address."""
    weight: U32
    """Pages inside the range that each address stands for."""
    already_there: U64
    """One entry a range: pages on the target node; for swap, pages swapped out."""
    not_present: U64
    """One entry a range: pages not in memory, or of a file; for swap, those that are not swapped out."""
    present: U64
    """One entry a range: private pages in memory, those already there and those gathered included."""
    range_index: int
    """Where to go on; the number of ranges at the end."""
    page_index: int


def collect_pages(
    pagemap_fd: int,
    kpageflags_fd: int,
    start: U64,
    pages: U32,
    range_index: int,
    page_index: int,
    node_map: NodeMap,
    target_index: int,
    max_pages: int,
    stop: Stop,
) -> Collected:
    """Walk ranges (in any order) from a position; gather at most `max_pages` pages that aren't on the target yet.

    `target_index` is an index of node_map; with -1 (swap) nothing is gathered, only counted.  Ends after CALL_PAGES
    entries at the latest.  Shared pages, the zero page and pages of unknown nodes are gathered: the kernel's answer
    tells.  A first compound page larger than `max_pages` is taken whole; one that straddles two ranges has an address
    in each, and the kernel answers EBUSY for the second.  Raises OSError (ESRCH: the address space is gone; ECANCELED)
    and ValueError.
    """
    if max_pages < 1 or range_index < 0 or not 0 <= page_index < 1 << 32:
        raise ValueError(f"no position or amount: range {range_index}, page {page_index}, {max_pages} pages")
    capacity = min(max_pages, CALL_PAGES)
    counts = np.zeros((3, len(start)), np.uint64)
    addresses, owner, weight = (
        np.empty(capacity, np.uint64),
        np.empty(capacity, np.uint32),
        np.empty(capacity, np.uint32),
    )
    starts, lengths = ranges_pointers(start, pages)
    struct, _blocks = node_map_struct(node_map, 128)
    position = ffi.new("struct position *", {"range": range_index, "page": page_index})
    count = succeeded(
        lib.memtierd_collect_pages(
            pagemap_fd,
            kpageflags_fd,
            starts,
            lengths,
            len(start),
            struct,
            target_index,
            max_pages,
            position,
            pointer("addresses", addresses, np.uint64, (capacity,), writable=True),
            pointer("owner", owner, np.uint32, (capacity,), writable=True),
            pointer("weight", weight, np.uint32, (capacity,), writable=True),
            *(pointer("counts", row, np.uint64, (len(start),), writable=True) for row in counts),
            stop_pointer(stop),
        )
    )
    return Collected(
        addresses[:count],
        owner[:count],
        weight[:count],
        already_there=counts[0],
        not_present=counts[1],
        present=counts[2],
        range_index=int(position.range),
        page_index=int(position.page),
    )


def presence(pagemap_fd: int, start: U64, pages: U32) -> tuple[U32, U32]:
    """Return the swapped pages and the private pages in memory of ranges in any order.

    The kernel also says "swapped" of the few pages that are being migrated at that moment.  Not to be stopped: ask for
    little at a time.  Raises OSError (ESRCH: the address space is gone) and ValueError.
    """
    never = np.zeros(1, np.int32)
    no_nodes = NodeMap(1, np.empty(0, np.int8))
    swapped, present = np.zeros(len(start), np.uint64), np.zeros(len(start), np.uint64)
    range_index = page_index = 0
    while range_index < len(start):
        seen = collect_pages(pagemap_fd, -1, start, pages, range_index, page_index, no_nodes, -1, 1, never)
        swapped += seen.already_there
        present += seen.present
        range_index, page_index = seen.range_index, seen.page_index
    return swapped.astype(np.uint32), present.astype(np.uint32)
