"""What the mover is asked to do, how far it has come, and how every page of it ended."""

from typing import Literal, NamedTuple

import attrs
import numpy as np

from memtierd.model import OUTCOMES, U32, U64, MoveReport, Outcome, ProcessKey
from memtierd.units import PAGE_BYTES

SEGMENT_RANGES = 1024
"""Ranges worked on at once: what process_madvise takes, and few enough for arrays made anew for each call."""


@attrs.frozen(eq=False)
class Batch:
    """Regions of one process that shall go to one place; one entry a range, in any order, not overlapping."""

    key: ProcessKey
    target: int
    """Destination node, or SWAP_NODE."""
    start: U64
    """Address of the first byte of each range."""
    pages: U32
    move_pages: int
    """Pages expected to move; the others are thought to be there already, or not present."""
    source: Literal["plan", "prompt"] = "plan"
    """A plan's batches make room for those of the next plan, the prompt's stay."""


@attrs.frozen
class TaskView:
    """A task as the prompt shows it."""

    pid: int
    next_address: int | None
    """Where the mover goes on; None when all is done."""
    done_pages: int
    total_pages: int
    target: int


class Position(NamedTuple):
    """Where a walk over ranges stands: everything before has been dealt with."""

    range_index: int
    page_index: int
    """Pages done of that range; less than it has."""


START = Position(0, 0)


def rest(start: U64, pages: U32, position: Position) -> tuple[U64, U32]:
    """Return starts and pages of what is left from `position` on."""
    start, pages = start[position.range_index :].copy(), pages[position.range_index :].copy()
    if position.page_index:
        start[0] += position.page_index * PAGE_BYTES
        pages[0] -= position.page_index
    return start, pages


def total(pages: U32) -> int:
    """Return the sum of a column of pages, which 32 bits may not hold."""
    return int(pages.sum(dtype=np.uint64))


def dropped_report(batch: Batch, position: Position = START) -> MoveReport | None:
    """Return the report of what is taken back from `position` on; None when nothing is left."""
    start, pages = rest(batch.start, batch.pages, position)
    if not len(start):
        return None
    return MoveReport(batch.key, batch.target, start, pages, np.zeros((len(start), OUTCOMES), np.uint64), dropped=True)


class Ledger:
    """Counts how the pages of a segment of a batch end, and gives reports of the ranges that are complete.

    `position` is the end of what was walked.  A caller counts exactly one outcome for each page before it,
    save those which it keeps to try again.
    """

    def __init__(self, key: ProcessKey, target: int, start: U64, pages: U32) -> None:
        self.key = key
        self.target = target
        self.start = start
        self.pages = pages
        self.position = START
        self._outcomes: U64 = np.zeros((len(start), OUTCOMES), np.uint64)
        self._errnos: dict[int, int] = {}
        self._reported = 0

    @property
    def walked(self) -> bool:
        """Return whether every range was walked to its end."""
        return self.position.range_index >= len(self.start)

    def count(self, owner: U32, weight: U32 | U64, outcome: Outcome, errno: int = 0) -> None:
        """Count `weight` pages of the ranges `owner` (indices, may repeat); `errno` is what the kernel said."""
        np.add.at(self._outcomes[:, outcome], owner, weight.astype(np.uint64))
        if errno and (pages := int(weight.sum(dtype=np.uint64))):
            self._errnos[errno] = self._errnos.get(errno, 0) + pages

    def count_columns(self, first_range: int, outcome: Outcome, pages: U64) -> None:
        """Count one number of pages for each of the ranges from `first_range` on."""
        self._outcomes[first_range : first_range + len(pages), outcome] += pages

    def end_rest(self, outcome: Outcome, errno: int = 0) -> None:
        """Let everything that was not walked end in the same way, unseen."""
        _, pages = rest(self.start, self.pages, self.position)
        first = self.position.range_index
        self.count(np.arange(first, first + len(pages), dtype=np.uint32), pages, outcome, errno)
        self.position = Position(len(self.start), 0)

    def take(self, before_range: int) -> MoveReport | None:
        """Return the report of the complete ranges before this index, once; None when there are no new ones."""
        first, end = self._reported, min(before_range, self.position.range_index)
        if end <= first:
            return None
        self._reported = end
        return self._report(self.start[first:end], self.pages[first:end], self._outcomes[first:end])

    def take_begun(self) -> MoveReport | None:
        """Return the report of the walked part of the range at the position, None when it was not begun.

        The outcomes are those of the part; the rest of the range is for the caller to drop.
        """
        index, pages = self.position
        if not pages:
            return None
        part = slice(index, index + 1)
        return self._report(self.start[part], np.array([pages], np.uint32), self._outcomes[part])

    def _report(self, start: U64, pages: U32, outcomes: U64) -> MoveReport:
        errnos, self._errnos = self._errnos, {}
        return MoveReport(self.key, self.target, start, pages, outcomes, errnos)


class Task:
    """A batch in the mover's queue or in work, and how far it has come."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.position = START
        self.cancelled = False
        """Set by commands from other threads: stop after the chunk in work."""

    @property
    def from_plan(self) -> bool:
        """Return whether the next plan replaces it."""
        return self.batch.source == "plan"

    def segment(self) -> tuple[U64, U32]:
        """Return starts and pages of the next ranges to work on; a segment begins with a whole range."""
        first = self.position.range_index
        segment = slice(first, first + SEGMENT_RANGES)
        return self.batch.start[segment], self.batch.pages[segment]

    def advance_to(self, segment_first: int, position: Position) -> None:
        """Take over the position inside a segment that began at the range `segment_first`."""
        self.position = Position(segment_first + position.range_index, position.page_index)

    @property
    def done(self) -> bool:
        """Return whether nothing is left."""
        return self.position.range_index >= len(self.batch.start)

    def view(self) -> TaskView:
        """Return how the task stands."""
        index, page_index = self.position
        done_pages = total(self.batch.pages[:index]) + page_index
        done = index >= len(self.batch.start)
        next_address = None if done else int(self.batch.start[index]) + page_index * PAGE_BYTES
        return TaskView(self.batch.key.pid, next_address, done_pages, total(self.batch.pages), self.batch.target)
