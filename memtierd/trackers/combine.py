"""Several cuts of one process into regions made one, with what was seen in each of them."""

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.model import I64, U32, U64, Bool
from memtierd.regions.carving import Geometry
from memtierd.units import PAGE_BYTES


@attrs.frozen(eq=False)
class Look:
    """What one tracker saw of one process; columns have one entry a region of its own cut."""

    cut: Geometry
    accessed_pages: U32
    written_pages: U32
    huge_pages: U32
    primed: Bool
    since_ns: int
    """What was used since then is in the counts."""
    proves_idleness: bool
    """Whether no use seen means that there was none."""


@attrs.frozen(eq=False)
class Seen:
    """What all looks together say; columns have one entry a piece of the union of all cuts."""

    accessed_pages: U32
    written_pages: U32
    huge_pages: U32
    """Known from whoever looked for them, primed or not."""
    primed: Bool
    """Where it is known whether the piece was used: a use was seen, or there was none."""
    since_ns: I64
    """How far back that is known, where primed."""


def union(cuts: Sequence[Geometry]) -> Geometry:
    """Return the pieces of all that any of the cuts covers, with a boundary wherever one of them has one.

    Equal cuts stay as they are, adjacent regions stay apart, and no piece is empty.  `cuts` has at least one.
    """
    first = cuts[0]
    if all(is_same(cut, first) for cut in cuts[1:]):
        return first
    bounds = np.unique(np.concatenate([*(cut.start for cut in cuts), *(cut.end for cut in cuts)]))
    start, end = bounds[:-1], bounds[1:]
    covered = np.zeros(start.shape, np.bool_)
    for cut in cuts:
        covered |= _owners(cut, start)[1]
    pages = ((end - start) // np.uint64(PAGE_BYTES)).astype(np.uint32)
    return Geometry(start[covered], pages[covered])


def is_same(one: Geometry, other: Geometry) -> bool:
    """Tell whether two geometries have the same regions."""
    return one is other or (np.array_equal(one.start, other.start) and np.array_equal(one.pages, other.pages))


def combine(pieces: Geometry, looks: Sequence[Look]) -> Seen:
    """Return what the looks say of each piece of the union of their cuts (and of others).

    A region that is cut into pieces gives each its part of the counts, rounded up, so that no use is lost.  Of
    several counts the largest is taken, because trackers that look at the same pages see the same uses.
    """
    size = pieces.start.size
    accessed, written, huge = (np.zeros(size, np.uint32) for _ in range(3))
    primed, since_ns = np.zeros(size, np.bool_), np.full(size, np.iinfo(np.int64).max)
    for look in looks:
        owner, inside = _owners(look.cut, pieces.start)
        if not inside.any():
            continue
        counts = inside & look.primed[owner]
        used = counts & (look.accessed_pages[owner] > 0)
        for total, own, where in (
            (accessed, look.accessed_pages, counts),
            (written, look.written_pages, counts),
            (huge, look.huge_pages, inside),
        ):
            np.maximum(total, _share(own, look.cut, owner, pieces), out=total, where=where)
        tells = counts if look.proves_idleness else used
        np.minimum(since_ns, look.since_ns, out=since_ns, where=tells)
        primed |= tells
    return Seen(accessed, written, huge, primed, since_ns)


def carried(pieces: Geometry, before: Geometry, value: I64, default: int) -> I64:
    """Return the value that each piece had in the geometry before, and `default` for those that are new."""
    if is_same(pieces, before):
        return value
    if before.start.size == 0:
        return np.full(pieces.start.shape, default, np.int64)
    position = np.minimum(np.searchsorted(before.start, pieces.start), before.start.size - 1)
    same = (before.start[position] == pieces.start) & (before.pages[position] == pieces.pages)
    return np.where(same, value[position], np.int64(default))


def _owners(cut: Geometry, address: U64) -> tuple[npt.NDArray[np.intp], Bool]:
    """Return for each address a region of the cut, and whether the region really holds it."""
    if cut.start.size == 0:
        return np.zeros(address.shape, np.intp), np.zeros(address.shape, np.bool_)
    position = np.searchsorted(cut.start, address, side="right") - 1
    owner = np.maximum(position, 0)
    return owner, (position >= 0) & (address < cut.end[owner])


def _share(counts: U32, cut: Geometry, owner: npt.NDArray[np.intp], pieces: Geometry) -> U32:
    """Return the part of its region's count that each piece gets by its size, rounded up."""
    of_pages = cut.pages[owner].astype(np.uint64)
    product = counts[owner].astype(np.uint64) * pieces.pages.astype(np.uint64)
    share: U32 = ((product + of_pages - np.uint64(1)) // of_pages).astype(np.uint32)
    return np.minimum(share, pieces.pages)
