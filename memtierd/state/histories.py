"""The history of a process as it is kept: whose it is, what was learned, and what its addresses stood for then."""

from collections.abc import Iterable, Iterator

import attrs
import numpy as np

from memtierd.linux.proc import Mapping
from memtierd.model import U64, AddressRange, ProcessKey
from memtierd.regions.learned import Learned


@attrs.frozen(eq=False)
class Backed:
    """Mappings, ascending by start, and what backs each."""

    start: U64
    end: U64
    backing: tuple[str, ...]
    """The file and where it begins in memory, or the name of anonymous memory, which is mostly empty."""

    def __iter__(self) -> Iterator[tuple[int, int, str]]:
        return zip(self.start.tolist(), self.end.tolist(), self.backing, strict=True)


@attrs.frozen(eq=False)
class ProcessHistory:
    """What is kept of one process."""

    key: ProcessKey
    image: str
    """ProcessFacts.image when it was scanned last."""
    seen_ns: int
    """When that was, in nanoseconds of the monotonic clock."""
    learned: Learned
    mappings: Backed


def backed(mappings: Iterable[Mapping]) -> Backed:
    """Return the mappings that memtierd manages, as far as it matters who they are."""
    tracked = [mapping for mapping in mappings if mapping.is_tracked]
    return Backed(
        start=np.array([mapping.start for mapping in tracked], np.uint64),
        end=np.array([mapping.end for mapping in tracked], np.uint64),
        backing=tuple(map(_backing, tracked)),
    )


def trusted(before: Backed, now: Backed) -> tuple[U64, U64]:
    """Return start and end of the addresses that stand for the same memory as before, as far as maps can tell.

    They are what a mapping has in common with one from before that begins or ends where it does and has the same
    backing: then it has grown, shrunk, or was joined with a neighbour.  Any other one was made since, perhaps in the
    place of one that is gone.
    """
    ends = {(start, backing): end for start, end, backing in before}
    starts = {(end, backing): start for start, end, backing in before}
    found: dict[AddressRange, None] = {}
    for start, end, backing in now:
        if (end_before := ends.get((start, backing))) is not None:
            found[AddressRange(start, min(end, end_before))] = None
        if (start_before := starts.get((end, backing))) is not None:
            found[AddressRange(max(start, start_before), end)] = None
    return np.array([r.start for r in found], np.uint64), np.array([r.end for r in found], np.uint64)


def _backing(mapping: Mapping) -> str:
    if mapping.inode == 0:
        return mapping.path
    return f"{mapping.device} {mapping.inode} {mapping.start - mapping.offset:x}"
