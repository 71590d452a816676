"""Cut mappings into regions on a grid of absolute addresses, huge pages kept whole; tell which were seen before."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memtierd.model import U32, U64, Bool
from memtierd.units import MIB, PAGE_BYTES

MAX_REGION_PAGES = 1 << 20
"""The largest grid (4 GiB with 4 KiB pages): address arithmetic stays far from the end of 64 bits."""
HUGE_PAGE_BYTES = 2 * MIB
"""What one entry of the second lowest page table maps, at a multiple of its size."""


class Geometry(NamedTuple):
    """Where regions are: one entry a region, ascending by start, never overlapping."""

    start: U64
    """Address of the first byte of each region."""
    pages: U32

    @property
    def end(self) -> U64:
        """Return the address behind the last byte of each region."""
        return self.start + self.pages.astype(np.uint64) * np.uint64(PAGE_BYTES)


def carve(range_start: U64, range_end: U64, pages_in_region: int) -> Geometry:
    """Cut ranges at the multiples of `pages_in_region` pages of the address.

    A mapping that grows or moves its start therefore never shifts the regions of the rest; only its
    first and last region may be shorter.  Adjacent ranges keep regions of their own.

    Args:
        range_start: ascending page-aligned addresses, one a range.
        range_end: address behind each range; ranges are not empty and don't overlap.
        pages_in_region: 1 … MAX_REGION_PAGES.

    """
    cell_bytes = np.uint64(pages_in_region * PAGE_BYTES)
    first_cell = range_start // cell_bytes
    cells = (range_end - np.uint64(1)) // cell_bytes - first_cell + np.uint64(1)
    owner, nth = _expand(cells)
    cell_start = (first_cell[owner] + nth) * cell_bytes
    start = np.maximum(cell_start, range_start[owner])
    end = np.minimum(cell_start + cell_bytes, range_end[owner])
    return _geometry(start, end)


def whole(range_start: U64, range_end: U64) -> Geometry:
    """Return one region a range; a range has at most 2**32 - 1 pages."""
    return _geometry(range_start, range_end)


def widen(bounds: tuple[int, int], start: U64, end: U64, pages_in_region: int) -> tuple[U64, U64]:
    """Round ranges outwards to the grid, join those that touch, and cut what sticks out of `bounds`.

    With the populated ranges of a sparse mapping this gives the few ranges that are worth carving,
    however finely its pages are scattered.

    Args:
        bounds: first address of the mapping and the address behind it.
        start: ascending addresses inside `bounds`, one a populated range.
        end: address behind each range.
        pages_in_region: 1 … MAX_REGION_PAGES.

    """
    if start.size == 0:
        return start, end
    cell_bytes = np.uint64(pages_in_region * PAGE_BYTES)
    low = start // cell_bytes * cell_bytes
    high = (end + (cell_bytes - np.uint64(1))) // cell_bytes * cell_bytes
    apart = low[1:] > high[:-1]
    joined_low = low[np.concatenate(([True], apart))]
    joined_high = high[np.concatenate((apart, [True]))]
    return np.maximum(joined_low, np.uint64(bounds[0])), np.minimum(joined_high, np.uint64(bounds[1]))


def snap(geometry: Geometry, huge: Geometry) -> Geometry:
    """Return the regions with every boundary between neighbours that lies in a huge page moved to that one's start.

    A region that loses all its pages so is dropped.  The regions cover what they did before: where memory that is
    covered begins or ends in a huge page, it still does.

    Args:
        geometry: regions.
        huge: where huge pages are mapped: ranges at multiples of HUGE_PAGE_BYTES.

    """
    if geometry.start.size == 0 or huge.start.size == 0:
        return geometry
    start, end = geometry.start, geometry.end
    continues = np.concatenate(([False], start[1:] == end[:-1]))
    low = start // np.uint64(HUGE_PAGE_BYTES) * np.uint64(HUGE_PAGE_BYTES)
    inside = continues & (low != start) & _holds(huge, low)
    if not inside.any():
        return geometry
    run_start = np.maximum.accumulate(np.where(continues, np.uint64(0), start))
    snapped = np.where(inside, np.maximum(low, run_start), start)
    snapped_end = np.where(np.append(continues[1:], False), np.append(snapped[1:], end[-1]), end)
    kept = snapped < snapped_end
    return _geometry(snapped[kept], snapped_end[kept])


def trim(geometry: Geometry, huge: Geometry) -> Geometry:
    """Return the regions without the huge pages of which they cover only a part: such a page would move as a whole.

    Memory that is covered begins or ends in a huge page only where somebody named addresses.

    Args:
        geometry: regions with no boundary between neighbours in a huge page: see `snap`.
        huge: where huge pages are mapped: ranges at multiples of HUGE_PAGE_BYTES.

    """
    if geometry.start.size == 0 or huge.start.size == 0:
        return geometry
    start, end, block = geometry.start, geometry.end, np.uint64(HUGE_PAGE_BYTES)
    apart = start[1:] != end[:-1]
    first, last = np.concatenate(([True], apart)), np.append(apart, True)
    low, high = start // block * block, end // block * block
    cut_start = first & (low != start) & _holds(huge, low)
    cut_end = last & (high != end) & _holds(huge, high)
    trimmed, trimmed_end = np.where(cut_start, low + block, start), np.where(cut_end, high, end)
    kept = trimmed < trimmed_end
    return _geometry(trimmed[kept], trimmed_end[kept])


def pages_in(geometry: Geometry, ranges: Geometry) -> U32:
    """Return how many pages of each region lie in any of the ranges."""
    if ranges.start.size == 0:
        return np.zeros(geometry.start.shape, np.uint32)
    return (_bytes_inside(geometry, ranges) // np.uint64(PAGE_BYTES)).astype(np.uint32)


def covered(geometry: Geometry, before: Geometry) -> Bool:
    """Tell of each region whether at least half of its pages lay in regions of `before`."""
    return _bytes_inside(geometry, before) * np.uint64(2) >= geometry.end - geometry.start


def _holds(ranges: Geometry, address: U64) -> Bool:
    """Tell of each address whether it lies in one of the ranges, of which there is one at least."""
    at = np.searchsorted(ranges.start, address, side="right").astype(np.int64) - 1
    return (at >= 0) & (address < ranges.end[np.maximum(at, 0)])


def _bytes_inside(geometry: Geometry, ranges: Geometry) -> U64:
    """Return how many bytes of each region lie in any of the ranges."""
    return _bytes_below(ranges, geometry.end) - _bytes_below(ranges, geometry.start)


def _bytes_below(geometry: Geometry, address: U64) -> U64:
    """Return how many bytes of all regions lie below each address."""
    if geometry.start.size == 0:
        return np.zeros(address.shape, np.uint64)
    length = geometry.end - geometry.start
    total_before = np.cumsum(length, dtype=np.uint64) - length
    at = np.searchsorted(geometry.start, address, side="right").astype(np.int64) - 1
    nearest = np.maximum(at, 0)
    inside = np.minimum(address - geometry.start[nearest], length[nearest])
    return np.where(at < 0, np.uint64(0), total_before[nearest] + inside)


def _expand(counts: U64) -> tuple[npt.NDArray[np.int64], U64]:
    """Return for `counts` [2, 3] the owners [0, 0, 1, 1, 1] and the positions [0, 1, 0, 1, 2]."""
    owner = np.repeat(np.arange(counts.size), counts.astype(np.int64))
    first = np.cumsum(counts, dtype=np.uint64) - counts
    return owner, np.arange(owner.size, dtype=np.uint64) - first[owner]


def _geometry(start: U64, end: U64) -> Geometry:
    return Geometry(start, ((end - start) // np.uint64(PAGE_BYTES)).astype(np.uint32))
