"""How many pages may still go to each node and to swap."""

import math
from collections.abc import Mapping

from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.units import PAGE_BYTES, parse_size


def parse_limit_pages(text: str, total_pages: int) -> int:
    """Return the pages that a limit such as '512k', '2G' or '30%' (of the node) allows.

    Raises ValueError with a sentence for the user.
    """
    if text.strip().endswith("%"):
        number = text.strip()[:-1].strip()
        if not number.replace(".", "", 1).isdigit():
            raise ValueError(f"invalid percentage {text!r}, expected a number and %, such as 30%")
        return int(total_pages * float(number) / 100)
    return parse_size(text) // PAGE_BYTES


def room_pages(
    machine: MachineFacts, reserve_percent: float, node_limits: Mapping[int, str], tracked_pages: Mapping[int, int]
) -> dict[int, int]:
    """Return how many pages each node, and SWAP_NODE, can still take.

    `tracked_pages` says how many tracked pages lie on a node now.  A node takes what is free beyond the
    reserve, and not more than its limit leaves.
    """
    room = {SWAP_NODE: machine.swap_free_pages}
    for facts in machine.nodes:
        free = facts.free_pages - math.ceil(facts.total_pages * reserve_percent / 100)
        if facts.node in node_limits:
            limit = parse_limit_pages(node_limits[facts.node], facts.total_pages)
            free = min(free, limit - tracked_pages.get(facts.node, 0))
        room[facts.node] = max(0, free)
    return room
