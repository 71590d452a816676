"""The tracker that works on nearly every kernel: how much of each mapping was referenced."""

from memtierd.linux.proc import CLEAR_REFERENCED
from memtierd.model import ProcessKey
from memtierd.regions.carving import Geometry, whole
from memtierd.trackers.kernel import Counts, TrackerKernel
from memtierd.trackers.params import ReferencedParams
from memtierd.trackers.ranges import referenced_share, tracked_ranges
from memtierd.trackers.rounds import RoundTracker, Subject

_SPARSE_GRID_PAGES = 512


class ReferencedTracker(RoundTracker):
    """Sees reads and writes, but tells mappings apart and not parts of one.

    Referenced of /proc/PID/smaps, reset through clear_refs (Documentation/filesystems/proc.rst).  A region is
    a mapping; a sparse one has a region for each populated part, which share its figure by their size.
    """

    name = "referenced"

    def __init__(self, params: ReferencedParams, kernel: TrackerKernel, why: str = "") -> None:
        super().__init__(kernel, params.scan_interval_ms, regions_update_ms=0, why=why)
        self.params = params

    def _observe(self, subject: Subject, regions: Geometry | None) -> tuple[Geometry, Counts]:
        """Take regions and counts from one reading; `regions` is never given because they are always due."""
        uses = self._kernel.uses(subject.key)
        mappings = [use.mapping for use in uses]
        ranges = tracked_ranges(self._kernel, subject.pagemap_fd, mappings, _SPARSE_GRID_PAGES, subject.stop)
        self._note_left_out(subject.key, ranges)
        found = self._snapped(subject, ranges, whole(ranges.start, ranges.end), uses)
        counts = Counts.zero(found, self._kernel.nodes)
        self._kernel.count_present(subject.pagemap_fd, found, counts, subject.stop)
        counts.accessed[:] = referenced_share(uses, found, found.pages)
        return found, counts

    def _start_over(self, key: ProcessKey) -> None:
        self._kernel.clear(key, CLEAR_REFERENCED)
