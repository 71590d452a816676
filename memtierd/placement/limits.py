"""How many pages may still go to each node and to swap."""

from collections.abc import Mapping

import numpy as np

from memtierd.model import I64, SWAP_NODE, MachineFacts
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
    machine: MachineFacts, reserve_percent: float, node_limits: Mapping[int, str], tracked_pages: I64
) -> dict[int, int]:
    """Return how many pages each node, and SWAP_NODE, can still take.

    `tracked_pages` has one entry a node of the machine: tracked pages that lie there now.
    A node takes what is free beyond the reserve, and not more than its limit leaves.
    """
    room = {SWAP_NODE: machine.swap_free_pages}
    for position, facts in enumerate(machine.nodes):
        free = facts.free_pages - int(np.ceil(facts.total_pages * reserve_percent / 100))
        if facts.node in node_limits:
            limit = parse_limit_pages(node_limits[facts.node], facts.total_pages)
            free = min(free, limit - int(tracked_pages[position]))
        room[facts.node] = max(0, free)
    return room
