"""The scans of pagemap against twins in Python that read entry by entry."""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd import native
from memtierd.model import U32, U64, AddressRange
from memtierd.native import NodeMap
from tests.native.child import Child
from tests.native.layouts import (
    FILE,
    MOVABLE,
    PAGE_BYTES,
    PFN_MASK,
    PRESENT,
    SOFT_DIRTY,
    SWAPPED,
    Regions,
    columns,
    counts,
    errno_of,
    index_of,
    is_anonymous,
    is_movable,
    one_node,
    stop_flag,
    word_file,
)

NODES = 3
needs_pagemap_scan = pytest.mark.skipif(not native.has_pagemap_scan(), reason="no PAGEMAP_SCAN in this kernel")
needs_soft_dirty = pytest.mark.skipif(not native.soft_dirty_works(), reason="no soft-dirty in this kernel")

# Regions of the child below: neighbours, close ones, far ones, one without pages, and one larger than a window.
CHILD_PAGES = 12000
CHILD_REGIONS = [(0, 100), (100, 1), (101, 399), (510, 20), (530, 0), (700, 1000), (2000, 10000)]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child(CHILD_PAGES) as process:
        process.do("write", 0, 300)
        process.do("read", 300, 50)
        process.do("write", 515, 7)
        process.do("protect", 517, 3)
        process.do("write", 700, 1000)
        process.do("free", 800, 100)
        process.do("unmap", 1000, 30)
        process.do("write", 2000, 9000)
        process.do("free", 10100, 1)
        yield process


def entry_of(pagemap_fd: int, page: int) -> int:
    return int(struct.unpack("=Q", os.pread(pagemap_fd, 8, page * 8))[0])


def regions_of(child: Child) -> Regions:
    return [(child.address // PAGE_BYTES + first, pages) for first, pages in CHILD_REGIONS]


def twin_counts(pagemap_fd: int, regions: Regions, matches: Callable[[int], bool]) -> list[int]:
    return [
        sum(matches(entry_of(pagemap_fd, page)) for page in range(first, first + pages)) for first, pages in regions
    ]


def is_swapped(entry: int) -> bool:
    return bool(entry & SWAPPED)


def is_written(entry: int) -> bool:
    return bool(entry & SOFT_DIRTY and entry & (PRESENT | SWAPPED))


def on_node(node_map: NodeMap, node: int) -> Callable[[int], bool]:
    return lambda entry: is_movable(entry) and index_of(node_map, entry & PFN_MASK) == node


def check_against_twin(pagemap_fd: int, regions: Regions, node_map: NodeMap, max_count: int) -> None:
    start, pages = columns(regions)
    written, swapped = counts(regions), counts(regions)
    nodes = np.full((NODES, len(regions)), 7, np.uint32)
    read = native.scan_soft_dirty(pagemap_fd, start, pages, max_count, node_map, written, swapped, nodes, stop_flag())
    limit = max_count or 1 << 32
    assert written.tolist() == [min(count, limit) for count in twin_counts(pagemap_fd, regions, is_written)]
    assert swapped.tolist() == twin_counts(pagemap_fd, regions, is_swapped)
    for node in range(NODES):
        assert nodes[node].tolist() == twin_counts(pagemap_fd, regions, on_node(node_map, node))
    assert read >= sum(pages)

    swapped_alone, nodes_alone = counts(regions), np.full_like(nodes, 9)
    native.scan_presence(pagemap_fd, start, pages, node_map, swapped_alone, nodes_alone, stop_flag())
    assert swapped_alone.tolist() == swapped.tolist()
    assert nodes_alone.tolist() == nodes.tolist()


def test_child_process(child: Child) -> None:
    check_against_twin(child.pagemap_fd, regions_of(child), one_node(), 0)


def test_page_counts_of_child_are_what_it_did(child: Child) -> None:
    start, pages = columns(regions_of(child))
    swapped, nodes = counts(CHILD_REGIONS), np.zeros((1, len(CHILD_REGIONS)), np.uint32)
    native.scan_presence(child.pagemap_fd, start, pages, one_node(), swapped, nodes, stop_flag())
    # Of the third region, 50 pages were only read: they are the zero page, which nobody can move.
    assert nodes[0].tolist() == [100, 1, 199, 7, 0, 1000 - 100 - 30, 9000 - 1]


@needs_pagemap_scan
@pytest.mark.parametrize("stride", [2, 3])
def test_populated_ranges_of_fragmented_memory(stride: int) -> None:
    """More ranges than one ioctl returns, so that it has to go on where the last one ended."""
    touched = range(0, 5000, stride)
    with Child(5000) as child:
        for page in touched:
            child.do("write", page)
        whole = AddressRange(child.address, child.address + 5000 * PAGE_BYTES)
        starts, ends = native.populated(child.pagemap_fd, whole, stop_flag())
    assert starts.tolist() == [child.address + page * PAGE_BYTES for page in touched]
    assert (ends - starts).tolist() == [PAGE_BYTES] * len(touched)


@needs_pagemap_scan
def test_populated_ranges_of_child(child: Child) -> None:
    first = child.address // PAGE_BYTES
    expected = [page for page in range(CHILD_PAGES) if entry_of(child.pagemap_fd, first + page) & (PRESENT | SWAPPED)]
    whole = AddressRange(child.address, child.address + CHILD_PAGES * PAGE_BYTES)
    starts, ends = native.populated(child.pagemap_fd, whole, stop_flag())
    found = [
        (address - child.address) // PAGE_BYTES
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        for address in range(start, end, PAGE_BYTES)
    ]
    assert found == expected
    assert all(starts[1:] > ends[:-1])
    empty = native.populated(child.pagemap_fd, AddressRange(child.address, child.address), stop_flag())
    assert [len(column) for column in empty] == [0, 0]


_IN_MEMORY = [PRESENT, MOVABLE, MOVABLE | FILE, MOVABLE | SOFT_DIRTY]


@st.composite
def pagemaps(draw: st.DrawFn) -> tuple[list[int], Regions, NodeMap]:
    entry = st.one_of(
        st.just(0),
        st.just(SOFT_DIRTY),
        st.builds(
            lambda bits, pfn: bits | pfn,
            st.sampled_from([PRESENT, MOVABLE, MOVABLE | FILE, MOVABLE | SOFT_DIRTY]),
            st.integers(0, 40),
        ),
        st.builds(lambda bits, slot: bits | slot, st.sampled_from([SWAPPED, SWAPPED | SOFT_DIRTY]), st.integers(0, 40)),
    )
    entries = draw(st.lists(entry, min_size=1, max_size=400))
    cuts = sorted(draw(st.lists(st.integers(0, len(entries)), min_size=2, max_size=20)))
    keep = draw(st.lists(st.booleans(), min_size=len(cuts) - 1, max_size=len(cuts) - 1))
    regions = [(low, high - low) for low, high, kept in zip(cuts, cuts[1:], keep, strict=False) if kept]
    blocks = draw(st.lists(st.integers(-1, NODES - 1), max_size=12))
    return entries, regions, NodeMap(4, np.array(blocks, np.int8))


@settings(deadline=None)
@given(layout=pagemaps(), max_count=st.integers(0, 3))
def test_any_layout(layout: tuple[list[int], Regions, NodeMap], max_count: int) -> None:
    entries, regions, node_map = layout
    with word_file(entries) as pagemap_fd:
        check_against_twin(pagemap_fd, regions, node_map, max_count)
        start, pages = columns(regions[::-1])
        swapped, present = native.presence(pagemap_fd, start, pages)
        assert swapped.tolist() == twin_counts(pagemap_fd, regions[::-1], is_swapped)
        assert present.tolist() == twin_counts(pagemap_fd, regions[::-1], is_anonymous)


def test_regions_larger_than_a_window() -> None:
    entries = np.random.default_rng(4).integers(0, 1 << 64, 40000, np.uint64)
    with word_file(entries) as pagemap_fd:
        check_against_twin(
            pagemap_fd, [(3, 20001), (20004, 8192), (28200, 11800)], NodeMap(1 << 54, np.zeros(1, np.int8)), 0
        )


def read_calls() -> int:
    return int(Path("/proc/self/io").read_text(encoding="ascii").split("syscr: ")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no task I/O accounting in this kernel")
def test_few_large_reads() -> None:
    regions = [(page, 1) for page in range(0, 20000, 2)]
    start, pages = columns(regions)
    swapped, nodes = counts(regions), np.zeros((1, len(regions)), np.uint32)
    with word_file(np.zeros(20000, np.uint64)) as pagemap_fd:
        before = read_calls()
        between = read_calls() - before
        native.scan_presence(pagemap_fd, start, pages, one_node(), swapped, nodes, stop_flag())
        calls = read_calls() - before - 2 * between
    assert calls <= 4


def test_far_regions_are_not_joined() -> None:
    regions = [(0, 10), (5000, 10)]
    start, pages = columns(regions)
    with word_file(np.zeros(6000, np.uint64)) as pagemap_fd:
        read = native.scan_presence(
            pagemap_fd, start, pages, one_node(), counts(regions), np.zeros((1, 2), np.uint32), stop_flag()
        )
    assert read == 20


def test_read_pagemap(child: Child) -> None:
    first = child.address // PAGE_BYTES
    entries = native.read_pagemap(child.pagemap_fd, child.address, 600)
    assert entries.tolist() == [entry_of(child.pagemap_fd, first + page) for page in range(600)]


Scan = Callable[[int, U64, U32, int], object]


def presence(fd: int, start: U64, pages: U32, stop: int) -> int:
    nodes = np.zeros((1, len(start)), np.uint32)
    return native.scan_presence(fd, start, pages, one_node(), counts(start), nodes, stop_flag(stop))


def soft_dirty(fd: int, start: U64, pages: U32, stop: int) -> int:
    nodes = np.zeros((1, len(start)), np.uint32)
    return native.scan_soft_dirty(fd, start, pages, 0, one_node(), counts(start), counts(start), nodes, stop_flag(stop))


def populated(fd: int, start: U64, pages: U32, stop: int) -> object:
    end = int(start[-1]) + int(pages[-1]) * PAGE_BYTES
    return native.populated(fd, AddressRange(int(start[0]), end), stop_flag(stop))


def collect(fd: int, start: U64, pages: U32, stop: int) -> object:
    return native.collect_pages(fd, fd, start, pages, 0, 0, one_node(), 0, 10, stop_flag(stop))


def single_page(fd: int, start: U64, _pages: U32, _stop: int) -> object:
    return native.read_pagemap(fd, int(start[0]), 1)


def unstoppable(fd: int, start: U64, pages: U32, _stop: int) -> object:
    return native.presence(fd, start, pages)


READING: list[Scan] = [presence, soft_dirty, collect]
STOPPABLE = [*READING, populated] if native.has_pagemap_scan() else READING


@pytest.mark.parametrize("scan", STOPPABLE)
def test_stop_flag_cancels(scan: Scan, child: Child) -> None:
    start, pages = columns(regions_of(child))
    assert errno_of(lambda: scan(child.pagemap_fd, start, pages, 1)) == errno.ECANCELED


@pytest.mark.parametrize("scan", [*STOPPABLE, unstoppable, single_page])
def test_dead_process_is_esrch(scan: Scan) -> None:
    with Child(100) as child:
        child.do("write", 0, 100)
        start, pages = columns([(child.address // PAGE_BYTES, 100)])
        child.end()
        with pytest.raises(ProcessLookupError):
            scan(child.pagemap_fd, start, pages, 0)


@pytest.mark.parametrize("scan", [*READING, unstoppable])
def test_unreadable_file_is_its_errno(scan: Scan) -> None:
    start, pages = columns([(0, 1)])
    assert errno_of(lambda: scan(-1, start, pages, 0)) == errno.EBADF


def test_file_without_the_ioctl_is_enotty() -> None:
    start, pages = columns([(0, 1)])
    with word_file([0]) as pagemap_fd:
        assert errno_of(lambda: populated(pagemap_fd, start, pages, 0)) == errno.ENOTTY


def test_a_file_opened_without_an_address_space_never_meets_the_ioctl() -> None:
    """On kernels before 6.16 that ioctl would be a NULL pointer in the kernel."""
    start, pages = columns([(0, 1)])
    with word_file([]) as pagemap_fd:
        assert errno_of(lambda: populated(pagemap_fd, start, pages, 0)) == errno.ESRCH


def test_hidden_frames_are_on_the_only_node() -> None:
    regions = [(0, 3), (3, 2)]
    start, pages = columns(regions)
    nodes = np.zeros((2, 2), np.uint32)
    known = MOVABLE | 1
    with word_file([MOVABLE, MOVABLE, known, PRESENT, MOVABLE]) as pagemap_fd:
        for hidden, expected in ((1, [[1, 0], [2, 1]]), (-1, [[1, 0], [0, 0]])):
            node_map = NodeMap(4, np.zeros(1, np.int8), hidden)
            native.scan_presence(pagemap_fd, start, pages, node_map, counts(regions), nodes, stop_flag())
            assert nodes.tolist() == expected


START, PAGES = columns([(1, 4), (8, 4)])


@pytest.mark.parametrize(
    ("start", "pages"),
    [
        (START.astype(np.int64), PAGES),
        (START, PAGES.astype(np.uint64)),
        (START, PAGES[:1]),
        (START[::-1], PAGES),
        (START.reshape(1, 2), PAGES),
        (START + np.uint64(8), PAGES),
        (np.array([PAGE_BYTES, PAGE_BYTES * 4], np.uint64), PAGES),
        (np.array([PAGE_BYTES * 8, PAGE_BYTES], np.uint64), PAGES),
    ],
    ids=["dtype", "pages dtype", "lengths", "layout", "shape", "alignment", "overlap", "order"],
)
def test_wrong_regions_are_refused(start: U64, pages: U32) -> None:
    with word_file([0] * 20) as pagemap_fd, pytest.raises(ValueError, match=r"start|pages|regions"):
        presence(pagemap_fd, start, pages, 0)


@pytest.mark.parametrize(
    ("written", "nodes", "max_count"),
    [
        (counts(START)[:1], np.zeros((1, 2), np.uint32), 0),
        (counts(START), np.zeros((1, 3), np.uint32), 0),
        (counts(START), np.zeros((2, 2), np.uint32).T, 0),
        (np.broadcast_to(np.uint32(0), (2,)), np.zeros((1, 2), np.uint32), 0),
        (counts(START), np.zeros((1, 2), np.uint32), -1),
        (counts(START), np.zeros((1, 2), np.uint32), 1 << 32),
    ],
    ids=["short column", "wide nodes", "column order", "read only", "negative", "too large"],
)
def test_wrong_results_are_refused(written: U32, nodes: U32, max_count: int) -> None:
    with word_file([0] * 20) as pagemap_fd, pytest.raises(ValueError, match=r"written|node_pages|max_count"):
        native.scan_soft_dirty(
            pagemap_fd, START, PAGES, max_count, one_node(), written, counts(START), nodes, stop_flag()
        )


def test_node_map_wants_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        NodeMap(3, np.zeros(1, np.int8))


@needs_soft_dirty
def test_writes_of_a_real_process() -> None:
    with Child(1000) as child:
        child.do("write", 0, 1000)
        Path(f"/proc/{child.pid}/clear_refs").write_text("4", encoding="ascii")
        child.do("write", 10, 3)
        child.do("write", 500, 1)
        regions = [(child.address // PAGE_BYTES + first, 100) for first in range(0, 1000, 100)]
        expected = [3, 0, 0, 0, 0, 1, 0, 0, 0, 0]
        check_against_twin(child.pagemap_fd, regions, one_node(), 0)
        start, pages = columns(regions)
        written = counts(regions)
        nodes = np.zeros((1, 10), np.uint32)
        native.scan_soft_dirty(
            child.pagemap_fd, start, pages, 0, one_node(), written, counts(regions), nodes, stop_flag()
        )
        assert written.tolist() == expected
