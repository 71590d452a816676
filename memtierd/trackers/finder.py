"""The tracker that finds memory and sees no use of it: where pages are, of all memory or of what has certain bits."""

from collections.abc import Iterator

import numpy as np

from memtierd.model import Bool, ProcessKey
from memtierd.native import PAGEMAP_EXCLUSIVE, PAGEMAP_PRESENT, PAGEMAP_SOFT_DIRTY
from memtierd.regions.carving import Geometry, carve
from memtierd.trackers.kernel import Counts, TrackerKernel
from memtierd.trackers.params import FinderParams
from memtierd.trackers.ranges import tracked_ranges
from memtierd.trackers.rounds import Known, RoundTracker, Subject


class FinderTracker(RoundTracker):
    """Reports regions with a fixed number of accesses; reads bits of pages, and never changes any.

    Without a filter the regions are those of the other trackers on a grid.  With one they are the runs of pages
    that match, cut at the grid.
    """

    name = "finder"

    def __init__(self, params: FinderParams, kernel: TrackerKernel, why: str = "") -> None:
        super().__init__(kernel, _interval_ms(params), params.regions_update_ms, why)
        self.params = params
        wanted = dict(_wanted_bits(params))
        self._mask = sum(wanted)
        self._bits = sum(bit for bit, is_set in wanted.items() if is_set)

    def _primed(self, key: ProcessKey, regions: Geometry, known: Known | None) -> Bool:
        if self.params.report_accesses:
            return super()._primed(key, regions, known)
        # Nothing was looked for, so nothing is known of use: not even that there was none.
        return np.zeros(regions.start.shape, np.bool_)

    def _observe(self, subject: Subject, regions: Geometry | None) -> tuple[Geometry, Counts]:
        regions = self._found(subject) if regions is None else regions
        counts = Counts.zero(regions, self._kernel.nodes)
        self._kernel.count_present(subject.pagemap_fd, regions, counts, subject.stop)
        np.minimum(regions.pages, np.uint32(self.params.report_accesses), out=counts.accessed)
        return regions, counts

    def _found(self, subject: Subject) -> Geometry:
        mappings = self._kernel.mappings(subject.key)
        ranges = tracked_ranges(self._kernel, subject.pagemap_fd, mappings, self.params.pages_in_region, subject.stop)
        self._note_left_out(subject.key, ranges)
        cells = self._snapped(subject, ranges, carve(ranges.start, ranges.end, self.params.pages_in_region))
        if self._mask:
            cells = self._kernel.find_pages(subject.pagemap_fd, cells, self._mask, self._bits, subject.stop)
        return self._snapped(subject, ranges, cells)

    def _start_over(self, key: ProcessKey) -> None:
        """Nothing to do: see the class."""


def _interval_ms(params: FinderParams) -> int:
    return min(params.scan_interval_ms, params.regions_update_ms or params.scan_interval_ms)


def _wanted_bits(params: FinderParams) -> Iterator[tuple[int, bool]]:
    """Yield each bit of a pagemap entry that is looked at, and whether it must be set."""
    for bit, wanted in (
        (PAGEMAP_EXCLUSIVE, params.pagemap_bit_exclusive),
        (PAGEMAP_PRESENT, params.pagemap_bit_present),
        (PAGEMAP_SOFT_DIRTY, params.pagemap_bit_soft_dirty),
    ):
        if wanted is not None:
            yield bit, wanted
