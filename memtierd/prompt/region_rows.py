"""Rows of the region table for the prompt: choosing them, and copying what is shown of them."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from memtierd.errors import CommandError
from memtierd.model import F32, I64, AddressRange, Bool, Outcome
from memtierd.placement.plan import Obstacle
from memtierd.policies.common import Policy
from memtierd.prompt.tables import Column, Table
from memtierd.reconcile import Reconciler
from memtierd.regions.columns import OBSTACLE_BASE
from memtierd.regions.history import active_ms, idle_ms
from memtierd.regions.huge_share import huge_share
from memtierd.regions.lifecycle import PLACEMENT
from memtierd.units import format_node_set

_PID = Column("pid", "pid", "%8d", "%d")
_START = Column("start", "start", "%12x", "%x")
_END = Column("end", "end", "%12x", "%x")
_PAGES = Column("pages", "pages", "%6d", "%d")
_STATE = Column("state", "state", "%-8s", colours={"active": "green", "idle": "blue"})
_PLACEMENT = Column("placement", "placement", "%-9s", colours={"misplaced": "yellow", "backoff": "red"})
_IDLE = Column("idle_s", "idle_s", "%9.3f", "%.3f")
_ACTIVE = Column("active_s", "active_s", "%9.3f", "%.3f")
_HEAT = Column("heat", "heat", "%9.6f", "%.6f")
_COUNTS = (Column("accesses", "accesses", "%9d", "%d"), Column("writes", "writes", "%9d", "%d"))
_HUGE = Column("huge_percent", "huge[%]", "%7.0f", "%.0f")
_SWAPPED = Column("swapped", "swapped", "%8d", "%d")
_DESIRED = Column("desired", "desired", "%-8s")
_OUTCOME = Column("outcome", "outcome", "%-13s")
_FAILURES = Column("failures", "failures", "%8d", "%d")


def _outcome_names() -> tuple[str, ...]:
    names = ["none", *(outcome.name.lower() for outcome in Outcome)]
    names += [f"code {code}" for code in range(len(names), OBSTACLE_BASE)]
    return (*names, *(obstacle.name.lower() for obstacle in Obstacle))


OUTCOME_NAMES = _outcome_names()
"""Names of the codes in the table's column `outcome`: how the last move ended, or what keeps one from starting."""


@attrs.frozen
class Choice:
    """Which regions to show."""

    pid: int | None = None
    states: tuple[str, ...] = ()
    """Of activity and placement; a region must be in one of those given of each machine."""
    ranges: tuple[AddressRange, ...] = ()
    """Regions that overlap any of them."""
    top: int | None = None
    """Only so many, those used most."""


def region_table(reconciler: Reconciler, choice: Choice) -> Table:
    """Return the chosen regions with all that is shown of them; shares no array with the region table.

    Raises CommandError for an unknown state or a process that is not tracked.
    """
    return _copy(reconciler, choose(reconciler, choice))


def choose(reconciler: Reconciler, choice: Choice) -> I64:
    """Return the chosen rows: in the table's order, or with `top` the ones used most first."""
    table = reconciler.table
    within = slice(0, len(table))
    if choice.pid is not None:
        within = rows_of_pid(reconciler, choice.pid)
    rows = np.arange(within.start, within.stop, dtype=np.int64)
    fits = _in_states(reconciler, within, choice.states) & _in_ranges(reconciler, within, choice.ranges)
    rows = rows[fits]
    return rows if choice.top is None else _most_used(reconciler, rows, choice.top)


def rows_of_pid(reconciler: Reconciler, pid: int) -> slice:
    """Return the rows of a process.  Raises CommandError when it is not tracked."""
    key = reconciler.processes.by_pid(pid)
    row = None if key is None else reconciler.processes.row(key)
    if row is None:
        raise CommandError(f"pid {pid} is not tracked")
    return reconciler.table.rows_of(row)


def _in_states(reconciler: Reconciler, within: slice, states: Sequence[str]) -> Bool:
    fits = np.ones(within.stop - within.start, dtype=np.bool_)
    machines = (
        (reconciler.policy.activity.declaration.states, reconciler.table.activity),
        (PLACEMENT.declaration.states, reconciler.table.placement),
    )
    known = {name for names, _ in machines for name in names}
    unknown = [state for state in states if state not in known]
    if unknown:
        there_are = ", ".join(dict.fromkeys(name for names, _ in machines for name in names))
        raise CommandError(f"unknown state {unknown[0]!r}; there are: {there_are}")
    for names, column in machines:
        codes = [code for code, name in enumerate(names) if name in states]
        if codes:
            fits &= np.isin(column[within], codes)
    return fits


def _in_ranges(reconciler: Reconciler, within: slice, ranges: Sequence[AddressRange]) -> Bool:
    table = reconciler.table
    fits = np.full(within.stop - within.start, not ranges, dtype=np.bool_)
    if ranges:
        start, end = table.start[within], table.end[within]
        for wanted in ranges:
            fits |= (start < np.uint64(wanted.end)) & (end > np.uint64(wanted.start))
    return fits


def _most_used(reconciler: Reconciler, rows: I64, top: int) -> I64:
    """Return the hottest rows, or without heat those with the most accesses."""
    table = reconciler.table
    use: F32 = table.heat[rows] if reconciler.policy.heat is not None else table.accesses[rows].astype(np.float32)
    if top < len(rows):
        few = np.argpartition(-use, top)[:top] if top else np.zeros(0, np.int64)
        rows, use = rows[few], use[few]
    ordered: I64 = rows[np.lexsort((rows, -use))]
    return ordered


def _copy(reconciler: Reconciler, rows: I64) -> Table:
    table, policy = reconciler.table, reconciler.policy
    chosen = table.take(rows)
    observed_ms = reconciler.processes.observed_ms[chosen.process]
    columns = [_PID, _START, _END, _PAGES, _STATE, _PLACEMENT]
    values: list[Sequence[Any] | np.ndarray[Any, Any]] = [
        reconciler.processes.pids[chosen.process],
        chosen.start,
        chosen.end,
        chosen.pages,
        _names(policy.activity.declaration.states, chosen.activity),
        _names(PLACEMENT.declaration.states, chosen.placement),
    ]
    if policy.heat is None:
        columns += [_IDLE, _ACTIVE]
        values += [
            idle_ms(chosen.last_access_ms, observed_ms) / 1000,
            active_ms(chosen.last_access_ms, chosen.active_since_ms) / 1000,
        ]
    else:
        columns += [_IDLE, _HEAT]
        values += [idle_ms(chosen.last_access_ms, observed_ms) / 1000, chosen.heat]
    columns += [*_COUNTS, _HUGE, _SWAPPED, *_node_columns(reconciler.node_ids), _DESIRED, _OUTCOME, _FAILURES]
    values += [chosen.accesses, chosen.writes, 100 * huge_share(chosen.flags), chosen.swapped_pages, *chosen.node_pages]
    values += [
        _names(place_names(policy), chosen.desired),
        _names(OUTCOME_NAMES, chosen.outcome),
        chosen.failures,
    ]
    return Table(tuple(columns), tuple(values))


def _node_columns(node_ids: Sequence[int]) -> list[Column]:
    return [Column(f"node{node}", f"node{node}", "%8d", "%d") for node in node_ids]


def _names(names: Sequence[str], codes: "np.typing.NDArray[np.uint8]") -> "np.typing.NDArray[np.object_]":
    return np.array(names, dtype=np.object_)[codes]


def place_names(policy: Policy) -> list[str]:
    """Return how the places that the policy wants regions in are called, by their code."""
    return [format_node_set(place.nodes) or "any" for place in policy.places]
