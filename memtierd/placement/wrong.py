"""Which pages of each region lie where they should not."""

from collections.abc import Sequence

import numpy as np

from memtierd.model import U8, U32, Bool
from memtierd.policies.common import Place


def outside(places: Sequence[Place], node_ids: Sequence[int]) -> Bool:
    """Return for every node and place, shape (nodes, places), whether pages on the node lie outside the place."""
    table = [[bool(place.nodes) and node not in place.nodes for place in places] for node in node_ids]
    return np.array(table, dtype=np.bool_).reshape(len(node_ids), len(places))


def wrong_pages(desired: U8, node_pages: U32, places: Sequence[Place], node_ids: Sequence[int]) -> U32:
    """Return for each region how many of its present pages are on no node of its place.

    `node_pages` has shape (nodes, regions).  Pages that are swapped out count nowhere: they come back
    by being used.  A region that may be anywhere has no wrong pages.
    """
    wrong = np.zeros(len(desired), dtype=np.uint32)
    for pages, is_outside in zip(node_pages, outside(places, node_ids), strict=True):
        wrong += pages * is_outside[desired]
    return wrong
