"""Which address ranges of a process are worth scanning, and how figures of mappings spread over regions."""

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.linux.proc import Mapping, MappingUse
from memtierd.model import U32, U64, AddressRange, ProcessKey
from memtierd.regions.carving import HUGE_PAGE_BYTES, Geometry, whole, widen
from memtierd.trackers.kernel import TrackerKernel
from memtierd.trackers.tracker import StopFlag
from memtierd.units import KIB, PAGE_BYTES

_MOST_PAGES = (1 << 32) - 1
"""A region's pages are counted in 32 bits."""


@attrs.frozen(eq=False)
class Ranges:
    """Ascending ranges that don't overlap; adjacent mappings stay ranges of their own."""

    start: U64
    end: U64
    left_out: bool
    """Whether a sparse mapping was left out because its populated ranges can't be found here."""


def tracked_ranges(
    kernel: TrackerKernel, pagemap_fd: int, mappings: Sequence[Mapping], pages_in_region: int, stop: StopFlag
) -> Ranges:
    """Return the ranges of `mappings` that can hold pages.

    A mapping larger than all memory and swap is a sparse reservation, as sanitizers and language
    runtimes make them: only the surroundings of its populated pages are taken.
    """
    tracked = [mapping for mapping in mappings if mapping.is_tracked]
    limit_bytes = min(kernel.memory_pages, _MOST_PAGES) * PAGE_BYTES
    sparse = [mapping for mapping in tracked if mapping.end - mapping.start > limit_bytes]
    dense = [mapping for mapping in tracked if mapping.end - mapping.start <= limit_bytes]
    starts = [np.array([mapping.start for mapping in dense], np.uint64)]
    ends = [np.array([mapping.end for mapping in dense], np.uint64)]
    if kernel.finds_populated:
        for mapping in sparse:
            found = kernel.populated(pagemap_fd, mapping.range, stop)
            start, end = widen((mapping.start, mapping.end), *found, pages_in_region)
            starts.append(start)
            ends.append(end)
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind="stable")
    return Ranges(start[order], end[order], bool(sparse) and not kernel.finds_populated)


def huge_ranges(
    kernel: TrackerKernel,
    key: ProcessKey,
    pagemap_fd: int,
    ranges: Ranges,
    stop: StopFlag,
    uses: Sequence[MappingUse] | None = None,
) -> Geometry:
    """Return where huge pages are mapped in the surroundings of `ranges`, at multiples of HUGE_PAGE_BYTES.

    Costs about 2 ns for each page that isn't huge.  A kernel without PAGEMAP_SCAN only tells how much of each mapping
    is huge, in smaps, for which it walks all page tables unless `uses` has been read already: then every block of a
    mapping that has huge pages is taken for one.
    """
    if not kernel.finds_populated:
        return huge_blocks(kernel.uses(key) if uses is None else uses)
    bounds = zip(*_surroundings(ranges), strict=True)
    found = [kernel.huge_mapped(pagemap_fd, AddressRange(int(start), int(end)), stop) for start, end in bounds]
    starts, ends = zip(*found, strict=True) if found else ((), ())
    nothing = np.zeros(0, np.uint64)
    return whole(np.concatenate([nothing, *starts]), np.concatenate([nothing, *ends]))


def _surroundings(ranges: Ranges) -> tuple[U64, U64]:
    """Return the ranges rounded outwards to multiples of HUGE_PAGE_BYTES, with those that touch joined."""
    limits = 0, (1 << 64) - HUGE_PAGE_BYTES
    return widen(limits, ranges.start, ranges.end, HUGE_PAGE_BYTES // PAGE_BYTES)


def huge_blocks(uses: Sequence[MappingUse]) -> Geometry:
    """Return the multiples of HUGE_PAGE_BYTES in each mapping that has huge pages."""
    huge = [use.mapping for use in uses if use.anon_huge_kb]
    block = np.uint64(HUGE_PAGE_BYTES)
    start = (np.array([mapping.start for mapping in huge], np.uint64) + block - np.uint64(1)) // block * block
    end = np.array([mapping.end for mapping in huge], np.uint64) // block * block
    return whole(start[start < end], end[start < end])


def referenced_share(uses: Sequence[MappingUse], regions: Geometry, weight: U32) -> U32:
    """Return how many pages of each region were referenced, as far as the figures of whole mappings tell.

    A mapping's referenced pages are shared by the regions that begin in it in proportion to `weight`
    (pages, one entry a region) and rounded up, so that no region of a mapping in use passes for idle.
    A region in no mapping of `uses` gets 0.
    """
    if not uses:
        return np.zeros(regions.start.shape, np.uint32)
    mapping_start = np.array([use.mapping.start for use in uses], np.uint64)
    mapping_end = np.array([use.mapping.end for use in uses], np.uint64)
    referenced = np.array([use.referenced_kb for use in uses], np.uint64) * np.uint64(KIB) // np.uint64(PAGE_BYTES)
    owner = np.searchsorted(mapping_start, regions.start, side="right") - 1
    inside = (owner >= 0) & (regions.start < mapping_end[np.maximum(owner, 0)])
    share = _spread(referenced, np.maximum(owner, 0), np.where(inside, weight, np.uint32(0)))
    capped: U32 = np.minimum(share, regions.pages)
    return capped


def _spread(amount: U64, owner: npt.NDArray[np.intp], weight: U32) -> U32:
    """Return amount × weight ÷ sum of weights of the same owner, rounded up; 0 for no weight."""
    total = np.bincount(owner, weights=weight, minlength=amount.size).astype(np.uint64)[owner]
    product = amount[owner] * weight.astype(np.uint64)
    share = (product + np.maximum(total, np.uint64(1)) - np.uint64(1)) // np.maximum(total, np.uint64(1))
    narrow: U32 = np.minimum(share, np.uint64(_MOST_PAGES)).astype(np.uint32)
    return narrow
