"""Ordinary files that stand in for pagemap, kpageflags and the idle bitmap, and the columns the scans need."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from memtierd.model import U32, U64
from memtierd.native import NodeMap

PAGE_BYTES = os.sysconf("SC_PAGESIZE")
PRESENT = 1 << 63
FILE = 1 << 61
EXCLUSIVE = 1 << 56
MOVABLE = PRESENT | EXCLUSIVE
SWAPPED = 1 << 62
SOFT_DIRTY = 1 << 55
PFN_MASK = SOFT_DIRTY - 1


def is_anonymous(entry: int) -> bool:
    """Return whether a pagemap entry is of private memory that is present."""
    return entry & (PRESENT | FILE) == PRESENT


def is_movable(entry: int) -> bool:
    """Return whether a pagemap entry is of a page that this process alone maps."""
    return is_anonymous(entry) and bool(entry & EXCLUSIVE)


LRU = 1 << 5
HEAD = 1 << 15
TAIL = 1 << 16

Regions = Sequence[tuple[int, int]]
"""First page (virtual page number) and pages of each region."""


@contextmanager
def word_file(words: Sequence[int] | U64) -> Iterator[int]:
    """Yield the descriptor, for reading and writing, of a file of 8-byte words."""
    with tempfile.TemporaryFile() as file:
        file.write(np.asarray(words, np.uint64).tobytes())
        file.flush()
        yield file.fileno()


def words_of(fd: int) -> list[int]:
    """Return all words of such a file."""
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    return [int(word) for word in np.frombuffer(data, np.uint64)]


def columns(regions: Regions) -> tuple[U64, U32]:
    """Return the columns start (bytes) and pages."""
    start = np.array([first * PAGE_BYTES for first, _ in regions], np.uint64)
    return start, np.array([pages for _, pages in regions], np.uint32)


def counts(regions: Sized) -> U32:
    """Return a column of results, filled with rubbish that a scan has to overwrite."""
    return np.full(len(regions), 0xABCDEF, np.uint32)


def stop_flag(value: int = 0) -> npt.NDArray[np.int32]:
    """Return a stop flag."""
    return np.array([value], np.int32)


def one_node() -> NodeMap:
    """Return a map where all memory of a machine below 64 TiB is on node 0."""
    return NodeMap(1 << 34 >> 12, np.zeros(1 << 12, np.int8))


def index_of(node_map: NodeMap, pfn: int) -> int:
    """Return the node index of a PFN, page by page: the slow twin."""
    block = pfn // node_map.block_pages
    if pfn == 0 or block >= len(node_map.index_of_block):
        return -1
    return int(node_map.index_of_block[block])


def errno_of(call: Callable[[], object]) -> int:
    """Return the errno of the OSError that a call raises; 0 when it raises none."""
    try:
        call()
    except OSError as error:
        return error.errno or 0
    return 0
