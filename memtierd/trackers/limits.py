"""Limits of what is tracked of a process: nothing outside of some address ranges."""

from collections.abc import Iterator
from collections.abc import Mapping as MappingType

import attrs
import numpy as np

from memtierd.linux.pages_of_interest import AddressRanges
from memtierd.linux.proc import Mapping, MappingUse
from memtierd.model import ProcessKey
from memtierd.units import KIB


class Limits:
    """The limits of the moment, read by the scanner's thread and replaced as a whole by another one.

    Before the first `replace`, and after `lift`, every process is tracked wholly.
    """

    def __init__(self) -> None:
        self._ranges: MappingType[ProcessKey, AddressRanges | None] | None = None

    def replace(self, ranges: MappingType[ProcessKey, AddressRanges | None]) -> None:
        """Track of each of these processes its ranges, or all of it if it has None, and nothing of others."""
        self._ranges = ranges

    def lift(self) -> None:
        """Track every process wholly."""
        self._ranges = None

    def clip_mappings(self, key: ProcessKey, mappings: list[Mapping]) -> list[Mapping]:
        """Return the parts of the mappings that are tracked, in their order.

        Mappings that nobody tracks anyway stay as they are: a process without any has ended.
        """
        ranges = self._of(key)
        return mappings if ranges is None else [part for mapping in mappings for part in _parts(mapping, ranges)]

    def clip_uses(self, key: ProcessKey, uses: list[MappingUse]) -> list[MappingUse]:
        """Return the same of mappings with their figures.

        Nobody knows which part of a mapping its referenced pages are in, so each part has as many as it can hold.
        """
        ranges = self._of(key)
        return uses if ranges is None else [_share(use, part) for use in uses for part in _parts(use.mapping, ranges)]

    def _of(self, key: ProcessKey) -> AddressRanges | None:
        """Return the ranges that limit a process, None when nothing does."""
        ranges = self._ranges
        return None if ranges is None else ranges.get(key, _NOTHING)


_NOTHING = AddressRanges(np.zeros(0, np.uint64), np.zeros(0, np.uint64))


def _parts(mapping: Mapping, ranges: AddressRanges) -> Iterator[Mapping]:
    if not mapping.is_tracked:
        yield mapping
        return
    first = int(np.searchsorted(ranges.end, mapping.start, side="right"))
    last = int(np.searchsorted(ranges.start, mapping.end, side="left"))
    chosen = slice(first, last)  # empty when no range meets the mapping
    for low, high in zip(ranges.start[chosen].tolist(), ranges.end[chosen].tolist(), strict=True):
        start, end = max(low, mapping.start), min(high, mapping.end)
        yield attrs.evolve(mapping, start=start, end=end, offset=mapping.offset + start - mapping.start)


def _share(use: MappingUse, part: Mapping) -> MappingUse:
    size_kb = (part.end - part.start) // KIB
    return attrs.evolve(use, mapping=part, referenced_kb=min(use.referenced_kb, size_kb))
