"""Short ways to write tables, scans and machines with plain values."""

from collections.abc import Sequence

import attrs
import numpy as np

from memtierd.model import (
    U32,
    U64,
    MachineFacts,
    NodeFacts,
    ProcessFacts,
    ProcessKey,
    ProcessScan,
    Scan,
    ScanFailure,
)
from memtierd.regions.geometry import Cut, follow
from memtierd.regions.table import RegionTable
from memtierd.units import PAGE_BYTES

BASE = 0x7F00_0000_0000
MS = 1_000_000
NODES = (0, 1, 2, 3)
Regions = Sequence[tuple[int, int]]
"""(first page behind BASE, pages) of each region."""


def u32(*values: int) -> U32:
    """Return a column."""
    return np.array(values, np.uint32)


def addresses(*first_pages: int) -> U64:
    """Return the addresses of pages behind BASE."""
    return np.array([BASE + page * PAGE_BYTES for page in first_pages], np.uint64)


def cut(process: int, regions: Regions, seen_ms: int = 0) -> Cut:
    """Return these regions of a process."""
    return Cut(process, addresses(*(f for f, _ in regions)), u32(*(n for _, n in regions)), seen_ms)


def table_of(*cuts: Cut, nodes: int = len(NODES)) -> RegionTable:
    """Return a table of fresh regions."""
    table, _ = follow(RegionTable(nodes), cuts)
    return table


def as_pages(table: RegionTable) -> list[tuple[int, int, int]]:
    """Return (process row, first page behind BASE, pages) of each row."""
    firsts = ((table.start - np.uint64(BASE)) // np.uint64(PAGE_BYTES)).tolist()
    return list(zip(table.process.tolist(), firsts, table.pages.tolist(), strict=True))


def column(values: int | Sequence[int], rows: int) -> U32:
    """Return one value for all rows, or the values given."""
    return np.broadcast_to(np.array(values, np.uint32), rows).copy()


def facts_of(
    pid: int = 100, start_ticks: int = 1, *, allowed: Sequence[int] = NODES, running_node: int = 0
) -> ProcessFacts:
    """Return what is known of a process."""
    return ProcessFacts(ProcessKey(pid, start_ticks), f"program{pid}", frozenset(allowed), running_node)


def scan_of(
    facts: ProcessFacts,
    at_ms: int,
    regions: Regions,
    *,
    accessed: int | Sequence[int] = 0,
    written: int | Sequence[int] = 0,
    primed: bool | Sequence[bool] = True,
    swapped: int | Sequence[int] = 0,
    node: int | Sequence[int] = 0,
    node_pages: Sequence[Sequence[int]] | None = None,
) -> ProcessScan:
    """Return a scan of one process; all pages of a region lie on its `node`, if `node_pages` doesn't say otherwise."""
    rows = len(regions)
    pages = u32(*(n for _, n in regions))
    where: U32 = np.zeros((len(NODES), rows), np.uint32)
    where[column(node, rows), np.arange(rows)] = pages
    return ProcessScan(
        facts=facts,
        started_ns=at_ms * MS,
        ended_ns=at_ms * MS + 1,
        start=addresses(*(f for f, _ in regions)),
        pages=pages,
        accessed_pages=column(accessed, rows),
        written_pages=column(written, rows),
        primed=np.broadcast_to(np.array(primed, np.bool_), rows).copy(),
        swapped_pages=column(swapped, rows),
        node_pages=where if node_pages is None else np.array(node_pages, np.uint32).reshape(len(NODES), rows),
    )


def round_of(
    *processes: ProcessScan,
    at_ms: int | None = None,
    gone: Sequence[ProcessKey] = (),
    failed: Sequence[ScanFailure] = (),
) -> Scan:
    """Return a whole round of a tracker."""
    started_ns = processes[0].started_ns if at_ms is None else at_ms * MS
    return Scan("test", started_ns, started_ns + 1, processes, tuple(gone), tuple(failed))


def machine_of(
    free_pages: Sequence[int] = (1 << 20,) * 4,
    *,
    total_pages: int = 1 << 21,
    swap: tuple[int, int] = (1 << 20, 1 << 20),
    nodes: Sequence[int] = NODES,
) -> MachineFacts:
    """Return a machine; the distance of two nodes is 10 and 5 for each step between their numbers.

    `swap` is (total, free) pages.
    """
    found = tuple(
        NodeFacts(node, total_pages, free, node < 2, {other: 10 + 5 * abs(node - other) for other in nodes})
        for node, free in zip(nodes, free_pages, strict=True)
    )
    return MachineFacts(found, *swap)


def without_swap(machine: MachineFacts) -> MachineFacts:
    """Return the machine without any swap space."""
    return attrs.evolve(machine, swap_total_pages=0, swap_free_pages=0)
