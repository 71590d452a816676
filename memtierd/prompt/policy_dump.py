"""What `policy -dump` tells: how long ago memory was accessed, and how hot it is."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import attrs
import numpy as np

from memtierd.errors import CommandError
from memtierd.model import F32, U32, U64
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatmapParams, HeatParams, heat_classes
from memtierd.prompt.kinds import PIDS
from memtierd.prompt.tables import Column, Table, from_rows
from memtierd.reconcile import Reconciler
from memtierd.units import GIB, PAGE_BYTES, parse_duration_ns

ACCESSED = (
    Column("pid", "pid", "%8s"),
    Column("at_least_s", "lastaccs>=[s]", "%13.3f", "%.3f"),
    Column("less_than_s", "lastaccs<[s]", "%12.3f", "%.3f"),
    Column("pages", "pages", "%8d", "%d"),
    Column("memory_gb", "mem[G]", "%8.3f", "%.6f"),
    Column("percent_of_pid", "pidmem[%]", "%9.2f", "%.6f"),
)
MAX_HEAT = (Column("pid", "pid", "%8d", "%d"), Column("max_heat", "maxHeat", "%8.4f", "%.6f"))
HEATGRAM = (
    Column("pid", "pid", "%8d", "%d"),
    Column("heat_class", "class", "%5d", "%d"),
    Column("percent_of_pid", "pidmem[%]", "%9.2f", "%.6f"),
    Column("percent_of_all", "totmem[%]", "%9.2f", "%.6f"),
    Column("memory_gb", "mem[G]", "%9.3f", "%.6f"),
)
Interval = tuple[float, float]
"""At least and less than so many seconds; the latter 0: any time."""


@attrs.frozen(eq=False)
class ProcessColumns:
    """Copies of some columns of one process's regions."""

    pid: int
    start: U64
    pages: U32
    last_access_ms: U32
    heat: F32


def process_columns(reconciler: Reconciler, pids: Sequence[int] = ()) -> list[ProcessColumns]:
    """Return the regions of the named processes, or of all, ascending by pid."""
    table = reconciler.table
    chosen = []
    for row, facts in sorted(reconciler.processes.rows(), key=lambda item: item[1].key.pid):
        if not pids or facts.key.pid in pids:
            rows = table.rows_of(row)
            chosen.append(
                ProcessColumns(
                    facts.key.pid,
                    table.start[rows].copy(),
                    table.pages[rows].copy(),
                    table.last_access_ms[rows].copy(),
                    table.heat[rows].copy(),
                )
            )
    return chosen


def parse_times(text: str) -> list[Interval]:
    """Return the intervals between TIMEs such as ``0,5s,30s,0``.  Raises CommandError."""
    try:
        times = [parse_duration_ns(item) / 1e9 for item in text.split(",")]
    except ValueError as error:
        raise CommandError(f"-dump accessed: {error}") from error
    if len(times) < 2:
        raise CommandError("-dump accessed: at least two times are needed, such as 0,10s or 10s,0")
    intervals = list(pairwise(times))
    if any(high <= low for low, high in intervals[:-1]) or 0 < intervals[-1][1] <= intervals[-1][0]:
        raise CommandError(f"-dump accessed: the times {text} don't ascend")
    return intervals


def parse_pids(words: Sequence[str]) -> tuple[int, ...]:
    """Return the pids in words, each a pid or several with commas.  Raises CommandError."""
    try:
        return tuple(pid for word in words for pid in PIDS.parse(word))
    except ValueError as error:
        raise CommandError(f"-dump accessed: {error}") from error


def configured_intervals(params: AgeParams) -> list[Interval]:
    """Return the intervals between the durations that the policy moves memory at."""
    durations = {params.active_duration_ms, params.idle_duration_ms, params.swap_out_ms} - {0}
    return list(pairwise([0.0, *(duration / 1000 for duration in sorted(durations)), 0.0]))


def accessed(processes: Sequence[ProcessColumns], now_ms: int, intervals: Sequence[Interval]) -> Table:
    """Return how many pages of each process were last accessed in each interval; first of all together."""
    pages = {process.pid: _pages_in(process, now_ms, intervals) for process in processes}
    totals = {process.pid: int(process.pages.sum(dtype=np.uint64)) for process in processes}
    rows: list[tuple[object, ...]] = []
    if len(processes) > 1:
        together = [sum(column) for column in zip(*pages.values(), strict=True)]
        rows += _accessed_rows("all", together, sum(totals.values()), intervals)
    for pid, counts in pages.items():
        rows += _accessed_rows(str(pid), counts, totals[pid], intervals)
    return from_rows(ACCESSED, rows, "table: time since last access")


def _pages_in(process: ProcessColumns, now_ms: int, intervals: Sequence[Interval]) -> list[int]:
    ago_s = np.maximum(0, now_ms - process.last_access_ms.astype(np.int64)) / 1000
    return [
        int(process.pages[(ago_s >= low) & (ago_s < (high or np.inf))].sum(dtype=np.uint64)) for low, high in intervals
    ]


def _accessed_rows(
    name: str, counts: Sequence[int], total: int, intervals: Sequence[Interval]
) -> Iterator[tuple[object, ...]]:
    for (low, high), pages in zip(intervals, counts, strict=True):
        yield name, low, high, pages, _gb(pages), 100 * pages / total if total else 0.0


def heatmap_lines(processes: Sequence[ProcessColumns], heatmap: HeatmapParams) -> Iterator[str]:
    """Yield one line for each region: its number, range, pages, heat and class."""
    yield "heatmap:"
    for process in processes:
        classes = heat_classes(process.heat, heatmap)
        columns = (process.start, process.pages, process.heat, classes)
        for index, (start, pages, heat, heat_class) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            where = f"{start:x}-{start + pages * PAGE_BYTES:x}({pages})"
            yield f"pid: {process.pid}: {index} {{{where},{heat:.6f}}} (class {heat_class})"


def heatgram(processes: Sequence[ProcessColumns], heatmap: HeatmapParams) -> dict[str, Table]:
    """Return the hottest heat of each process, and its memory by heat class."""
    hottest = [(process.pid, float(process.heat.max(initial=0))) for process in processes]
    everything = sum(int(process.pages.sum(dtype=np.uint64)) for process in processes)
    rows = []
    for process in processes:
        pages = np.bincount(heat_classes(process.heat, heatmap), weights=process.pages, minlength=heatmap.heat_classes)
        of_process = max(1.0, float(pages.sum()))
        for heat_class, count in enumerate(pages.tolist()):
            rows.append(
                (process.pid, heat_class, 100 * count / of_process, 100 * count / max(1, everything), _gb(count))
            )
    return {
        "max_heat": from_rows(MAX_HEAT, hottest, "table: maximum heat in heatmaps"),
        "heat_classes": from_rows(HEATGRAM, rows, "table: memory in heat classes"),
    }


def heatmap_of(params: object, what: str, classes: int | None = None) -> HeatmapParams:
    """Return how heat is divided into classes.  Raises CommandError when the policy keeps no heat."""
    if not isinstance(params, HeatParams):
        raise CommandError(f"-dump {what}: the policy keeps no heat; only the heat policy does")
    return params.heatmap if classes is None else attrs.evolve(params.heatmap, heat_classes=classes)


def parse_classes(words: Sequence[str]) -> int | None:
    """Return the number of classes asked for, None when it wasn't.  Raises CommandError."""
    if not words:
        return None
    if len(words) == 1 and words[0].isdecimal() and 1 <= int(words[0]) <= 240:
        return int(words[0])
    raise CommandError(
        f"-dump heatgram: invalid argument {' '.join(words)!r}, expected a number of classes from 1 to 240"
    )


def _gb(pages: float) -> float:
    return pages * PAGE_BYTES / GIB
