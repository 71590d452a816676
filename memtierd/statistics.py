"""Counting what was scanned, moved and swapped, by process, and named events; bounded, and owned by one thread."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import attrs

from memtierd.model import OUTCOMES, CallReport, MoveReport, Outcome, ProcessScan, Scan
from memtierd.placement.guards import GuardState
from memtierd.recording import Recording

MAX_PIDS = 4096
"""Processes whose counts are kept; the one that was heard of longest ago is forgotten first."""
MAX_EVENTS = 1024
MAX_RECORDED_REGIONS = 2_000_000
"""About 60 MB."""
MAX_RECORDED_CALLS = 100_000
T = TypeVar("T")


@attrs.define
class ScanCounts:
    """Scans of one process; last and max for one scan, the others summed up."""

    scans: int = 0
    total_pages: int = 0
    total_ns: int = 0
    last_ns: int = 0
    max_ns: int = 0
    last_pages: int = 0
    accessed_pages: int = 0
    last_accessed_pages: int = 0
    written_pages: int = 0


@attrs.define
class MoveCounts:
    """move_pages(2) calls on one process."""

    calls: int = 0
    requested_pages: int = 0
    on_target_pages: int = 0
    to_node: dict[int, int] = attrs.field(factory=dict)
    """Pages on target by node."""
    errnos: dict[int, int] = attrs.field(factory=dict)
    """Pages by errno."""


@attrs.define
class SwapCounts:
    """process_madvise(2) calls on one process."""

    calls: int = 0
    requested_pages: int = 0
    accepted_pages: int = 0
    """Pages in calls that the kernel accepted."""
    swapped_pages: int = 0
    """Pages that were really found swapped out afterwards."""
    errnos: dict[int, int] = attrs.field(factory=dict)


@attrs.define
class EventCounts:
    """How often something happened, and when."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0


class _Recent(OrderedDict[int, T]):
    """Counts by pid; the pid used longest ago makes room when there are too many."""

    def __init__(self, make: Callable[[], T]) -> None:
        super().__init__()
        self._make = make

    def of(self, pid: int) -> T:
        """Return the counts of a pid, made when there are none."""
        if pid not in self:
            self[pid] = self._make()
            if len(self) > MAX_PIDS:
                self.popitem(last=False)
        self.move_to_end(pid)
        return self[pid]


class Statistics:
    """All counts since the start; fed by messages, read by `stats`."""

    def __init__(self) -> None:
        self.scans: _Recent[ScanCounts] = _Recent(ScanCounts)
        self.moves: _Recent[MoveCounts] = _Recent(MoveCounts)
        self.swaps: _Recent[SwapCounts] = _Recent(SwapCounts)
        self.outcomes: _Recent[list[int]] = _Recent(lambda: [0] * OUTCOMES)
        """Pages by Outcome."""
        self.latest_call: _Recent[CallReport | None] = _Recent(lambda: None)
        self.latest_error: _Recent[CallReport | None] = _Recent(lambda: None)
        self.events: dict[str, EventCounts] = {}
        self.events_left_out = 0
        """Events with a new name after MAX_EVENTS names."""
        self.recorded_scans: Recording[ProcessScan] = Recording(MAX_RECORDED_REGIONS)
        """What scans counted in every region, while somebody records it."""
        self.recorded_calls: Recording[CallReport] = Recording(MAX_RECORDED_CALLS)
        self.guards: tuple[GuardState, ...] = ()
        """The guards that are on, as they stood after the latest decision."""
        self.swapped_out_pages = 0
        """All pages that were really swapped out, also of processes whose counts are forgotten."""

    def scan(self, scan: Scan) -> None:
        """Count a round of a tracker, and each process that it could not scan."""
        self.event(f"tracker.{scan.tracker}.scan", scan.ended_ns)
        for _ in scan.failed:
            self.event(f"tracker.{scan.tracker}.failed", scan.ended_ns)
        for process in scan.processes:
            self.recorded_scans.add(process, len(process.start))
            counts = self.scans.of(process.key.pid)
            pages, spent_ns = process.total_pages, process.ended_ns - process.started_ns
            accessed = int((process.accessed_pages * process.primed).sum())
            counts.scans += 1
            counts.total_pages += pages
            counts.total_ns += spent_ns
            counts.last_ns, counts.last_pages = spent_ns, pages
            counts.max_ns = max(counts.max_ns, spent_ns)
            counts.last_accessed_pages = accessed
            counts.accessed_pages += accessed
            counts.written_pages += int((process.written_pages * process.primed).sum())

    def call(self, report: CallReport) -> None:
        """Count a system call of the mover."""
        self.recorded_calls.add(report)
        pid = report.key.pid
        counts: MoveCounts | SwapCounts
        if report.call == "move_pages":
            counts = moves = self.moves.of(pid)
            moves.on_target_pages += report.done_pages
            moves.to_node[report.target] = moves.to_node.get(report.target, 0) + report.done_pages
        else:
            counts = swaps = self.swaps.of(pid)
            swaps.swapped_pages += report.done_pages
            self.swapped_out_pages += report.done_pages
            swaps.accepted_pages += report.requested_pages if report.returned >= 0 else 0
        counts.calls += 1
        counts.requested_pages += report.requested_pages
        for errno, pages in report.errnos.items():
            counts.errnos[errno] = counts.errnos.get(errno, 0) + pages
        self._keep_latest(report)

    def _keep_latest(self, report: CallReport) -> None:
        pid = report.key.pid
        self.latest_call.of(pid)
        self.latest_call[pid] = report
        if report.errnos or report.returned < 0:
            self.latest_error.of(pid)
            self.latest_error[pid] = report

    def report(self, report: MoveReport) -> None:
        """Count what became of the pages of a batch."""
        if report.dropped:
            return
        counts = self.outcomes.of(report.key.pid)
        for outcome in Outcome:
            counts[outcome] += int(report.outcomes[:, outcome].sum())

    def event(self, name: str, at_ns: int, times: int = 1) -> None:
        """Count a named event; several of them count as one moment."""
        counts = self.events.get(name)
        if counts is None:
            if len(self.events) >= MAX_EVENTS:
                self.events_left_out += 1
                return
            counts = self.events[name] = EventCounts(first_ns=at_ns)
        counts.count += times
        counts.last_ns = at_ns
