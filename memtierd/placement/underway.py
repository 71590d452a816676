"""What the mover has and what it has moved unseen: it takes room that no observation shows yet."""

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.model import I64, U32
from memtierd.placement.plan import Plan
from memtierd.regions.lifecycle import QUEUED
from memtierd.regions.table import RegionTable, region_key

_GIVEN = np.dtype([("key", np.uint64), ("process", np.uint16), ("target", np.int16), ("pages", np.uint32)])


@attrs.frozen
class _Arrival:
    """Pages of a process that were moved to a node."""

    process: int
    node: int
    pages: int
    reported_ns: int


class UnderWay:
    """Regions that were given to the mover, and pages that have arrived since their process was seen last."""

    def __init__(self) -> None:
        self._given: npt.NDArray[np.void] = np.zeros(0, _GIVEN)
        self._arrivals: list[_Arrival] = []

    def begin(self, table: RegionTable, moves: Plan) -> None:
        """Note what the mover was given, beside what it has already."""
        fresh = np.zeros(len(moves), _GIVEN)
        fresh["key"], fresh["process"] = region_key(moves.process, moves.start), moves.process
        fresh["target"], fresh["pages"] = moves.target, moves.move_pages
        others = self._still_queued(table)
        self._given = np.concatenate([others[~np.isin(others["key"], fresh["key"])], fresh])

    def arrive(self, process: int, node: int, pages: int, reported_ns: int) -> None:
        """Note that pages of the process in a row were moved to a node."""
        self._arrivals.append(_Arrival(process, node, pages, reported_ns))

    def queued_pages(self, table: RegionTable) -> dict[int, int]:
        """Return how many pages the mover still has for each target, if it has any."""
        given = self._given = self._still_queued(table)
        targets = np.unique(given["target"]).tolist()
        return {target: int(given["pages"][given["target"] == target].sum(dtype=np.int64)) for target in targets}

    def arrived_pages(self, observed_ms: U32 | I64, at_ms: Callable[[int], int]) -> dict[int, int]:
        """Return the pages on each node that no scan has seen there yet, where there are any.

        `observed_ms` has the time of the last scan by process row; `at_ms` gives the table's time for nanoseconds.
        """
        self._arrivals = [a for a in self._arrivals if observed_ms[a.process] <= at_ms(a.reported_ns)]
        arrived: dict[int, int] = {}
        for arrival in self._arrivals:
            arrived[arrival.node] = arrived.get(arrival.node, 0) + arrival.pages
        return arrived

    def forget(self, processes: list[int]) -> None:
        """Drop what is known of the processes in these rows."""
        self._given = self._given[~np.isin(self._given["process"], processes)]
        self._arrivals = [arrival for arrival in self._arrivals if arrival.process not in processes]

    def _still_queued(self, table: RegionTable) -> npt.NDArray[np.void]:
        if not len(self._given):
            return self._given
        queued = table.placement == QUEUED
        return self._given[np.isin(self._given["key"], region_key(table.process[queued], table.start[queued]))]
