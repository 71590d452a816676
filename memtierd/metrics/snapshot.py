"""What the control thread knows, summed up for metrics in one go; it costs it a few milliseconds."""

import copy
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from memtierd.model import I64, SWAP_NODE, ProcessKey
from memtierd.placement.guards import GuardState
from memtierd.placement.plan import Obstacle, Plan
from memtierd.reconcile import Reconciler
from memtierd.regions.lifecycle import PLACEMENT
from memtierd.statistics import Totals

_GONE = "gone"


@attrs.frozen(eq=False)
class Snapshot:
    """Plain values; pages by place have a last column for swap."""

    policy: str
    tracker: str
    states: tuple[str, ...]
    node_ids: tuple[int, ...]
    group_pages: I64
    """Shape (groups, states, nodes + 1)."""
    placement_regions: dict[str, int]
    processes: int
    table_bytes: int
    planned_pages: dict[int, int]
    """By target, for every node and SWAP_NODE."""
    blocked_pages: dict[str, int]
    """By obstacle, for every one."""
    swapped_out_pages: int
    totals: Totals
    events: dict[str, int]
    events_left_out: int
    guards: tuple[GuardState, ...]


def take(reconciler: Reconciler, group_of: Mapping[ProcessKey, int], groups: int) -> Snapshot:
    """Return a snapshot; `group_of` gives the group, below `groups`, of each process, the last one for all others."""
    table, statistics = reconciler.table, reconciler.statistics
    scan = reconciler.last_scan
    planned, blocked = _plan_pages(reconciler.plan, reconciler.node_ids)
    return Snapshot(
        policy=reconciler.policy.name,
        tracker=scan.tracker if scan is not None else "",
        states=_states(reconciler),
        node_ids=reconciler.node_ids,
        group_pages=_group_pages(reconciler, group_of, groups),
        placement_regions=_placement_regions(reconciler),
        processes=len(reconciler.processes),
        table_bytes=len(table) * table.bytes_per_region,
        planned_pages=planned,
        blocked_pages=blocked,
        swapped_out_pages=statistics.swapped_out_pages,
        totals=copy.deepcopy(statistics.totals),
        events={name: event.count for name, event in statistics.events.items()},
        events_left_out=statistics.events_left_out,
        guards=statistics.guards,
    )


def _states(reconciler: Reconciler) -> tuple[str, ...]:
    """Return the states of living regions; their codes are their positions."""
    states = reconciler.policy.activity.declaration.states
    return tuple(state for state in states if state != _GONE)


def _group_pages(reconciler: Reconciler, group_of: Mapping[ProcessKey, int], groups: int) -> I64:
    """Return the pages of every group by state and place, shape (groups, states, nodes + 1)."""
    table, states = reconciler.table, len(_states(reconciler))
    rows = dict(reconciler.processes.rows())
    first_code = np.zeros(max(rows, default=0) + 1, np.int64)
    for row, facts in rows.items():
        first_code[row] = group_of.get(facts.key, groups - 1) * states
    codes = first_code[table.process] if len(table) else np.zeros(0, np.int64)
    codes += table.activity
    places = [*table.node_pages, table.swapped_pages]
    counted = [np.bincount(codes, weights=pages, minlength=groups * states) for pages in places]
    return np.stack(counted, axis=-1).astype(np.int64).reshape(groups, states, len(places))


def _placement_regions(reconciler: Reconciler) -> dict[str, int]:
    names = PLACEMENT.declaration.states
    counts = np.bincount(reconciler.table.placement, minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if name != _GONE}


def _plan_pages(plan: Plan, node_ids: Sequence[int]) -> tuple[dict[int, int], dict[str, int]]:
    moves = plan.obstacle == Obstacle.NONE
    first = SWAP_NODE
    targets = plan.target[moves].astype(np.int64) - first
    by_target = np.bincount(targets, plan.move_pages[moves], max(node_ids, default=0) - first + 1)
    by_obstacle = np.bincount(plan.obstacle, plan.move_pages, len(Obstacle))
    blocked = {one.name.lower(): int(by_obstacle[one]) for one in Obstacle if one != Obstacle.NONE}
    return {place: int(by_target[place - first]) for place in (*node_ids, SWAP_NODE)}, blocked
