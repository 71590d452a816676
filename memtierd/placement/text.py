"""Plans in words: one line for each run of regions that moves, or can't move, alike."""

import numpy as np

from memtierd.model import SWAP_NODE
from memtierd.placement.batches import Span
from memtierd.placement.plan import Obstacle, Plan
from memtierd.policies.common import Policy
from memtierd.units import PAGE_BYTES, format_bytes

_OBSTACLES = {
    Obstacle.NO_SUCH_NODE: "none of the wanted nodes is online with memory",
    Obstacle.NOT_ALLOWED: "the process's cpuset allows none of the wanted nodes",
    Obstacle.NO_ROOM: "the wanted nodes have no room left",
    Obstacle.NO_SWAP: "the system has no swap space",
    Obstacle.SWAP_FULL: "the swap space has too little room left",
    Obstacle.PRESSURE: "demotion is paused, pressure is above maxpressure",
    Obstacle.REFAULT: "demotion is paused, too much of what was demoted came back soon (maxrefault)",
    Obstacle.DAMPED: "it came back soon after it was demoted, and is not demoted again yet (maxrefault)",
}


def node_name(node: int) -> str:
    """Return 'node 2', or 'swap'."""
    return "swap" if node == SWAP_NODE else f"node {node}"


def describe_obstacle(obstacle: int) -> str:
    """Return why a region can't be moved now; empty when it can."""
    return _OBSTACLES.get(Obstacle(obstacle), "")


def describe_target(span: Span, policy: Policy) -> str:
    """Return where a span goes, or where it is wanted when it can't go."""
    if not span.obstacle:
        return node_name(span.target)
    place = policy.places[policy.place_of_state[span.activity]]
    return " or ".join(node_name(node) for node in place.nodes)


def describe_span(span: Span, pid: int, name: str, policy: Policy) -> str:
    """Return one line: process, range, size, from, to, state and reason, and the obstacle if there is one."""
    state = policy.activity.declaration.states[span.activity]
    regions = "1 region" if span.regions == 1 else f"{span.regions} regions"
    line = (
        f"pid {pid} ({name}) {span.start:x}-{span.end:x}: {format_bytes(span.move_pages * PAGE_BYTES)} in {regions},"
        f" {node_name(span.source)} -> {describe_target(span, policy)}, {state}:"
        f" {policy.explain(span.activity, span.value)}"
    )
    return f"{line}; stays: {describe_obstacle(span.obstacle)}" if span.obstacle else line


def describe_plan(plan: Plan) -> str:
    """Return a plan in one line: how much moves to where, and how much stays."""
    moves, blocked = plan.moves, plan.blocked
    parts = []
    for target in np.unique(moves.target).tolist():
        pages = int(moves.move_pages[moves.target == target].sum())
        parts.append(f"{format_bytes(pages * PAGE_BYTES)} to {node_name(target)}")
    if len(blocked):
        parts.append(f"{format_bytes(int(blocked.move_pages.sum()) * PAGE_BYTES)} blocked")
    return ", ".join(parts) or "nothing to move"
