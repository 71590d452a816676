"""The tables of `stats -t`: counts of scans, moves, swap outs and events, and guards, as rows."""

import os
from collections.abc import Callable

from memtierd.errors import errno_name
from memtierd.model import Outcome
from memtierd.prompt.tables import Column, Table, from_rows
from memtierd.statistics import Statistics
from memtierd.text import printable
from memtierd.units import GIB, PAGE_BYTES

_NS_PER_S = 1e9

_PID = Column("pid", "pid", "%8d", "%d")
_CALLS = Column("calls", "calls", "%8d", "%d")
_REQUESTED = Column("requested_pages", "req[pages]", "%10d", "%d")
_OK = Column("ok_pages", "ok[pages]", "%10d", "%d")

EVENTS = (
    Column("count", "count", "%8d", "%d"),
    Column("interval_s", "timeint[s]", "%10.3f", "%.6f"),
    Column("latest_s_ago", "latest[s ago]", "%13.3f", "%.6f"),
    Column("name", "name", "%s"),
)
PROCESS_MADVISE = (
    _PID,
    _CALLS,
    _REQUESTED,
    _OK,
    Column("ok_gb", "ok[G]", "%8.3f", "%.6f"),
    Column("pageout_gb", "PAGEOUT[G]", "%.3f", "%.6f"),
)
MOVE_PAGES = (
    _PID,
    _CALLS,
    _REQUESTED,
    _OK,
    Column("moved_gb", "moved[G]", "%8.3f", "%.6f"),
    Column("moved_gb_by_node", "targetnode:moved[G]", "%s"),
)
MOVE_PAGES_ERRORS = (
    _PID,
    Column("pages", "pages", "%8d", "%d"),
    Column("size_gb", "size[G]", "%8.3f", "%.6f"),
    Column("errno", "errno", "%8d", "%d"),
    Column("error", "error", "%s"),
)
MEMORY_SCANS = (
    _PID,
    Column("scans", "scans", "%8d", "%d"),
    Column("total_pages", "tot[pages]", "%12d", "%d"),
    Column("average_s", "avg[s]", "%6.3f", "%.6f"),
    Column("last_s", "last", "%6.3f", "%.6f"),
    Column("max_s", "max[s]", "%6.3f", "%.6f"),
    Column("average_gb", "avg[G]", "%8.3f", "%.6f"),
    Column("last_gb", "last[G]", "%8.3f", "%.6f"),
    Column("accessed_percent", "a+w[%]", "%6.2f", "%.6f"),
    Column("last_accessed_percent", "last", "%5.2f", "%.6f"),
)
GUARDS = (
    Column("guard", "guard", "%-18s", "%s"),
    Column("state", "state", "%8s", "%s"),
    Column("percent", "now[%]", "%7s", "%s"),
    Column("max_percent", "max[%]", "%7s", "%s"),
    Column("since_s_ago", "since[s ago]", "%12s", "%s"),
    Column("times", "times", "%6d", "%d"),
    Column("held_regions", "held[regions]", "%13d", "%d"),
    Column("scope", "scope", "%s"),
)
OUTCOMES = (_PID, *(Column(outcome.name.lower(), outcome.name.lower(), "%13d", "%d") for outcome in Outcome))


def events(statistics: Statistics, now_ns: int) -> Table:
    """Return how often each named event happened, how far apart on average, and how long ago the last time."""
    rows = []
    for name, counts in sorted(statistics.events.items()):
        intervals = max(1, counts.count - 1)
        apart_s = (counts.last_ns - counts.first_ns) / intervals / _NS_PER_S
        rows.append((counts.count, apart_s, (now_ns - counts.last_ns) / _NS_PER_S, name))
    return from_rows(EVENTS, rows, "table: events")


def process_madvise(statistics: Statistics, _now_ns: int) -> Table:
    """Return what each process was asked to swap out; the last column is what really was."""
    rows = [
        (
            pid,
            counts.calls,
            counts.requested_pages,
            counts.accepted_pages,
            _gb(counts.accepted_pages),
            _gb(counts.swapped_pages),
        )
        for pid, counts in sorted(statistics.swaps.items())
    ]
    return from_rows(PROCESS_MADVISE, rows, "table: process_madvise syscalls")


def move_pages(statistics: Statistics, _now_ns: int) -> Table:
    """Return what was moved of each process, and to which nodes."""
    rows = []
    for pid, counts in sorted(statistics.moves.items()):
        by_node = ";".join(f"{node}:{_gb(pages):.3f}" for node, pages in sorted(counts.to_node.items()))
        done = counts.on_target_pages
        rows.append((pid, counts.calls, counts.requested_pages, done, _gb(done), by_node))
    return from_rows(MOVE_PAGES, rows, "table: move_pages syscalls")


def move_pages_errors(statistics: Statistics, _now_ns: int) -> Table:
    """Return how many pages of each process could not be moved, by what the kernel said."""
    rows = [
        (pid, pages, _gb(pages), errno, f"{os.strerror(errno).lower()} ({errno_name(errno)})")
        for pid, counts in sorted(statistics.moves.items())
        for errno, pages in sorted(counts.errnos.items())
    ]
    return from_rows(MOVE_PAGES_ERRORS, rows, "table: move_pages syscall errors in page statuses")


def memory_scans(statistics: Statistics, _now_ns: int) -> Table:
    """Return how much was scanned of each process, how long it took, and how much of it was accessed."""
    rows = []
    for pid, counts in sorted(statistics.scans.items()):
        scans = max(1, counts.scans)
        rows.append(
            (
                pid,
                counts.scans,
                counts.total_pages,
                counts.total_ns / scans / _NS_PER_S,
                counts.last_ns / _NS_PER_S,
                counts.max_ns / _NS_PER_S,
                _gb(counts.total_pages) / scans,
                _gb(counts.last_pages),
                _percent(counts.accessed_pages, counts.total_pages),
                _percent(counts.last_accessed_pages, counts.last_pages),
            )
        )
    return from_rows(MEMORY_SCANS, rows, "table: memory scans")


def outcomes(statistics: Statistics, _now_ns: int) -> Table:
    """Return how the pages of finished moves ended, by process."""
    rows = [(pid, *counts) for pid, counts in sorted(statistics.outcomes.items())]
    return from_rows(OUTCOMES, rows, "table: outcomes of moves in pages")


def guards(statistics: Statistics, now_ns: int) -> Table:
    """Return how every guard stands, since when, and how often it has held back; "-" for what can't be told."""
    rows = [
        (
            guard.guard,
            "paused" if guard.is_paused else "open",
            _or_dash(guard.percent),
            _or_dash(guard.max_percent),
            _or_dash(None if guard.since_ns is None else (now_ns - guard.since_ns) / _NS_PER_S),
            guard.pauses,
            guard.held_regions,
            printable(guard.scope),
        )
        for guard in statistics.guards
    ]
    return from_rows(GUARDS, rows, "table: guards of demotion")


TABLES: dict[str, Callable[[Statistics, int], Table]] = {
    "events": events,
    "process_madvise": process_madvise,
    "move_pages": move_pages,
    "move_pages_errors": move_pages_errors,
    "memory_scans": memory_scans,
    "outcomes": outcomes,
    "guards": guards,
}
"""All tables by name; the functions get the statistics and the monotonic time in nanoseconds."""


def _or_dash(value: float | None) -> float | str:
    return "-" if value is None else round(value, 3)


def _gb(pages: int) -> float:
    return pages * PAGE_BYTES / GIB


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
