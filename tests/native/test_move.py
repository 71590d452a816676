"""Moving pages and swapping them out on real processes; gathering and adding up against slow twins."""

import errno
import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd import native
from memtierd.model import Outcome
from memtierd.native import NOT_ATTEMPTED, Collected, NodeMap
from tests.native.child import Child
from tests.native.layouts import (
    FILE,
    HEAD,
    PAGE_BYTES,
    PFN_MASK,
    PRESENT,
    SWAPPED,
    TAIL,
    Regions,
    columns,
    errno_of,
    index_of,
    is_anonymous,
    one_node,
    stop_flag,
    word_file,
)

ABSENT_NODE = 9
ABSENT_INDEX = 1
"""No page is on it in the map of one node, so that everything has to move there."""


def addresses_of(child: Child, pages: list[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([child.address + page * PAGE_BYTES for page in pages], np.uint64)


def status_array(length: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.full(length, 77, np.int32)


def test_move_to_the_only_node_tells_each_page() -> None:
    with Child(100) as child:
        child.do("write", 0, 10)
        child.do("unmap", 50, 1)
        status = status_array(4)
        assert native.move_pages(child.pid, addresses_of(child, [0, 9, 10, 50]), 0, status) == 0
    assert status.tolist() == [0, 0, -errno.ENOENT, -errno.EFAULT]


def test_query_tells_each_page() -> None:
    with Child(100) as child:
        child.do("write", 3, 1)
        status = status_array(2)
        assert native.query_nodes(child.pid, addresses_of(child, [3, 4]), status) == 0
    assert status.tolist() == [0, -errno.ENOENT]


def test_move_to_an_absent_node_is_enodev_and_answers_nothing() -> None:
    with Child(10) as child:
        child.do("write", 0, 2)
        status = status_array(2)
        code = errno_of(lambda: native.move_pages(child.pid, addresses_of(child, [0, 1]), ABSENT_NODE, status))
    assert code == errno.ENODEV
    assert status.tolist() == [NOT_ATTEMPTED] * 2


def test_move_of_a_dead_process_is_esrch() -> None:
    with Child(10) as child:
        child.end()
        status = status_array(1)
        assert errno_of(lambda: native.move_pages(child.pid, addresses_of(child, [0]), 0, status)) == errno.ESRCH
        assert errno_of(lambda: native.query_nodes(child.pid, addresses_of(child, [0]), status)) == errno.ESRCH


def test_move_refuses_a_status_of_another_length() -> None:
    with pytest.raises(ValueError, match="status"):
        native.move_pages(os.getpid(), np.zeros(2, np.uint64), 0, status_array(1))


def test_page_out_returns_the_bytes_walked() -> None:
    with Child(1000) as child:
        child.do("write", 0, 1000)
        pidfd = os.pidfd_open(child.pid)
        start = addresses_of(child, [0, 600])
        length_bytes = np.array([500 * PAGE_BYTES, 100 * PAGE_BYTES], np.uint64)
        assert native.page_out(pidfd, start, length_bytes) == 600 * PAGE_BYTES
        os.close(pidfd)


def test_page_out_of_a_dead_process_is_esrch() -> None:
    with Child(10) as child:
        pidfd = os.pidfd_open(child.pid)
        child.end()
        length_bytes = np.array([PAGE_BYTES], np.uint64)
        assert errno_of(lambda: native.page_out(pidfd, addresses_of(child, [0]), length_bytes)) == errno.ESRCH
        os.close(pidfd)


@pytest.mark.parametrize(("ranges", "length_bytes"), [(1025, PAGE_BYTES), (1, 1 << 31), (2, 1 << 63)])
def test_page_out_refuses_more_than_a_call_can_take(ranges: int, length_bytes: int) -> None:
    with pytest.raises(ValueError, match="1024"):
        native.page_out(-1, np.zeros(ranges, np.uint64), np.full(ranges, length_bytes, np.uint64))


OUTCOME_OF_STATUS = {
    -errno.EPERM: Outcome.DENIED,
    -errno.ENOENT: Outcome.NOT_PRESENT,
    -errno.ESRCH: Outcome.PROCESS_GONE,
    -errno.ENOMEM: Outcome.TARGET_FULL,
    -errno.EAGAIN: Outcome.BUSY,
    -errno.EACCES: Outcome.DENIED,
    -errno.EFAULT: Outcome.NOT_PRESENT,
    -errno.EBUSY: Outcome.BUSY,
    -errno.ENODEV: Outcome.OTHER,
    -errno.EINVAL: Outcome.OTHER,
}


@pytest.mark.parametrize(("status", "outcome"), OUTCOME_OF_STATUS.items())
def test_outcome_of_an_errno(status: int, outcome: Outcome) -> None:
    assert native.outcome_of_errno(-status) == outcome


@pytest.mark.parametrize("max_pages", [1, 7, 300, 100000])
def test_collect_from_a_child(max_pages: int) -> None:
    ranges = [(500, 100), (0, 400), (450, 0)]  # in order of importance, not of addresses
    with Child(1000) as child, open("/proc/kpageflags", "rb") as kpageflags:
        child.do("write", 100, 200)
        child.do("write", 510, 20)
        first = child.address // PAGE_BYTES
        start, pages = columns([(first + offset, length) for offset, length in ranges])
        steps = collect_all(child.pagemap_fd, kpageflags.fileno(), start, pages, one_node(), ABSENT_INDEX, max_pages)
        there = collect_all(child.pagemap_fd, kpageflags.fileno(), start, pages, one_node(), 0, max_pages)
    touched = [*range(510, 530), *range(100, 300)]
    gathered = [address for step in steps for address in step.addresses.tolist()]
    assert gathered == [child.address + page * PAGE_BYTES for page in touched]
    assert all(step.weight.sum() <= max_pages for step in steps)
    assert sum((step.not_present for step in steps), np.zeros(3, np.uint64)).tolist() == [80, 200, 0]
    assert sum((step.already_there for step in there), np.zeros(3, np.uint64)).tolist() == [20, 200, 0]
    assert not any(len(step.addresses) for step in there)


def collect_all(
    pagemap_fd: int,
    kpageflags_fd: int,
    start: np.ndarray[tuple[int], np.dtype[np.uint64]],
    pages: np.ndarray[tuple[int], np.dtype[np.uint32]],
    node_map: NodeMap,
    target_index: int,
    max_pages: int,
) -> list[Collected]:
    """Collect from the first range to the end."""
    steps: list[Collected] = []
    at = (0, 0)
    while at[0] < len(start):
        step = native.collect_pages(
            pagemap_fd, kpageflags_fd, start, pages, *at, node_map, target_index, max_pages, stop_flag()
        )
        assert (step.range_index, step.page_index) > at
        at = step.range_index, step.page_index
        steps.append(step)
    return steps


def test_collect_one_address_for_a_huge_page() -> None:
    with Child(2048, huge=True) as child, open("/proc/kpageflags", "rb") as kpageflags:
        child.do("write", 0, 2048)
        start, pages = columns([(child.address // PAGE_BYTES + 100, 1500)])
        entries = native.read_pagemap(child.pagemap_fd, child.address, 2048)
        flags = os.pread(kpageflags.fileno(), 8, int(entries[0] & np.uint64(PFN_MASK)) * 8)
        if not int.from_bytes(flags, "little") & HEAD:
            pytest.skip("the kernel gave no huge page")
        step = native.collect_pages(
            child.pagemap_fd, kpageflags.fileno(), start, pages, 0, 0, one_node(), ABSENT_INDEX, 10000, stop_flag()
        )
        status = status_array(len(step.addresses))
        native.query_nodes(child.pid, step.addresses, status)
    assert ((step.addresses - np.uint64(child.address)) // np.uint64(PAGE_BYTES)).tolist() == [100, 512, 1024, 1536]
    assert step.weight.tolist() == [412, 512, 512, 64]
    assert status.tolist() == [0] * 4


def test_first_huge_page_is_taken_whole() -> None:
    entries = [PRESENT | 512 + page for page in range(512)] * 2
    flags = [0] * 512 + [HEAD] + [TAIL] * 511
    start, pages = columns([(0, 1024)])
    with word_file(entries) as pagemap_fd, word_file(flags) as flags_fd:
        steps = collect_all(pagemap_fd, flags_fd, start, pages, one_node(), ABSENT_INDEX, 100)
    assert [(step.addresses.tolist(), step.weight.tolist()) for step in steps] == [
        ([0], [512]),
        ([512 * PAGE_BYTES], [512]),
    ]


@pytest.mark.parametrize("order", [0, 1, 4, 8, 9])
def test_collect_tells_neighbouring_pages_of_any_order_apart(order: int) -> None:
    size = 1 << order
    entries = [PRESENT | pfn for pfn in range(1024, 2048)]
    flags = [0] * 1024 + ([HEAD if order else 0] + [TAIL] * (size - 1)) * (1024 // size)
    start, pages = columns([(0, 1024)])
    with word_file(entries) as pagemap_fd, word_file(flags) as flags_fd:
        steps = collect_all(pagemap_fd, flags_fd, start, pages, one_node(), ABSENT_INDEX, 1024)
    addresses = [address for step in steps for address in step.addresses.tolist()]
    assert addresses == [page * PAGE_BYTES for page in range(0, 1024, size)]
    assert all(step.weight.tolist() == [size] * len(step.weight) for step in steps)


def test_collect_ends_after_a_bounded_walk() -> None:
    start, pages = columns([(0, 150000)])
    with word_file(np.zeros(150000, np.uint64)) as fd:
        steps = collect_all(fd, fd, start, pages, one_node(), ABSENT_INDEX, 10)
    assert [int(step.not_present[0]) for step in steps] == [65536, 65536, 150000 - 2 * 65536]


@pytest.mark.parametrize(
    ("range_index", "page_index", "max_pages"), [(-1, 0, 1), (0, -1, 1), (0, 1 << 32, 1), (0, 0, 0)]
)
def test_collect_refuses_what_is_no_position(range_index: int, page_index: int, max_pages: int) -> None:
    start, pages = columns([(0, 1)])
    with word_file([0]) as fd, pytest.raises(ValueError, match="position"):
        native.collect_pages(fd, fd, start, pages, range_index, page_index, one_node(), 0, max_pages, stop_flag())


def test_collect_behind_the_end_finds_nothing() -> None:
    start, pages = columns([(0, 1)])
    with word_file([PRESENT | 1]) as fd:
        step = native.collect_pages(fd, fd, start, pages, 5, 0, one_node(), ABSENT_INDEX, 1, stop_flag())
    assert (len(step.addresses), step.range_index) == (0, 5)


@st.composite
def memories(draw: st.DrawFn) -> tuple[list[int], list[int], Regions]:
    """Pagemap and kpageflags of less than a window (512 pages), and ranges in any order."""
    flags, entries = [0], [0] * 2
    for kind, order in draw(st.lists(st.tuples(st.sampled_from("fffphszc"), st.integers(0, 4)), max_size=28)):
        pages = 1 << order
        if kind in "fp":  # a compound page, whole or without its first pages
            skipped = draw(st.integers(0, pages - 1)) if kind == "p" else 0
            entries += [PRESENT | len(flags) + page for page in range(skipped, pages)]
            flags += [HEAD] + [TAIL] * (pages - 1) if order else [0]
        else:
            entries += {"h": [0] * 3, "s": [SWAPPED | 3], "z": [PRESENT], "c": [PRESENT | FILE | 7]}[kind]
    cuts = sorted(draw(st.lists(st.integers(0, len(entries)), min_size=2, max_size=8)))
    ranges = [(low, high - low) for low, high in itertools.pairwise(cuts)]
    return entries, flags, draw(st.permutations(ranges))


def twin_groups(
    entries: list[int], flags: list[int], ranges: Regions, node_map: NodeMap, target_index: int
) -> list[tuple[int, int, int]]:
    """Return page, range and weight of each address."""
    groups: list[tuple[int, int, int]] = []
    for owner, (first, pages) in enumerate(ranges):
        for page in range(first, first + pages):
            pfn = entries[page] & PFN_MASK
            if not is_anonymous(entries[page]) or index_of(node_map, pfn) == target_index:
                continue
            last = groups[-1] if groups else (0, -1, 0)
            continues = last[1] == owner and sum(last[::2]) == page and entries[page - 1] == entries[page] - 1
            same_block = pfn // node_map.block_pages == (pfn - 1) // node_map.block_pages
            if continues and same_block and pfn and flags[pfn] & TAIL:
                groups[-1] = (last[0], owner, last[2] + 1)
            else:
                groups.append((page, owner, 1))
    return groups


@settings(deadline=None)
@given(memory=memories(), target_index=st.integers(-1, 1), max_pages=st.sampled_from([1, 3, 20, 1000]))
def test_any_memory(memory: tuple[list[int], list[int], Regions], target_index: int, max_pages: int) -> None:
    entries, flags, ranges = memory
    node_map = NodeMap(64, np.array([0, 1, -1, 1, 0, 0, 1, 1], np.int8))
    start, pages = columns(ranges)
    with word_file(entries) as pagemap_fd, word_file(flags) as flags_fd:
        steps = collect_all(pagemap_fd, flags_fd, start, pages, node_map, target_index, max_pages)
    slices = [entries[first : first + length] for first, length in ranges]
    swapped = [sum(bool(entry & SWAPPED) for entry in piece) for piece in slices]
    anonymous = [sum(is_anonymous(entry) for entry in piece) for piece in slices]
    there = [
        sum(is_anonymous(entry) and index_of(node_map, entry & PFN_MASK) == target_index for entry in piece)
        for piece in slices
    ]
    zeros = np.zeros(len(ranges), np.uint64)
    assert sum((step.present for step in steps), zeros).tolist() == anonymous
    groups = [
        group
        for step in steps
        for group in zip(
            (step.addresses // np.uint64(PAGE_BYTES)).tolist(), step.owner.tolist(), step.weight.tolist(), strict=True
        )
    ]
    if target_index < 0:
        assert groups == []
        assert sum((step.already_there for step in steps), zeros).tolist() == swapped
        absent = [len(piece) - here - out for piece, here, out in zip(slices, anonymous, swapped, strict=True)]
        assert sum((step.not_present for step in steps), zeros).tolist() == absent
    else:
        assert groups == twin_groups(entries, flags, ranges, node_map, target_index)
        assert sum((step.already_there for step in steps), zeros).tolist() == there
        elsewhere = [len(piece) - count for piece, count in zip(slices, anonymous, strict=True)]
        assert sum((step.not_present for step in steps), zeros).tolist() == elsewhere
        assert all(len(step.addresses) == 1 or step.weight.sum() <= max_pages for step in steps)
