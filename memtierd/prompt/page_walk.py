"""Walking over the pages of a process: which of its memory there is, what state each page is in, and where it lies."""

import contextlib
from collections.abc import Callable, Iterator

import attrs
import numpy as np

from memtierd import native
from memtierd.linux.proc import maps
from memtierd.linux.proc_maps import Mapping
from memtierd.linux.roots import Roots, translated
from memtierd.model import U32, U64, AddressRange, Bool
from memtierd.regions.carving import widen
from memtierd.units import PAGE_BYTES

# Bits of a pagemap entry, Documentation/admin-guide/mm/pagemap.rst.
SOFT_DIRTY = 1 << 55
EXCLUSIVE = 1 << 56
UFFD_WP = 1 << 57
FILE = 1 << 61
SWAPPED = 1 << 62
PRESENT = 1 << 63
_LOW_55 = (1 << 55) - 1

_PIECE_PAGES = 1 << 16
_GRID_PAGES = 512
"""Populated pages closer than this are read in one go."""
_MAX_RANGE_PAGES = 1 << 31


@attrs.frozen(eq=False)
class Ranges:
    """Address ranges as columns; ascending, not overlapping."""

    start: U64
    """Address of the first byte of each."""
    end: U64
    """Address behind each."""

    def __len__(self) -> int:
        return len(self.start)

    def lines(self) -> Iterator[str]:
        """Yield one line for each range, with its size."""
        for start, end in zip(self.start.tolist(), self.end.tolist(), strict=True):
            yield f"{start:x}-{end:x} ({end - start} B)"

    def split(self, pages: int) -> "Ranges":
        """Return the same addresses in ranges of at most so many pages, counted from the start of each range."""
        size = np.uint64(pages * PAGE_BYTES)
        counts = ((self.end - self.start + size - np.uint64(1)) // size).astype(np.int64)
        owner = np.repeat(np.arange(len(self)), counts)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        start = self.start[owner] + nth.astype(np.uint64) * size
        return Ranges(start, np.minimum(start + size, self.end[owner]))

    def as_regions(self) -> tuple[U64, U32]:
        """Return starts and pages; a range that is too long for a column of pages is cut."""
        longest = _MAX_RANGE_PAGES * PAGE_BYTES
        pieces = [
            (at, min(longest, end - at) // PAGE_BYTES)
            for start, end in zip(self.start.tolist(), self.end.tolist(), strict=True)
            for at in range(start, end, longest)
        ]
        starts, pages = zip(*pieces, strict=True) if pieces else ((), ())
        return np.array(starts, np.uint64), np.array(pages, np.uint32)


def tracked_ranges(pid: int, roots: Roots, chosen: Callable[[Mapping], bool] = lambda _: True) -> Ranges:
    """Return the ranges of a process that memtierd manages, one a mapping; fully swapped out ones are among them."""
    found = [mapping for mapping in maps(pid, roots) if mapping.is_tracked and chosen(mapping)]
    start = np.array([mapping.start for mapping in found], np.uint64)
    return Ranges(start, np.array([mapping.end for mapping in found], np.uint64))


def intersection(ranges: Ranges, wanted: tuple[AddressRange, ...]) -> Ranges:
    """Return what of `ranges` lies in any of the wanted ranges."""
    starts, ends = [], []
    for want in _joined(wanted):
        start = np.maximum(ranges.start, np.uint64(want.start))
        end = np.minimum(ranges.end, np.uint64(want.end))
        inside = start < end
        starts.append(start[inside])
        ends.append(end[inside])
    if not starts:
        return Ranges(ranges.start[:0], ranges.end[:0])
    return Ranges(np.concatenate(starts), np.concatenate(ends))


def _joined(wanted: tuple[AddressRange, ...]) -> list[AddressRange]:
    """Return the same addresses as ascending ranges that don't touch."""
    joined: list[AddressRange] = []
    for one in sorted(wanted):
        if joined and one.start <= joined[-1].end:
            joined[-1] = AddressRange(joined[-1].start, max(joined[-1].end, one.end))
        else:
            joined.append(one)
    return joined


@attrs.frozen(eq=False)
class Piece:
    """Some neighbouring pages and their pagemap entries."""

    start: int
    entries: U64

    def has(self, bit: int) -> Bool:
        """Return of each page whether a bit is set."""
        is_set: Bool = (self.entries & np.uint64(bit)) != 0
        return is_set

    def runs(self, chosen: Bool) -> tuple[U64, U64]:
        """Return the starts and ends of maximal runs of chosen pages."""
        steps = np.diff(np.concatenate(([0], chosen.astype(np.int8), [0])))
        first, last = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        base, size = np.uint64(self.start), np.uint64(PAGE_BYTES)
        return base + first.astype(np.uint64) * size, base + last.astype(np.uint64) * size

    @property
    def low_bits(self) -> U64:
        """Return the page frame numbers of present pages; of swapped ones their place in swap."""
        return self.entries & np.uint64(_LOW_55)


@contextlib.contextmanager
def kernel_errors(tried: str) -> Iterator[None]:
    """Translate an OSError in the block; that of a process that ended becomes ProcessGoneError."""
    try:
        yield
    except OSError as error:
        raise translated(tried, error) from error


def pieces(pagemap_fd: int, ranges: Ranges, *, sparse: bool = True) -> Iterator[Piece]:
    """Yield all pages of the ranges in pieces, ascending; with `sparse` what was never touched may be left out.

    Raises KernelError, ProcessGoneError when the process has ended.
    """
    skip = sparse and native.has_pagemap_scan()
    for start, end in zip(ranges.start.tolist(), ranges.end.tolist(), strict=True):
        parts = _populated(pagemap_fd, start, end) if skip else [(start, end)]
        for first, last in parts:
            for at in range(first, last, _PIECE_PAGES * PAGE_BYTES):
                with kernel_errors(f"read the pagemap at {at:x}"):
                    entries = native.read_pagemap(pagemap_fd, at, min(_PIECE_PAGES, (last - at) // PAGE_BYTES))
                yield Piece(at, entries)


def _populated(pagemap_fd: int, start: int, end: int) -> list[tuple[int, int]]:
    with kernel_errors(f"scan the pagemap from {start:x} to {end:x}"):
        found = native.populated(pagemap_fd, AddressRange(start, end), np.zeros(1, np.int32))
    low, high = widen((start, end), *found, _GRID_PAGES)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def runs_of(walk: Iterator[Piece], chosen: Callable[[Piece], Bool]) -> Ranges:
    """Return the maximal runs of the pages that `chosen` takes."""
    found = [piece.runs(chosen(piece)) for piece in walk]
    if not found:
        return Ranges(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    start, end = (np.concatenate(column) for column in zip(*found, strict=True))
    apart = start[1:] != end[:-1]
    first, last = np.concatenate(([True], apart))[: len(start)], np.concatenate((apart, [True]))[: len(start)]
    return Ranges(start[first], end[last])


@attrs.frozen
class SwapUse:
    """How much of some ranges is in memory, and how much swapped out."""

    present_pages: int
    swapped_pages: int


def swap_use(pagemap_fd: int, ranges: Ranges) -> SwapUse:
    """Count present and swapped pages.  Raises KernelError."""
    present = swapped = 0
    for piece in pieces(pagemap_fd, ranges):
        present += int(piece.has(PRESENT).sum())
        swapped += int(piece.has(SWAPPED).sum())
    return SwapUse(present, swapped)
