"""Which moves are promotions and which demotions: by tiers, else by how near the process runs."""

import attrs
import pytest

from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.placement.direction import direction
from memtierd.placement.plan import Direction
from tests.unit.regions.region_samples import machine_of

FLAT = machine_of()
TIERED = attrs.evolve(FLAT, nodes=tuple(attrs.evolve(node, tier=node.node // 2) for node in FLAT.nodes))
PROMOTION, SIDEWAYS, DEMOTION = Direction.PROMOTION, Direction.SIDEWAYS, Direction.DEMOTION


@pytest.mark.parametrize(
    ("machine", "source", "target", "running_node", "found"),
    [
        (TIERED, 0, 2, 0, DEMOTION),
        (TIERED, 0, 2, 3, DEMOTION),
        (TIERED, 3, 1, 0, PROMOTION),
        # within a tier the distance does not count
        (TIERED, 0, 1, 0, SIDEWAYS),
        (TIERED, 0, 1, 1, SIDEWAYS),
        (TIERED, 2, 3, -1, SIDEWAYS),
        (FLAT, 0, 2, 0, DEMOTION),
        (FLAT, 2, 0, 0, PROMOTION),
        (FLAT, 0, 2, 1, SIDEWAYS),
        (FLAT, 0, 1, 1, PROMOTION),
        (FLAT, 1, 1, 1, SIDEWAYS),
        # nobody knows
        (FLAT, 0, 2, -1, SIDEWAYS),
        (FLAT, 0, 2, 8, SIDEWAYS),
        (FLAT, 8, 2, 0, SIDEWAYS),
        (TIERED, 0, 8, 0, SIDEWAYS),
        # swap is slower than everything
        (FLAT, 3, SWAP_NODE, -1, DEMOTION),
        (TIERED, 8, SWAP_NODE, 0, DEMOTION),
    ],
)
def test_direction(machine: MachineFacts, source: int, target: int, running_node: int, found: Direction) -> None:
    assert direction(source, target, running_node, machine) == found


def test_what_can_not_be_reached_is_far_away() -> None:
    nodes = tuple(attrs.evolve(node, distances={node.node: 10}) for node in FLAT.nodes)
    assert direction(0, 2, 0, attrs.evolve(FLAT, nodes=nodes)) == DEMOTION
