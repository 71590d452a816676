"""Pages found by the bits of their pagemap entries, against a twin in Python that looks at each page."""

import errno
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd import native
from memtierd.native import PAGEMAP_EXCLUSIVE, PAGEMAP_PRESENT, PAGEMAP_SOFT_DIRTY
from tests.native.child import Child
from tests.native.layouts import PAGE_BYTES, Regions, columns, errno_of, stop_flag, word_file

BITS = (PAGEMAP_SOFT_DIRTY, PAGEMAP_EXCLUSIVE, PAGEMAP_PRESENT)


def found(fd: int, regions: Regions, mask: int, bits: int) -> list[tuple[int, int]]:
    """Return first page and pages of each run."""
    start, pages = native.find_pages(fd, *columns(regions), mask, bits, stop_flag())
    return [(first // PAGE_BYTES, count) for first, count in zip(start.tolist(), pages.tolist(), strict=True)]


def twin(entries: Sequence[int], regions: Regions, mask: int, bits: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for first, count in regions:
        length = 0
        for page in range(first, first + count + 1):
            if page < first + count and entries[page] & mask == bits:
                length += 1
            elif length:
                runs.append((page - length, length))
                length = 0
    return runs


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], Regions]:
    entry = st.builds(lambda bits, pfn: sum(bits) | pfn, st.sets(st.sampled_from(BITS)), st.integers(0, 3))
    entries = draw(st.lists(entry, min_size=1, max_size=300))
    cuts = sorted(draw(st.lists(st.integers(0, len(entries)), min_size=2, max_size=12)))
    keep = draw(st.lists(st.booleans(), min_size=len(cuts) - 1, max_size=len(cuts) - 1))
    return entries, [(low, high - low) for low, high, kept in zip(cuts, cuts[1:], keep, strict=False) if kept]


@settings(deadline=None)
@given(layout=layouts(), wanted=st.dictionaries(st.sampled_from(BITS), st.booleans()))
def test_any_layout(layout: tuple[list[int], Regions], wanted: dict[int, bool]) -> None:
    entries, regions = layout
    mask, bits = sum(wanted), sum(bit for bit, is_set in wanted.items() if is_set)
    with word_file(entries) as fd:
        assert found(fd, regions, mask, bits) == twin(entries, regions, mask, bits)


@pytest.mark.parametrize("stride", [1, 2, 40000])
def test_more_runs_than_one_call_returns_and_runs_longer_than_a_window(stride: int) -> None:
    entries = np.zeros(90000, np.uint64)
    entries[5::stride] = PAGEMAP_PRESENT
    regions = [(3, 50000), (50003, 30), (60000, 29990)]
    with word_file(entries) as fd:
        assert found(fd, regions, PAGEMAP_PRESENT, PAGEMAP_PRESENT) == twin(
            entries.tolist(), regions, PAGEMAP_PRESENT, PAGEMAP_PRESENT
        )


def test_pages_of_a_real_process() -> None:
    with Child(2000) as child:
        child.do("write", 100, 300)
        child.do("read", 400, 50)  # the zero page: present, of nobody
        child.do("free", 200, 10)
        first = child.address // PAGE_BYTES
        with Path(f"/proc/{child.pid}/pagemap").open("rb", buffering=0) as file:
            file.seek(first * 8)
            entries = struct.unpack("=2000Q", file.read(16000))
        for mask, bits, expected in (
            (PAGEMAP_PRESENT, PAGEMAP_PRESENT, [(100, 100), (210, 240)]),
            (PAGEMAP_PRESENT, 0, [(0, 100), (200, 10), (450, 1550)]),
            (PAGEMAP_EXCLUSIVE, PAGEMAP_EXCLUSIVE, [(100, 100), (210, 190)]),
        ):
            runs = found(child.pagemap_fd, [(first, 2000)], mask, bits)
            assert [(page - first, count) for page, count in runs] == expected == twin(entries, [(0, 2000)], mask, bits)


def test_nothing_to_look_at() -> None:
    with word_file([0]) as fd:
        assert found(fd, [], PAGEMAP_PRESENT, 0) == []


def test_errors() -> None:
    start, pages = columns([(0, 4)])
    with word_file([0] * 2) as fd:
        assert errno_of(lambda: native.find_pages(fd, start, pages, 0, 0, stop_flag())) == errno.ESRCH
        assert errno_of(lambda: native.find_pages(fd, start, pages, 0, 0, stop_flag(1))) == errno.ECANCELED
        with pytest.raises(ValueError, match="not within mask"):
            native.find_pages(fd, start, pages, 1, 2, stop_flag())
    assert errno_of(lambda: native.find_pages(-1, start, pages, 0, 0, stop_flag())) == errno.EBADF
