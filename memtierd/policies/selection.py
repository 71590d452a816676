"""Taking regions in an order until they make up a wanted amount of memory."""

import numpy as np

from memtierd.model import U32, U64, Bool


def take_pages(key: U64, pages: U32, wanted_pages: int, *, cover: bool) -> Bool:
    """Return which regions to take: those with the lowest keys, of equal keys the first rows.

    Regions are taken whole, until they make up `wanted_pages`.  The one that goes beyond is taken when the wanted
    pages are to be covered, and otherwise only when that comes closer to them than doing without.

    Args:
        key: one a region, the lowest first.
        pages: what each region would bring; none of them 0.
        wanted_pages: how much to take; nothing when it is not above 0.
        cover: take at least the wanted pages.

    """
    if wanted_pages <= 0 or not len(key):
        return np.zeros(len(key), dtype=np.bool_)
    # The fast sort is not stable, so that only says at which key the wanted pages are reached.
    order = np.argsort(key)
    reached = int(np.searchsorted(np.cumsum(pages[order], dtype=np.int64), wanted_pages, side="right"))
    if reached == len(key):
        return np.ones(len(key), dtype=np.bool_)
    edge = key[order[reached]]
    taken: Bool = key < edge
    equals = np.flatnonzero(key == edge)
    taken[equals[: _count(pages[equals], wanted_pages - int(pages[taken].sum(dtype=np.int64)), cover)]] = True
    return taken


def _count(pages: U32, wanted_pages: int, cover: bool) -> int:
    """Return how many of the first regions to take, given that all are more than wanted."""
    total = np.cumsum(pages, dtype=np.int64)
    count = int(np.searchsorted(total, wanted_pages, side="right"))
    short = wanted_pages - int(total[count - 1] if count else 0)
    beyond = int(total[count]) - wanted_pages
    return count + 1 if short and (cover or beyond < short) else count
