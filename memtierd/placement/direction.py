"""Whether a move is a promotion or a demotion: is the target faster or slower than where the memory is?"""

from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.placement.plan import Direction

_FAR = 255
"""Distance of what can't be reached (include/linux/topology.h has no larger one)."""


def direction(source: int, target: int, running_node: int, machine: MachineFacts) -> Direction:
    """Return the direction of a move between two nodes, or to SWAP_NODE, for a process that runs on `running_node`.

    Memory tiers decide.  On a machine where all nodes are of one tier, the nearer to where the process runs, the
    faster; when that is unknown (-1), or one of the nodes has gone, every node is as fast.
    """
    if target == SWAP_NODE:
        return Direction.DEMOTION
    facts = {node.node: node for node in machine.nodes}
    if source not in facts or target not in facts:
        return Direction.SIDEWAYS
    before, after = facts[source].tier, facts[target].tier
    if not any(node.tier for node in machine.nodes) and running_node in facts:
        distances = facts[running_node].distances
        before, after = distances.get(source, _FAR), distances.get(target, _FAR)
    return Direction((after > before) - (after < before))
