"""Limits of what is tracked of a process: nothing outside of some address ranges."""

import threading
from collections.abc import Callable, Iterator, Mapping

import attrs
import numpy as np

from memtierd.linux.pages_of_interest import AddressRanges
from memtierd.linux.proc import Mapping as MemoryMapping
from memtierd.linux.proc import MappingUse
from memtierd.model import ProcessKey
from memtierd.units import KIB

Tracked = Mapping[ProcessKey, AddressRanges | None]
"""What is tracked of each process: its ranges, or all of it if it has None.  Of others nothing is."""


class Limits:
    """The limits of the moment, read by the scanner's thread and replaced as a whole by another one.

    Before `begin`, and after `lift`, every process is tracked wholly.
    """

    def __init__(self) -> None:
        self._ranges: Tracked | None = None
        self._teller: object = None
        self._telling = threading.Lock()

    def begin(self, *, keep: bool = False) -> Callable[[Tracked], None]:
        """Track nothing (with `keep`: what is tracked now) until it is told what; return the function that tells it.

        It may be called as often as one likes.
        Whoever is late and tells after `lift`, or another `begin`, is not heard.
        """
        teller = object()

        def tell(ranges: Tracked) -> None:
            with self._telling:
                if self._teller is teller:
                    self._ranges = ranges

        with self._telling:
            self._teller = teller
            if not keep:
                self._ranges = {}
        return tell

    def lift(self) -> None:
        """Track every process wholly."""
        with self._telling:
            self._ranges = self._teller = None

    def clip_mappings(self, key: ProcessKey, mappings: list[MemoryMapping]) -> list[MemoryMapping]:
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


def _parts(mapping: MemoryMapping, ranges: AddressRanges) -> Iterator[MemoryMapping]:
    if not mapping.is_tracked:
        yield mapping
        return
    first = int(np.searchsorted(ranges.end, np.uint64(mapping.start), side="right"))
    last = int(np.searchsorted(ranges.start, np.uint64(mapping.end), side="left"))
    chosen = slice(first, last)  # empty when no range meets the mapping
    for low, high in zip(ranges.start[chosen].tolist(), ranges.end[chosen].tolist(), strict=True):
        start, end = max(low, mapping.start), min(high, mapping.end)
        yield attrs.evolve(mapping, start=start, end=end, offset=mapping.offset + start - mapping.start)


def _share(use: MappingUse, part: MemoryMapping) -> MappingUse:
    size_kb = (part.end - part.start) // KIB
    return attrs.evolve(use, mapping=part, referenced_kb=min(use.referenced_kb, size_kb))
