"""Heats of regions as forecasters get and give them, taken from the table and laid over its column."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs
import numpy as np

from memtierd.model import F32, I64, U32, U64, ProcessKey
from memtierd.regions import geometry
from memtierd.regions.history import is_judged
from memtierd.regions.processes import ProcessTable
from memtierd.regions.table import RegionTable


@attrs.frozen(eq=False)
class ProcessHeats:
    """Regions of one process; one entry a region in each column."""

    start: U64
    pages: U32
    heat: F32
    created_ns: I64
    """When the region was first handed to a forecaster."""
    updated_ns: I64
    """When its heat was last observed."""


Heats = Mapping[ProcessKey, ProcessHeats]
NO_HEATS: Heats = MappingProxyType({})


def heats_of(table: RegionTable, processes: ProcessTable, now_ms: int, now_ns: int) -> Heats:
    """Return copies of the heats of all regions that a scan could judge, by process.

    `now_ns` is `now_ms` on the clock that the result shall have times of; each region counts as created when it
    was last observed (see `with_ages`).
    """
    heats: dict[ProcessKey, ProcessHeats] = {}
    for row, facts in processes.rows():
        rows = table.rows_of(row)
        judged = is_judged(table.flags[rows])
        count = int(np.count_nonzero(judged))
        if count:
            observed_ns = now_ns - (now_ms - int(processes.observed_ms[row])) * 1_000_000
            observed = np.full(count, observed_ns, dtype=np.int64)
            heats[facts.key] = ProcessHeats(
                table.start[rows][judged], table.pages[rows][judged], table.heat[rows][judged], observed, observed
            )
    return heats


def with_ages(heats: Heats, before: Heats) -> Heats:
    """Return the heats with the creation times that the same regions had before."""
    return {key: _aged(now, before[key]) if key in before else now for key, now in heats.items()}


def _aged(now: ProcessHeats, before: ProcessHeats) -> ProcessHeats:
    """Both are in the order of addresses."""
    position = np.minimum(np.searchsorted(before.start, now.start), len(before.start) - 1)
    is_same = (before.start[position] == now.start) & (before.pages[position] == now.pages)
    return attrs.evolve(now, created_ns=np.where(is_same, before.created_ns[position], now.created_ns))


def heat_column(table: RegionTable, processes: ProcessTable, forecast: Heats, maximum: float) -> F32:
    """Return a copy of the table's heat, with that of the forecast (at most `maximum`) for exactly its regions."""
    heat = table.heat.copy()
    for key, of_process in forecast.items():
        process = processes.row(key)
        if process is not None:
            rows, found = geometry.match(table, process, of_process.start, of_process.pages)
            heat[rows] = np.minimum(of_process.heat[found], np.float32(maximum))
    return heat
