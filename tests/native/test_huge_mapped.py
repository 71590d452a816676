"""Finding huge pages of a real process, whose smaps says how many there are."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd import native
from memtierd.model import AddressRange
from tests.native.child import Child
from tests.native.layouts import PAGE_BYTES, errno_of, stop_flag

HUGE = 512
PAGES = 20 * HUGE

pytestmark = pytest.mark.skipif(not native.has_pagemap_scan(), reason="no PAGEMAP_SCAN in this kernel")


@pytest.fixture
def child() -> Iterator[Child]:
    """Run a process whose huge pages 0, 1 and 5 are touched, and half of those of a block that was cut into pages."""
    with Child(PAGES, huge=True) as process:
        process.do("write", 0, 2 * HUGE)
        process.do("write", 5 * HUGE + 300, 1)
        process.do("write", 8 * HUGE, 1)
        process.do("free", 8 * HUGE, 7)
        if anon_huge_kb(process) < 3 * HUGE * PAGE_BYTES // 1024:
            pytest.skip("the kernel gave no huge pages")
        yield process


def anon_huge_kb(child: Child) -> int:
    """Return AnonHugePages of the whole process."""
    text = Path(f"/proc/{child.pid}/smaps_rollup").read_text()
    found = re.search(r"^AnonHugePages: +([0-9]+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def found_in(child: Child, first: int, end: int) -> list[tuple[int, int]]:
    """Return (first page, page behind) of each range found among these pages of the child."""
    bounds = AddressRange(child.address + first * PAGE_BYTES, child.address + end * PAGE_BYTES)
    start, ends = native.huge_mapped(child.pagemap_fd, bounds, stop_flag())
    return [
        ((int(a) - child.address) // PAGE_BYTES, (int(b) - child.address) // PAGE_BYTES)
        for a, b in zip(start, ends, strict=True)
    ]


def test_huge_pages_are_found_and_those_that_were_split_are_not(child: Child) -> None:
    found = found_in(child, 0, PAGES)
    assert found == [(0, 2 * HUGE), (5 * HUGE, 6 * HUGE)]
    assert sum(end - first for first, end in found) * PAGE_BYTES // 1024 == anon_huge_kb(child)


def test_of_a_huge_page_outside_only_the_part_inside_is_found(child: Child) -> None:
    assert found_in(child, 100, HUGE + 1) == [(100, HUGE + 1)]
    assert found_in(child, 3 * HUGE, 5 * HUGE) == []


def test_small_pages_are_not_found() -> None:
    with Child(PAGES) as small:
        small.do("write", 0, PAGES)
        assert found_in(small, 0, PAGES) == []


def test_a_stop_and_a_dead_process_are_told(child: Child) -> None:
    bounds = AddressRange(child.address, child.address + PAGES * PAGE_BYTES)
    assert errno_of(lambda: native.huge_mapped(child.pagemap_fd, bounds, stop_flag(1))) == errno.ECANCELED
    child.end()
    assert errno_of(lambda: native.huge_mapped(child.pagemap_fd, bounds, stop_flag())) == errno.ESRCH
