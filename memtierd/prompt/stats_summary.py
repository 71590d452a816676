"""The summary that `stats` prints without arguments, and system calls in one line."""

from memtierd.model import CallReport
from memtierd.placement.guards import GuardState
from memtierd.statistics import MoveCounts, ScanCounts, Statistics, SwapCounts
from memtierd.text import printable
from memtierd.units import MIB, PAGE_BYTES

_NS_PER_MS = 1_000_000


def summary(statistics: Statistics) -> list[str]:
    """Return all counts in lines: moves, swap outs, then scans, process by process; then how guards stand."""
    lines = []
    for pid, moves in sorted(statistics.moves.items()):
        lines += [f"move_pages on pid: {pid}", *_moves(moves)]
    for pid, swaps in sorted(statistics.swaps.items()):
        lines += [f"process_madvise on pid: {pid}", *_swaps(swaps)]
    for pid, scans in sorted(statistics.scans.items()):
        lines += [f"memory scans on pid: {pid}", *_scans(scans)]
    for guard in statistics.guards:
        lines += [f"guard {guard.guard} ({printable(guard.scope)}):", *_guard(guard)]
    return lines


def _moves(counts: MoveCounts) -> list[str]:
    return [
        f"    calls: {counts.calls}",
        f"    requested: {_pages(counts.requested_pages)}",
        f"    on target: {_pages(counts.on_target_pages)}",
        *(f"        to node {node}: {_pages(pages)}" for node, pages in sorted(counts.to_node.items())),
        f"    errors: {_pages(sum(counts.errnos.values()))}",
    ]


def _swaps(counts: SwapCounts) -> list[str]:
    return [
        f"    calls: {counts.calls}",
        f"    requested: {_pages(counts.requested_pages)}",
        f"    swapped out: {_pages(counts.swapped_pages)}",
        f"    errors: {_pages(sum(counts.errnos.values()))}",
    ]


def _scans(counts: ScanCounts) -> list[str]:
    scans = max(1, counts.scans)
    total_ms = counts.total_ns // _NS_PER_MS
    return [
        f"    scans: {counts.scans}",
        f"    scan time: {total_ms} ms ({total_ms // scans} ms/scan)",
        f"    scanned: {_pages_by_scan(counts.total_pages, scans)}",
        f"    accessed: {_pages_by_scan(counts.accessed_pages, scans)}",
        f"    written: {_pages_by_scan(counts.written_pages, scans)}",
    ]


def _guard(guard: GuardState) -> list[str]:
    state = f"    demotion: {'held back' if guard.is_paused else 'goes on'}, {guard.held_regions} regions held"
    if guard.max_percent is None:
        return [state, f"    came back soon: {guard.pauses} times"]
    now = "unknown" if guard.percent is None else f"{guard.percent:.2f} %"
    return [state, f"    now: {now} of at most {guard.max_percent:g} %", f"    paused: {guard.pauses} times"]


def _pages(pages: int) -> str:
    return f"{pages} pages ({pages * PAGE_BYTES // MIB} MB)"


def _pages_by_scan(pages: int, scans: int) -> str:
    return f"{pages} pages ({pages // scans} pages/scan, {pages * PAGE_BYTES // scans // MIB} MB/scan)"


def call_line(report: CallReport) -> str:
    """Return one system call of the mover with its arguments and what came of it."""
    asked = (
        f"{report.call}(pid={report.key.pid}, pagecount={report.requested_pages}, firstpage={report.first_address:x}"
    )
    by_errno = " ".join(f"{errno}:{pages}" for errno, pages in sorted(report.errnos.items()))
    if report.call != "move_pages":
        swapped = f"swapped={report.done_pages} [errno:pagecount]=map[{by_errno}]"
        advice = " advice=PAGEOUT" if report.call == "process_madvise" else ""
        return f"{asked}{advice}) => (return={report.returned} {swapped})"
    elsewhere = max(0, report.requested_pages - report.done_pages - sum(report.errnos.values()))
    ended = f"on_dest={report.done_pages} on_other={elsewhere} [errno:pagecount]=map[{by_errno}]"
    return f"{asked} dest={report.target}) => (return={report.returned} {ended})"
