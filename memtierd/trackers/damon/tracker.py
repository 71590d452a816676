"""The damon tracker: takes in at every scan what DAMON has reported since the last."""

import atexit
import errno
import logging
import threading
from collections.abc import Sequence

import numpy as np

from memtierd.errors import KernelError, MemtierdError
from memtierd.model import U64, Bool, ProcessKey, Scan
from memtierd.regions.carving import Geometry
from memtierd.trackers.damon.attribution import attribute
from memtierd.trackers.damon.connection import Connection, Monitor, Records
from memtierd.trackers.damon.flattening import Aggregations, count, cut, edges_of
from memtierd.trackers.damon.monitoring import Monitoring
from memtierd.trackers.damon.params import DamonParams
from memtierd.trackers.kernel import Counts, TrackerKernel
from memtierd.trackers.ranges import tracked_ranges
from memtierd.trackers.rounds import Known, RoundTracker, Subject, check_stop
from memtierd.trackers.tracker import StopFlag

LOG = logging.getLogger("memtierd")
_SPARSE_GRID_PAGES = 512
_LATE_NS = 10_000_000_000
"""Reports may be that late: programs write them when their buffers are full."""
_SHUT_PATIENCE_S = 10.0
"""Longer than a connection, or the kernel, takes to let go."""
_INTERRUPTED = (
    "tracker damon: somebody else has stopped a kdamond that memtierd had started; it was started again, leave it alone"
)


class DamonTracker(RoundTracker):
    """Sees reads and writes, in regions that DAMON finds by itself; a region is judged once DAMON has reported it."""

    name = "damon"

    def __init__(
        self,
        params: DamonParams,
        kernel: TrackerKernel,
        monitoring: Monitoring,
        connection: Connection,
        why: str = "",
    ) -> None:
        """Prepare; DAMON is left alone until the first scan."""
        super().__init__(kernel, params.scan_interval_ms, regions_update_ms=0, why=why)
        self.params = params
        self._full = params.resolved()
        self._monitoring = monitoring
        self._connection = connection
        self._followed: tuple[Monitor, ...] = ()
        self._targets: set[ProcessKey] = set()
        self._scanning = False
        self._ended = False
        self._shutting = threading.Lock()
        self._cuts: dict[ProcessKey, U64] = {}
        """Bounds of the regions that DAMON reported last."""
        self._arrived: dict[ProcessKey, Records] = {}
        """Reports of whole aggregations that no scan has counted yet."""
        self._rest: dict[ProcessKey, Records] = {}
        """Reports of an aggregation whose end has not arrived yet."""
        self._judged: dict[ProcessKey, Bool] = {}
        """For the scan under way: of which regions DAMON can tell."""

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        """Let DAMON monitor all targets and count what it has reported; see Tracker.scan.

        Raises UnsupportedError when DAMON is somebody else's, KernelError when it refuses.
        """
        self._targets, self._scanning = set(targets), True
        try:
            if targets:
                check_stop(targets[0], stop)
            self._monitor(targets)
            self._take_in()
            return super().scan(targets, stop)
        finally:
            self._scanning = False

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions worth a warning."""
        interrupted = (_INTERRUPTED,) if self._monitoring.interrupted else ()
        return (*super().conditions(), *self._connection.conditions(), *interrupted)

    def forget(self, key: ProcessKey) -> None:
        """Drop what is remembered of a process; without any process left, DAMON is given back."""
        super().forget(key)
        for remembered in (self._cuts, self._arrived, self._rest, self._judged):
            remembered.pop(key, None)
        self._targets.discard(key)
        if not self._targets and not self._scanning:
            self._shut()

    def close(self) -> None:
        """Stop and give back what is ours; what can't be is logged, and left to the next start."""
        self._ended = True
        super().close()
        self._shut()

    def _monitor(self, targets: Sequence[ProcessKey]) -> None:
        if self._ended:
            raise MemtierdError("scan with tracker damon: it is closed")
        if not self._monitoring.is_open:
            self._open()
        changed = self._monitoring.follow(targets)
        monitors = self._monitoring.monitors()
        if changed or monitors != self._followed:
            self._followed = monitors
            self._connection.follow(monitors)

    def _open(self) -> None:
        # Whatever ends memtierd in order ends DAMON, also when the thread that scans hangs and nobody calls close.
        atexit.register(self.close)
        try:
            self._monitoring.open()
            self._connection.open()
        except MemtierdError:
            self._shut()
            raise

    def _shut(self) -> None:
        """Give back what is ours.  memtierd does not end amid of this in another thread: it waits here at exit."""
        if not self._shutting.acquire(timeout=_SHUT_PATIENCE_S):
            return
        try:
            self._give_back()
            atexit.unregister(self.close)
        finally:
            self._shutting.release()

    def _give_back(self) -> None:
        self._followed = ()
        for remembered in (self._arrived, self._rest, self._judged):
            remembered.clear()
        if not self._monitoring.is_open:
            return
        problems = []
        try:
            self._connection.close()
        except MemtierdError as error:
            problems.append(str(error))
        for problem in [*problems, *self._monitoring.close()]:
            LOG.error("tracker damon: give back what was taken of DAMON: %s", problem)

    def _take_in(self) -> None:
        """Sort out what the connection has received."""
        found = attribute(self._connection.take(), self._monitoring.tenures)
        late_ns = self._kernel.now_ns() - _LATE_NS
        self._monitoring.tenures = [tenure for tenure in self._monitoring.tenures if tenure.until_ns > late_ns]
        for key in self._targets & found.keys():
            before = [self._rest.pop(key)] if key in self._rest else []
            aggregations = Aggregations.of(Records.joined([*before, found[key]]))
            if len(aggregations.rest):
                self._rest[key] = aggregations.rest
            if len(aggregations.newest):
                self._cuts[key] = edges_of(aggregations.newest)
            self._arrived[key] = aggregations.whole

    def _observe(self, subject: Subject, regions: Geometry | None) -> tuple[Geometry, Counts]:
        """Cut the tracked mappings where DAMON does; `regions` is never given because they are always due."""
        key = subject.key
        if key in self._monitoring.left_out:
            raise KernelError(f"monitor pid {key.pid} with DAMON", errno.ENOSPC, self._room())
        grid_pages = max(self._full.align_pages, _SPARSE_GRID_PAGES)
        mappings = self._kernel.mappings(key)
        ranges = tracked_ranges(self._kernel, subject.pagemap_fd, mappings, grid_pages, subject.stop)
        self._note_left_out(key, ranges)
        edges = self._cuts.get(key, np.empty(0, np.uint64))
        found = self._snapped(subject, ranges, cut(ranges.start, ranges.end, edges, self._full.align_pages))
        counts = Counts.zero(found, self._kernel.nodes)
        self._kernel.count_present(subject.pagemap_fd, found, counts, subject.stop)
        counts.accessed[:], self._judged[key] = count(found, self._arrived.pop(key, Records.none()), self._full)
        return found, counts

    def _primed(self, key: ProcessKey, regions: Geometry, known: Known | None) -> Bool:
        """Tell for which regions DAMON has reported anything since the scan before."""
        return self._judged.pop(key)

    def _start_over(self, key: ProcessKey) -> None:
        """Nothing to do: DAMON counts anew in every aggregation."""

    def _room(self) -> str:
        return (
            f"a kdamond takes {self._monitoring.capacity} here: name more kdamonds in kdamondslist, or use the tracefs"
            " connection and the sysfs interface"
        )
