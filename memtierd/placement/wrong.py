"""Which pages of each region lie where they should not."""

from collections.abc import Sequence

import numpy as np

from memtierd.model import U8, U32
from memtierd.policies.common import Place


def wrong_pages(desired: U8, node_pages: U32, places: Sequence[Place], node_ids: Sequence[int]) -> U32:
    """Return for each region how many of its present pages are on no node of its place.

    `node_pages` has shape (nodes, regions).  Pages that are swapped out count nowhere: they come back
    by being used.  A region that may be anywhere has no wrong pages.
    """
    wrong = np.zeros(len(desired), dtype=np.uint32)
    for code, place in enumerate(places):
        if not place.nodes:
            continue
        rows = desired == code
        for position, node in enumerate(node_ids):
            if node not in place.nodes:
                np.add(wrong, node_pages[position], out=wrong, where=rows)
    return wrong
