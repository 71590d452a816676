"""Swaps pages of one process out, by process_madvise or memory.reclaim, and looks how many really went."""

import errno

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.errors import KernelError, UnsupportedError
from memtierd.model import SWAP_NODE, U32, U64, CallReport, Outcome
from memtierd.mover.kernel import I32
from memtierd.mover.params import MEMORY_RECLAIM, PROCESS_MADVISE
from memtierd.mover.task import Ledger, Position, total
from memtierd.mover.work import NS_PER_MS, Context, OpenFiles
from memtierd.native import MAX_RANGES
from memtierd.units import MIB, PAGE_BYTES

HUGE_PAGES = 2 * MIB // PAGE_BYTES
MAX_WINDOW_PAGES = 1 << 18
"""1 GiB: less than the kernel walks in one call (MAX_RW_COUNT, 2 GiB − 4 KiB)."""
_REFUSES_ALL = (errno.ESRCH, errno.EPERM, errno.ENOSYS, errno.EBADF)
"""Errnos that don't depend on the ranges (mm/madvise.c, process_madvise)."""


@attrs.frozen(eq=False)
class Piece:
    """Consecutive ranges, the first and the last perhaps in part."""

    first_range: int
    start: U64
    pages: U32
    end: Position


@attrs.frozen(eq=False)
class _Attempt:
    """A piece that is being tried, and how it looked before and looks now; one entry a range."""

    piece: Piece
    swapped_before: U32
    swapped: U32
    present: U32
    errnos: I32
    """Of the ranges that the kernel refused, else 0."""
    tries: int = 0

    @property
    def swapped_pages(self) -> int:
        """Return the pages in swap now."""
        return total(self.swapped)

    @property
    def present_pages(self) -> int:
        """Return the pages in memory now."""
        return total(self.present)


def cut(start: U64, pages: U32, position: Position, limit_pages: int) -> Piece:
    """Return the next piece: at most 1024 ranges and `limit_pages`, cut only where a huge page may begin.

    When the limit is smaller than what is left of a huge page, the piece is that rest, so at most 512 pages.
    """
    first = position.range_index
    left = pages[first : first + MAX_RANGES].astype(np.int64)
    left[0] -= position.page_index
    begin = start[first : first + MAX_RANGES].copy()
    begin[0] += position.page_index * PAGE_BYTES
    ends = np.cumsum(left)
    whole = int(np.searchsorted(ends, limit_pages, side="right"))
    if whole == len(left):
        return Piece(first, begin, left.astype(np.uint32), Position(first + whole, 0))
    room = limit_pages - (int(ends[whole - 1]) if whole else 0)
    part = _aligned_pages(int(begin[whole]) // PAGE_BYTES, room, int(left[whole]), at_least_one=whole == 0)
    if not part:
        return Piece(first, begin[:whole], left[:whole].astype(np.uint32), Position(first + whole, 0))
    left[whole] = part
    done = part + (position.page_index if whole == 0 else 0)
    end = Position(first + whole, done) if done < pages[first + whole] else Position(first + whole + 1, 0)
    return Piece(first, begin[: whole + 1], left[: whole + 1].astype(np.uint32), end)


def _aligned_pages(first_page: int, room: int, left: int, at_least_one: bool) -> int:
    """Return how many pages from `first_page` on (a page number) fit, up to a multiple of a huge page."""
    fits = (first_page + room) // HUGE_PAGES * HUGE_PAGES - first_page
    if fits > 0 or not at_least_one:
        return min(max(fits, 0), left)
    return min((first_page // HUGE_PAGES + 1) * HUGE_PAGES - first_page, left)


class SwapOut:
    """A segment of a batch on its way to swap.

    The system call's return value counts bytes walked; it is the same with full swap or without any.  So
    the swapped pages are counted before and after, and what is still present then did not go.
    """

    def __init__(self, context: Context, ledger: Ledger, files: OpenFiles) -> None:
        self.ledger = ledger
        self.target_full = False
        self.due_ns = 0
        self._context = context
        self._files = files
        self._window_pages = 0
        self._attempt: _Attempt | None = None

    @property
    def done(self) -> bool:
        """Return whether every page has its outcome."""
        return self.ledger.walked

    @property
    def complete_ranges(self) -> int:
        """Return how many ranges, from the first on, have all their outcomes."""
        return self.ledger.position.range_index

    def step(self, chunk_pages: int) -> int:
        """Swap out one chunk; return the present pages asked for.

        Where nothing is present, the next look goes over twice as many pages, so holes cost little.
        Raises OSError or KernelError when nothing can be swapped out at all.
        """
        self._files.check_alive()
        attempt = self._look_at_next(chunk_pages)
        asked = attempt.present_pages
        if not asked:
            self._window_pages = min(2 * max(chunk_pages, self._window_pages), MAX_WINDOW_PAGES)
            self._settle(attempt, Outcome.BUSY)
            return 0
        if asked > chunk_pages and self._window_pages > chunk_pages:
            self._window_pages = 0
            return 0
        if self._context.kernel.swap_free_pages() <= 0:
            self._give_up_full(attempt)
            return 0
        if self._context.params.swap_method == MEMORY_RECLAIM:
            self._settle(self._reclaim(attempt), Outcome.BUSY)
        else:
            self._judge(attempt, self._page_out(attempt))
        return asked

    def end(self, outcome: Outcome, errno_: int = 0) -> None:
        """Let all pages without an outcome end in this way."""
        self.settle()
        self.ledger.end_rest(outcome, errno_)

    def settle(self) -> None:
        """Let pages that wait for another try end as busy."""
        if self._attempt:
            self._settle(self._attempt, Outcome.BUSY)

    def _look_at_next(self, chunk_pages: int) -> _Attempt:
        """Return the piece to try again as it looks now, or else the next one."""
        ledger = self.ledger
        if self._attempt:
            swapped, present = self._look(self._attempt.piece)
            return attrs.evolve(self._attempt, swapped=swapped, present=present)
        piece = cut(ledger.start, ledger.pages, ledger.position, max(chunk_pages, self._window_pages))
        swapped, present = self._look(piece)
        return _Attempt(piece, swapped, swapped, present, np.zeros(len(swapped), np.int32))

    def _look(self, piece: Piece) -> tuple[U32, U32]:
        return self._context.kernel.presence(self._files.pagemap, piece.start, piece.pages)

    def _page_out(self, attempt: _Attempt) -> _Attempt:
        """Return how the piece looks after it was asked for.

        One call is enough, save that the kernel stops at a range that it refuses (locked memory, a hole):
        the ranges behind that one are asked for with another call.
        """
        todo = np.flatnonzero(attempt.present)
        while len(todo):
            start, lengths = attempt.piece.start[todo], attempt.piece.pages[todo].astype(np.uint64) * PAGE_BYTES
            try:
                returned = self._context.kernel.page_out(self._files.pidfd, start, lengths)
            except OSError as error:
                returned = -(error.errno or errno.EIO)
            swapped, present = self._look(attempt.piece)
            after = attrs.evolve(attempt, swapped=swapped, present=present)
            self._report_call(PROCESS_MADVISE, attempt, after, todo, returned)
            if -returned in _REFUSES_ALL:
                raise OSError(-returned, "process_madvise refused")
            attempt = after
            if returned < 0:
                attempt.errnos[todo[0]] = -returned
                todo = todo[1:]
            else:
                todo = todo[np.searchsorted(np.cumsum(lengths), returned, side="right") :]
        return attempt

    def _reclaim(self, attempt: _Attempt) -> _Attempt:
        """Return how the piece looks after as much memory of the cgroup was asked for, once.

        What the kernel took from elsewhere in the group is not asked for a second time: the next plan sees to it.
        """
        size_bytes = attempt.present_pages * PAGE_BYTES
        try:
            returned = self._context.kernel.reclaim(self.ledger.key, size_bytes)
        except KernelError as error:
            returned = -error.errno
        except UnsupportedError as error:
            self._context.conditions.not_reclaimable(self.ledger.key, str(error))
            raise OSError(errno.EOPNOTSUPP, str(error)) from error
        swapped, present = self._look(attempt.piece)
        after = attrs.evolve(attempt, swapped=swapped, present=present)
        self._report_call(MEMORY_RECLAIM, attempt, after, np.flatnonzero(attempt.present), returned)
        if returned < 0 and returned != -errno.EAGAIN:
            raise OSError(-returned, "memory.reclaim refused")
        if after.swapped_pages > attempt.swapped_pages:
            self._context.conditions.succeeded(self.ledger.key, SWAP_NODE)
        return after

    def _report_call(
        self, call: str, before: _Attempt, after: _Attempt, asked: npt.NDArray[np.intp], returned: int
    ) -> None:
        asked_pages = total(before.piece.pages[asked])
        self._context.post_call(
            CallReport(
                self.ledger.key,
                call,
                SWAP_NODE,
                asked_pages,
                max(0, after.swapped_pages - before.swapped_pages),
                int(before.piece.start[asked[0]]),
                returned,
                {-returned: int(before.piece.pages[asked[0]])} if returned < 0 else {},
                self._context.clock(),
            )
        )

    def _judge(self, before: _Attempt, after: _Attempt) -> None:
        """Try again what may go next time; else count how the piece ended."""
        left = total(after.present[after.errnos == 0])
        progress = after.swapped_pages > before.swapped_pages
        if progress:
            self._context.conditions.succeeded(self.ledger.key, SWAP_NODE)
        if left and self._context.kernel.swap_free_pages() < left:
            if progress:
                self._settle(after, Outcome.TARGET_FULL)
            else:
                self._give_up_full(after)
        elif left and progress and after.tries < self._context.params.busy_retries:
            self._attempt = attrs.evolve(after, tries=after.tries + 1)
            self.due_ns = self._context.clock() + self._context.params.interval_ms * NS_PER_MS
        else:
            self._settle(after, Outcome.BUSY)

    def _give_up_full(self, attempt: _Attempt) -> None:
        self._context.conditions.target_full(SWAP_NODE)
        self.target_full = True
        self._settle(attempt, Outcome.TARGET_FULL)
        self.ledger.end_rest(Outcome.TARGET_FULL)

    def _settle(self, attempt: _Attempt, stayed: Outcome) -> None:
        """Count the pages of a piece by how it looks now; those that are present end as `stayed`, or were refused."""
        ledger, piece = self.ledger, attempt.piece
        count = len(piece.start)
        moved = np.where(attempt.swapped > attempt.swapped_before, attempt.swapped - attempt.swapped_before, 0)
        columns = {
            Outcome.MOVED: moved,
            Outcome.ALREADY_THERE: attempt.swapped - moved,
            Outcome.NOT_PRESENT: piece.pages - attempt.swapped - attempt.present,
            stayed: np.where(attempt.errnos == 0, attempt.present, 0),
        }
        for outcome, pages in columns.items():
            ledger.count_columns(piece.first_range, outcome, pages.astype(np.uint64))
        owner = np.arange(piece.first_range, piece.first_range + count, dtype=np.uint32)
        for value in np.unique(attempt.errnos[attempt.errnos != 0]).tolist():
            refused = attempt.errnos == value
            ledger.count(owner[refused], attempt.present[refused], Outcome.OTHER, value)
        ledger.position = piece.end
        self._attempt = None
        self.due_ns = 0
