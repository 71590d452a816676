"""How many pages may still go to each node and to swap."""

import math
from collections.abc import Mapping

from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.units import parse_limit_pages


def room_pages(
    machine: MachineFacts,
    reserve_percent: float,
    node_limits: Mapping[int, str],
    tracked_pages: Mapping[int, int],
    least_available_pages: Mapping[int, int],
) -> dict[int, int]:
    """Return how many pages each node, and SWAP_NODE, can still take.

    `tracked_pages` says how many tracked pages lie on a node now.  A node takes what is free beyond the
    reserve, not more than its limit leaves, and only so much that its `least_available_pages` stay available.
    """
    room = {SWAP_NODE: machine.swap_free_pages}
    for facts in machine.nodes:
        free = facts.free_pages - math.ceil(facts.total_pages * reserve_percent / 100)
        if facts.node in node_limits:
            limit = parse_limit_pages(node_limits[facts.node], facts.total_pages)
            free = min(free, limit - tracked_pages.get(facts.node, 0))
        if facts.node in least_available_pages:
            free = min(free, facts.available_pages - least_available_pages[facts.node])
        room[facts.node] = max(0, free)
    return room
