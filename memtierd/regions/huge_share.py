"""The portion of a region that is mapped as huge pages, kept in the spare bits of the column `flags`."""

import numpy as np

from memtierd.model import F32, U8, U32
from memtierd.regions.columns import HUGE_ALL, HUGE_BITS, HUGE_SHIFT


def with_huge_share(flags: U8, huge_pages: U32, pages: U32) -> U8:
    """Return the flags with the portion of `pages` that is huge: 0 only for none, HUGE_ALL only for all of them."""
    others: U8 = flags & np.uint8(~HUGE_BITS & 0xFF)
    if not huge_pages.any():
        return others
    steps = np.rint(huge_pages * (HUGE_ALL / pages))
    steps = np.clip(steps, huge_pages > 0, HUGE_ALL - (huge_pages < pages)).astype(np.uint8)
    marked: U8 = others | (steps << np.uint8(HUGE_SHIFT))
    return marked


def huge_share(flags: U8) -> F32:
    """Return the portion of each region that is mapped as huge pages: exact for 0 and 1, else to 1/HUGE_ALL."""
    share: F32 = (flags >> np.uint8(HUGE_SHIFT)).astype(np.float32) / np.float32(HUGE_ALL)
    return share
