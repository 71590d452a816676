"""Cutting a plan into the pieces that the mover works through, and into the ranges that people read."""

from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import I64
from memtierd.placement.plan import Plan
from memtierd.units import PAGE_BYTES, pages_per_second


@attrs.frozen
class Span:
    """Neighbouring regions of a plan that move alike: same process, state, source, target and obstacle."""

    process: int
    start: int
    end: int
    regions: int
    move_pages: int
    source: int
    target: int
    activity: int
    value: float
    """The least urgent value in the span, so that it holds for each of its regions."""
    obstacle: int
    direction: int = 0
    """As Direction."""


def within_reach(moves: Plan, bandwidth: float, interval_ms: int) -> int:
    """Return how many of the first moves a bandwidth in MB/s allows in two intervals; at least one."""
    reach_pages = pages_per_second(bandwidth) * 2 * interval_ms / 1000
    sizes = np.cumsum(moves.move_pages, dtype=np.int64)
    return max(1, int(np.searchsorted(sizes, reach_pages, side="right")))


def batches(plan: Plan, limit_pages: int) -> Iterator[I64]:
    """Yield the positions of plan entries for one batch each: one process, one target, at most `limit_pages`.

    A region larger than the limit is a batch of its own.  Batches come in the order of their most
    important entry; within a batch entries ascend by address, as the mover needs them.
    """
    kind = plan.process.astype(np.int64) << 16 | (plan.target.astype(np.int64) & 0xFFFF)
    by_kind = np.argsort(kind, kind="stable")
    cuts = np.flatnonzero(np.diff(kind[by_kind])) + 1
    pieces = [piece for entries in np.split(by_kind, cuts) for piece in _pieces(plan, entries, limit_pages)]
    for piece in sorted(pieces, key=lambda piece: int(piece[0])):
        yield piece[np.argsort(plan.start[piece], kind="stable")]


def _pieces(plan: Plan, entries: I64, limit_pages: int) -> Iterator[I64]:
    """Cut entries into runs of at most `limit_pages`, or of one entry."""
    total = np.cumsum(plan.move_pages[entries], dtype=np.int64)
    first, before = 0, 0
    while first < len(entries):
        end = max(first + 1, int(np.searchsorted(total, before + limit_pages, side="right")))
        yield entries[first:end]
        first, before = end, int(total[end - 1])


def spans(plan: Plan) -> list[Span]:
    """Return the plan as maximal runs of neighbouring regions that move alike, in address order by process."""
    if not len(plan):
        return []
    order = np.lexsort((plan.start, plan.process))
    sizes = plan.pages[order].astype(np.uint64) * np.uint64(PAGE_BYTES)
    start, end = plan.start[order], plan.start[order] + sizes
    breaks = end[:-1] != start[1:]
    for name in ("process", "source", "target", "activity", "obstacle"):
        values = getattr(plan, name)[order]
        breaks |= values[:-1] != values[1:]
    firsts = np.r_[0, np.flatnonzero(breaks) + 1]
    lasts = np.r_[firsts[1:], len(plan)] - 1
    pages = np.add.reduceat(plan.move_pages[order].astype(np.int64), firsts)
    least = np.minimum.reduceat(plan.value[order], firsts)
    return [
        Span(
            process=int(plan.process[order[first]]),
            start=int(start[first]),
            end=int(end[last]),
            regions=int(last - first + 1),
            move_pages=int(pages[i]),
            source=int(plan.source[order[first]]),
            target=int(plan.target[order[first]]),
            activity=int(plan.activity[order[first]]),
            value=float(least[i]),
            obstacle=int(plan.obstacle[order[first]]),
            direction=int(plan.direction[order[first]]),
        )
        for i, (first, last) in enumerate(zip(firsts, lasts, strict=True))
    ]
