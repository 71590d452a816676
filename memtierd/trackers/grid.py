"""The trackers that cut memory into regions of one size: softdirty and idlepage."""

from abc import abstractmethod

import numpy as np

from memtierd.linux.proc import CLEAR_REFERENCED, CLEAR_SOFT_DIRTY
from memtierd.model import U32, ProcessKey
from memtierd.regions.carving import Geometry, carve
from memtierd.trackers.kernel import Counts, TrackerKernel
from memtierd.trackers.params import GridParams, IdlePageParams, SoftDirtyParams
from memtierd.trackers.ranges import referenced_share, tracked_ranges
from memtierd.trackers.rounds import RoundTracker, Subject


class GridTracker(RoundTracker):
    """Base of both: finds regions when they are due."""

    def __init__(self, params: GridParams, kernel: TrackerKernel, skip_page_prob: int, why: str) -> None:
        super().__init__(kernel, params.scan_interval_ms, params.regions_update_ms, why)
        self._pages_in_region = params.pages_in_region
        self._max_count = params.max_count_per_region
        self._skip_page_prob = skip_page_prob

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions worth a warning."""
        if not self._skip_page_prob:
            return super().conditions()
        unused = (
            f"tracker {self.name}: SkipPageProb {self._skip_page_prob} has no effect, because pages are read in bulk"
            " anyway; remove it"
        )
        return (unused, *super().conditions())

    @abstractmethod
    def _count(self, subject: Subject, regions: Geometry, counts: Counts) -> None:
        """Fill the counts."""

    def _observe(self, subject: Subject, regions: Geometry | None) -> tuple[Geometry, Counts]:
        regions = self._carved(subject) if regions is None else regions
        counts = Counts.zero(regions, self._kernel.nodes)
        self._count(subject, regions, counts)
        return regions, counts

    def _carved(self, subject: Subject) -> Geometry:
        mappings = self._kernel.mappings(subject.key)
        ranges = tracked_ranges(self._kernel, subject.pagemap_fd, mappings, self._pages_in_region, subject.stop)
        self._note_left_out(subject.key, ranges)
        return self._snapped(subject, ranges, carve(ranges.start, ranges.end, self._pages_in_region))


class SoftDirtyTracker(GridTracker):
    """Sees writes: the kernel marks a page soft-dirty when it is written (Documentation/admin-guide/mm/soft-dirty.rst).

    New mappings count as written from the start, so regions are primed only by the first clearing.
    A write between reading a page's bit and clearing the bits of the process goes unseen.
    """

    name = "softdirty"

    def __init__(self, params: SoftDirtyParams, kernel: TrackerKernel, why: str = "") -> None:
        super().__init__(params, kernel, params.skip_page_prob, why)
        self.params = params

    def _count(self, subject: Subject, regions: Geometry, counts: Counts) -> None:
        self._kernel.count_dirty(subject.pagemap_fd, regions, self._max_count, counts, subject.stop)
        counts.accessed[:] = counts.written
        if self.params.track_referenced:
            np.maximum(counts.accessed, self._referenced(subject.key, regions, counts), out=counts.accessed)

    def _referenced(self, key: ProcessKey, regions: Geometry, counts: Counts) -> U32:
        """Return the referenced pages of each mapping, spread over the present pages of its regions."""
        present: U32 = counts.node_pages.sum(axis=0, dtype=np.uint32)
        share = referenced_share(self._kernel.uses(key), regions, present)
        return np.minimum(share, np.uint32(self._max_count)) if self._max_count else share

    def _start_over(self, key: ProcessKey) -> None:
        self._kernel.clear(key, CLEAR_SOFT_DIRTY)
        if self.params.track_referenced:
            self._kernel.clear(key, CLEAR_REFERENCED)


class IdlePageTracker(GridTracker):
    """Sees reads and writes: idle page tracking (Documentation/admin-guide/mm/idle_page_tracking.rst).

    Pages are set idle in the pass that counts them, so nothing is left to be cleared.
    """

    name = "idlepage"

    def __init__(self, params: IdlePageParams, kernel: TrackerKernel, why: str = "") -> None:
        """Open the files of idle page tracking.  Raises KernelError or UnsupportedError when they can't be opened."""
        super().__init__(params, kernel, params.skip_page_prob, why)
        self.params = params
        self._files = kernel.open_idle()

    def close(self) -> None:
        """Close the files and drop everything that is remembered."""
        super().close()
        self._files.close()

    def _count(self, subject: Subject, regions: Geometry, counts: Counts) -> None:
        self._kernel.count_idle(subject.pagemap_fd, self._files, regions, self._max_count, counts, subject.stop)

    def _start_over(self, key: ProcessKey) -> None:
        """Nothing to do: see the class."""
