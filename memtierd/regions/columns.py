"""Every column of the region table, declared once: name, type, unit, who writes it, and its value for a new region."""

import attrs
import numpy as np
import numpy.typing as npt

NEVER_MS = 0xFFFF_FFFF
"""In active_since_ms: the last scan did not see the region used."""
MOST = 0xFFFF_FFFF
"""In accesses and writes: this many or more; and the latest time that not_before_ms can hold."""
ANYWHERE = 0
"""In desired: no rule says where the region should be."""

JUDGED = 1
"""In flags: at least one scan could tell whether the region was used."""
SHOWN = 2
"""In flags: the intended move was logged."""
HUGE_SHIFT = 2
HUGE_ALL = 63
HUGE_BITS = HUGE_ALL << HUGE_SHIFT
"""In flags: the portion of the region that is mapped as huge pages, 0 … HUGE_ALL; see regions/huge_share.py."""

OBSTACLE_BASE = 100
"""In outcome: from here on not the outcome of a move, but the obstacle (+ this) that kept a move from being planned."""


@attrs.frozen
class Column:
    """One column of the table."""

    name: str
    dtype: npt.DTypeLike
    unit: str
    writer: str
    """The one module that writes it."""
    fresh: int
    """Value in a region that was never seen before; `last_access_ms` gets the time of its first scan instead."""


COLUMNS = (
    Column("process", np.uint16, "row of the process table", "geometry", 0),
    Column("start", np.uint64, "address, bytes", "geometry", 0),
    Column("pages", np.uint32, "pages", "geometry", 0),
    Column("accesses", np.uint32, "pages seen accessed, summed over scans, at most MOST", "history", 0),
    Column("writes", np.uint32, "pages seen written, summed over scans, at most MOST", "history", 0),
    Column("last_access_ms", np.uint32, "ms since the table's epoch", "history", 0),
    Column("active_since_ms", np.uint32, "ms since the table's epoch, or NEVER_MS", "history", NEVER_MS),
    Column("heat", np.float32, "accesses a page, decayed", "history", 0),
    Column("swapped_pages", np.uint32, "pages", "history", 0),
    Column("activity", np.uint8, "code in the policy's activity machine", "reconcile", 0),
    Column("placement", np.uint8, "code in the placement machine", "reconcile", 0),
    Column("desired", np.uint8, "index in the policy's places, ANYWHERE = 0", "reconcile", ANYWHERE),
    Column("not_before_ms", np.uint32, "ms: retry of a backoff, or scans older than this don't count", "reconcile", 0),
    Column("failures", np.uint8, "failed moves in a row", "reconcile", 0),
    Column("outcome", np.uint8, "last Outcome + 1, or OBSTACLE_BASE + obstacle; 0 = none", "reconcile", 0),
    Column("flags", np.uint8, "bits JUDGED, SHOWN, HUGE_BITS", "history, reconcile", 0),
)
"""`node_pages` comes on top: shape (nodes, regions), uint32, written by history."""
