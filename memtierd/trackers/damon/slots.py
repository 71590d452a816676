"""Which kdamond monitors which process, and in which order its processes are listed: pure."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from memtierd.linux.proc import Mapping as ProcessMapping
from memtierd.model import AddressRange, ProcessKey


def assign(
    current: Mapping[ProcessKey, int], wanted: Sequence[ProcessKey], kdamonds: Sequence[int], capacity: int | None
) -> dict[ProcessKey, int]:
    """Return the kdamond of each wanted process; processes stay where they are, new ones go where there are fewest.

    Without room, `capacity` processes a kdamond, a process is left out.
    """
    assigned = {key: current[key] for key in wanted if current.get(key) in kdamonds}
    load = dict.fromkeys(kdamonds, 0)
    for kdamond in assigned.values():
        load[kdamond] += 1
    for key in sorted(set(wanted) - assigned.keys()):
        kdamond = min(kdamonds, key=lambda number: (load[number], number))
        if capacity is None or load[kdamond] < capacity:
            assigned[key] = kdamond
            load[kdamond] += 1
    return assigned


def reslot(slots: Sequence[ProcessKey], wanted: Collection[ProcessKey]) -> tuple[ProcessKey, ...]:
    """Return the wanted processes with as many as possible in the places that they have.

    DAMON knows its targets by their place and keeps the regions of those that stay: new processes take the places of
    those that left, and then the last ones do.
    """
    kept: list[ProcessKey | None] = [key if key in wanted else None for key in slots]
    fresh = sorted(set(wanted) - set(slots))
    for place, key in enumerate(kept):
        if key is None and fresh:
            kept[place] = fresh.pop(0)
    while None in kept:
        last = kept.pop()
        if last is not None:
            kept[kept.index(None)] = last
    return (*(key for key in kept if key is not None), *fresh)


def bounding_ranges(mappings: Sequence[ProcessMapping], most: int) -> tuple[AddressRange, ...]:
    """Return at most `most` ranges around all mappings, apart where the gaps between them are largest."""
    if not mappings:
        return ()
    start = np.array([mapping.start for mapping in mappings], np.uint64)
    end = np.array([mapping.end for mapping in mappings], np.uint64)
    gap = start[1:] - end[:-1]
    largest = np.argsort(gap, kind="stable")[::-1][: most - 1]
    cuts = np.sort(largest[gap[largest] > 0])
    firsts = start[np.concatenate(([0], cuts + 1))]
    lasts = end[np.concatenate((cuts, [len(end) - 1]))]
    return tuple(map(AddressRange, firsts.tolist(), lasts.tolist()))
