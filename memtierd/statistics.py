"""Counting what was scanned, moved and swapped, by process, and named events; bounded, and owned by one thread."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs
import numpy as np

from memtierd.model import OUTCOMES, U32, U64, CallReport, MoveReport, Outcome, ProcessScan, Scan
from memtierd.placement.guards import GuardState
from memtierd.recording import Recording

MAX_PIDS = 4096
"""Processes whose counts are kept; the one that was heard of longest ago is forgotten first."""
MAX_EVENTS = 1024
MAX_RECORDED_REGIONS = 2_000_000
"""About 60 MB."""
MAX_RECORDED_CALLS = 100_000
UNKNOWN_PLACE = -2
"""Where memory was that a move found and no scan had seen; places are nodes and SWAP_NODE."""
BOUNDS_NS = tuple(
    int(seconds * 1e9) for seconds in (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
)
"""By which durations are counted."""
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


@attrs.define
class Durations:
    """How long something took, counted by length."""

    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    last_ended_ns: int = 0
    by_bound: list[int] = attrs.field(factory=lambda: [0] * (len(BOUNDS_NS) + 1))
    """One count for each of BOUNDS_NS, of what took at most that long and longer than the bound before; then longer."""

    def add(self, spent_ns: int, ended_ns: int) -> None:
        """Count one."""
        self.count += 1
        self.total_ns += spent_ns
        self.longest_ns = max(self.longest_ns, spent_ns)
        self.last_ended_ns = ended_ns
        self.by_bound[bisect_left(BOUNDS_NS, spent_ns)] += 1


@attrs.define
class Totals:
    """Sums over all processes, also over those whose own counts are forgotten: they never shrink."""

    scans: Durations = attrs.field(factory=Durations)
    """Whole rounds of trackers."""
    ticks: Durations = attrs.field(factory=Durations)
    scanned_pages: int = 0
    accessed_pages: int = 0
    written_pages: int = 0
    unscanned_processes: int = 0
    """How often a process could not be scanned."""
    calls: dict[str, int] = attrs.field(factory=dict)
    """System calls of the mover by name."""
    outcome_pages: list[int] = attrs.field(factory=lambda: [0] * OUTCOMES)
    """By Outcome."""
    errno_pages: dict[int, int] = attrs.field(factory=dict)
    """Pages that ended unmoved, by errno."""
    moved_pages: dict[tuple[int, int], int] = attrs.field(factory=dict)
    """By the place where they were, UNKNOWN_PLACE when nobody saw it, and the place to which they went."""


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
        self.totals = Totals()

    def scan(self, scan: Scan) -> None:
        """Count a round of a tracker, and each process that it could not scan."""
        self.event(f"tracker.{scan.tracker}.scan", scan.ended_ns)
        for _ in scan.failed:
            self.event(f"tracker.{scan.tracker}.failed", scan.ended_ns)
        totals = self.totals
        totals.scans.add(scan.ended_ns - scan.started_ns, scan.ended_ns)
        totals.unscanned_processes += len(scan.failed)
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
            written = int((process.written_pages * process.primed).sum())
            counts.written_pages += written
            totals.scanned_pages += pages
            totals.accessed_pages += accessed
            totals.written_pages += written

    def call(self, report: CallReport) -> None:
        """Count a system call of the mover."""
        self.recorded_calls.add(report)
        pid = report.key.pid
        self.totals.calls[report.call] = self.totals.calls.get(report.call, 0) + 1
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
        totals = self.totals
        for outcome in Outcome:
            pages = int(report.outcomes[:, outcome].sum())
            counts[outcome] += pages
            totals.outcome_pages[outcome] += pages
        for errno, pages in report.errnos.items():
            totals.errno_pages[errno] = totals.errno_pages.get(errno, 0) + pages
        if moved := int(report.outcomes[:, Outcome.MOVED].sum()):
            way = UNKNOWN_PLACE, report.target
            totals.moved_pages[way] = totals.moved_pages.get(way, 0) + moved

    def came_from(self, target: int, node_ids: Sequence[int], moved_pages: U64, node_pages: U32) -> None:
        """Say where pages of a report that was counted were, one entry a region that moved.

        `node_pages`, shape (nodes, regions), is where the latest scan saw their pages; of a region on several nodes
        each gets its share.  What it saw at the target did not come from there.
        """
        seen = node_pages.astype(np.float64)
        seen[[node == target for node in node_ids]] = 0
        whole = seen.sum(axis=0)
        shares = np.divide(moved_pages, whole, out=np.zeros(len(whole)), where=whole > 0)
        ways, left = self.totals.moved_pages, int(moved_pages.sum())
        for node, share in zip(node_ids, (seen @ shares).tolist(), strict=True):
            if pages := min(round(share), left):
                ways[node, target] = ways.get((node, target), 0) + pages
                left -= pages
        self._correct_unknown(target, int(moved_pages.sum()) - left)

    def _correct_unknown(self, target: int, pages: int) -> None:
        """Take back pages from an unknown place that `report` has just counted; whole numbers, so none is lost."""
        unknown = UNKNOWN_PLACE, target
        rest = self.totals.moved_pages.pop(unknown, 0) - pages
        if rest:
            self.totals.moved_pages[unknown] = rest

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
