"""Cutting a plan into the pieces that the mover works through, and into the ranges that people read."""

from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import I64
from memtierd.placement.plan import Plan
from memtierd.units import PAGE_BYTES


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


def batches(plan: Plan, limit_pages: int) -> Iterator[I64]:
    """Yield the positions of plan entries for one batch each: one process, one target, at most `limit_pages`.

    A region larger than the limit is a batch of its own.  Entries keep the plan's order of importance
    between batches; within a batch they ascend by address, as the mover needs them.
    """
    kind = plan.process.astype(np.int64) << 16 | (plan.target.astype(np.int64) & 0xFFFF)
    _, first_seen, kind_of = np.unique(kind, return_index=True, return_inverse=True)
    for group in np.argsort(first_seen, kind="stable"):
        entries = np.flatnonzero(kind_of == group)
        sizes = np.cumsum(plan.move_pages[entries], dtype=np.int64)
        cuts = np.flatnonzero(np.diff((sizes - 1) // limit_pages)) + 1
        for piece in np.split(entries, cuts):
            yield piece[np.argsort(plan.start[piece], kind="stable")]


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
        )
        for i, (first, last) in enumerate(zip(firsts, lasts, strict=True))
    ]
