"""One round of a tracker over its processes: what all trackers share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import attrs
import numpy as np

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.proc import MappingUse
from memtierd.model import U32, Bool, ProcessKey, ProcessScan, Scan, ScanFailure
from memtierd.regions.carving import Geometry, covered, pages_in, snap, trim
from memtierd.trackers.kernel import Counts, TrackerKernel
from memtierd.trackers.ranges import Ranges, huge_ranges
from memtierd.trackers.tracker import ScanStoppedError, StopFlag

_NS_PER_MS = 1_000_000
SPARSE_LEFT_OUT = (
    "mappings larger than all memory and swap are left out: this kernel can't tell which of their pages"
    " are populated; use Linux 6.7 or later, which has PAGEMAP_SCAN"
)


@attrs.frozen(eq=False)
class Known:
    """What is remembered of a process from one round to the next."""

    regions: Geometry
    """As found last; also those whose accesses are being recorded since the last scan."""
    huge_pages: U32
    """Pages of each of them that were mapped as huge ones then."""
    found_ns: int


@attrs.frozen
class Subject:
    """A process while it is being scanned."""

    key: ProcessKey
    pagemap_fd: int
    stop: StopFlag


class RoundTracker(ABC):
    """Base of the trackers: asks each process in turn and sorts out those that fail."""

    name = ""

    def __init__(self, kernel: TrackerKernel, interval_ms: int, regions_update_ms: int, why: str = "") -> None:
        self.interval_ms = interval_ms
        self.why = why
        self._kernel = kernel
        # Half an interval of tolerance: a scan that begins a little early must not put the update off to the next.
        self._update_ns = (regions_update_ms - min(interval_ms, regions_update_ms) // 2) * _NS_PER_MS
        self._known: dict[ProcessKey, Known] = {}
        self._huge: dict[ProcessKey, Geometry] = {}
        """Where huge pages were mapped when regions were looked for last."""
        self._left_out: set[ProcessKey] = set()

    @abstractmethod
    def _observe(self, subject: Subject, regions: Geometry | None) -> tuple[Geometry, Counts]:
        """Find the regions unless they are given, and count."""

    @abstractmethod
    def _start_over(self, key: ProcessKey) -> None:
        """Let the kernel forget the accesses that were counted, where reading them didn't do so."""

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        """Look at all targets once; see Tracker.scan."""
        started_ns = self._kernel.now_ns()
        try:
            self._kernel.refresh()
            results = [self._result(key, stop) for key in targets]
        except Exception:
            # What this round has counted is lost, so the next one must not pass for the full time.
            self._known.clear()
            raise
        return Scan(
            tracker=self.name,
            started_ns=started_ns,
            ended_ns=self._kernel.now_ns(),
            processes=tuple(result for result in results if isinstance(result, ProcessScan)),
            gone=tuple(result for result in results if isinstance(result, ProcessKey)),
            failed=tuple(result for result in results if isinstance(result, ScanFailure)),
        )

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions worth a warning."""
        return (f"tracker {self.name}: {SPARSE_LEFT_OUT}",) if self._left_out else ()

    def forget(self, key: ProcessKey) -> None:
        """Drop what is remembered of a process."""
        self._known.pop(key, None)
        self._huge.pop(key, None)
        self._left_out.discard(key)

    def close(self) -> None:
        """Drop everything that is remembered."""
        self._known.clear()
        self._huge.clear()
        self._left_out.clear()

    def _result(self, key: ProcessKey, stop: StopFlag) -> ProcessScan | ProcessKey | ScanFailure:
        """Return the scan of one process, its key when it is gone, or why it failed."""
        try:
            try:
                return self._scan_process(key, stop)
            except ProcessGoneError:
                # A process that runs another program gets a new address space, and the old one is gone, too.
                self.forget(key)
                return self._scan_process(key, stop)
        except ProcessGoneError:
            self.forget(key)
            return key
        except KernelError as error:
            self.forget(key)
            return ScanFailure(key, str(error))

    def _scan_process(self, key: ProcessKey, stop: StopFlag) -> ProcessScan:
        check_stop(key, stop)
        kernel = self._kernel
        with kernel.pagemap(key) as pagemap_fd:
            facts = kernel.facts(key)
            started_ns = kernel.now_ns()
            known = self._known.get(key)
            current = known if known is not None and started_ns - known.found_ns < self._update_ns else None
            subject = Subject(key, pagemap_fd, stop)
            regions, counts = self._observe(subject, current.regions if current else None)
            check_stop(key, stop)  # the kernel can't be stopped once it has begun to clear
            self._start_over(key)
            ended_ns = kernel.now_ns()
        if counts.finds_nothing and not kernel.mappings(key):
            # An address space that is gone scans as empty, also before the process is reaped.
            raise ProcessGoneError(f"scan pid {key.pid}")
        huge_pages = self._huge_pages(key, regions, known)
        self._known[key] = Known(regions, huge_pages, current.found_ns if current else started_ns)
        return ProcessScan(
            facts=facts,
            started_ns=started_ns,
            ended_ns=ended_ns,
            start=regions.start,
            pages=regions.pages,
            accessed_pages=counts.accessed,
            written_pages=counts.written,
            primed=self._primed(key, regions, known),
            swapped_pages=counts.swapped,
            node_pages=counts.node_pages,
            huge_pages=_still_huge(huge_pages, counts),
        )

    def _snapped(
        self, subject: Subject, ranges: Ranges, regions: Geometry, uses: Sequence[MappingUse] | None = None
    ) -> Geometry:
        """Return regions that were found in these ranges with no huge page in them but whole, and note huge pages."""
        huge = huge_ranges(self._kernel, subject.key, subject.pagemap_fd, ranges, subject.stop, uses)
        self._huge[subject.key] = huge
        return trim(snap(regions, huge), huge)

    def _huge_pages(self, key: ProcessKey, regions: Geometry, known: Known | None) -> U32:
        if known is not None and known.regions is regions:
            return known.huge_pages
        huge = self._huge.get(key)
        return np.zeros(regions.start.shape, np.uint32) if huge is None else pages_in(regions, huge)

    def _primed(self, key: ProcessKey, regions: Geometry, known: Known | None) -> Bool:
        """Tell for which regions of a process accesses have been recorded since the scan before."""
        if known is None:
            return np.zeros(regions.start.shape, np.bool_)
        if known.regions is regions:
            return np.ones(regions.start.shape, np.bool_)
        return covered(regions, known.regions)

    def _note_left_out(self, key: ProcessKey, ranges: Ranges) -> None:
        if ranges.left_out:
            self._left_out.add(key)
        else:
            self._left_out.discard(key)


def _still_huge(huge_pages: U32, counts: Counts) -> U32:
    """Return the huge pages of each region, as far as there are so many present since they were looked for."""
    if not huge_pages.any():
        return huge_pages
    present: U32 = counts.node_pages.sum(axis=0, dtype=np.uint32)
    return np.minimum(huge_pages, present)


def check_stop(key: ProcessKey, stop: StopFlag) -> None:
    """Raise ScanStoppedError when the flag is set."""
    if stop.is_set():
        raise ScanStoppedError(f"scan pid {key.pid}: stopped before the end; its counts are dropped")
