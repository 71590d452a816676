"""Moves the pages of one process to a node with move_pages(2), chunk by chunk."""

import errno

import attrs
import numpy as np

from memtierd.model import U8, U32, U64, Bool, CallReport, Outcome
from memtierd.mover.kernel import I32
from memtierd.mover.task import Ledger, Position
from memtierd.mover.work import NS_PER_MS, Context, OpenFiles
from memtierd.native import NOT_ATTEMPTED, outcome_of_errno

_AGAIN = (-errno.EBUSY, -errno.EAGAIN)


@attrs.frozen(eq=False)
class _Pages:
    """Addresses to move; `tries` is how often each has been tried."""

    addresses: U64
    owner: U32
    weight: U32
    tries: U8

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def total_weight(self) -> int:
        """Return the number of base pages."""
        return int(self.weight.sum(dtype=np.uint64))

    def where(self, chosen: Bool) -> "_Pages":
        """Return the chosen ones."""
        return _Pages(self.addresses[chosen], self.owner[chosen], self.weight[chosen], self.tries[chosen])

    def split(self, first: int) -> tuple["_Pages", "_Pages"]:
        """Return the first ones and the others."""
        front = np.arange(len(self)) < first
        return self.where(front), self.where(~front)

    def take(self, base_pages: int) -> tuple["_Pages", "_Pages"]:
        """Return the first ones, as many as it takes to have so many base pages, and the others."""
        before = np.cumsum(self.weight, dtype=np.int64) - self.weight
        return self.split(int(np.searchsorted(before, base_pages)))

    def followed_by(self, others: "_Pages") -> "_Pages":
        """Return these and then the others."""
        return _Pages(
            np.concatenate((self.addresses, others.addresses)),
            np.concatenate((self.owner, others.owner)),
            np.concatenate((self.weight, others.weight)),
            np.concatenate((self.tries, others.tries)),
        )


_NONE = _Pages(np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.uint8))


def attempted_pages(status: I32, returned: int) -> int:
    """Return how many pages a move_pages call tried, from its first on, given its raw statuses and return value.

    The page that ends a group gets its status before the group is migrated.  When that fails the call returns
    the pages that failed, at least one, plus those behind the group's end (mm/migrate.c,
    move_pages_and_store_status); a last group that fails returns only its own.
    """
    answered = np.flatnonzero(status != NOT_ATTEMPTED)
    end = int(answered[-1]) + 1 if len(answered) else 0
    return end if returned > len(status) - end else len(status)


@attrs.frozen(eq=False)
class _Answer:
    """What the kernel said of a chunk."""

    status: I32
    """The node or -errno of each page; NOT_ATTEMPTED where it is elsewhere for a reason unknown."""
    returned: int
    """The return value, or -errno."""
    attempted: int
    """So many of the pages were tried at all; the others come after them."""

    @property
    def refusal(self) -> int:
        """Return the errno of a call that was refused as a whole, else 0."""
        return max(0, -self.returned)


class NodeMove:
    """A segment of a batch on its way to a node.

    move_pages tells less than it seems to (mm/migrate.c, do_pages_move).  It gathers pages into groups, and a
    page with an answer of its own (shared, absent, busy) ends a group.  When a page of a group can't be migrated
    the call returns: that whole group keeps its old statuses, moved or not, and later pages are not tried.
    So pages of such a group are queried; those that are elsewhere are tried again, an interval later and behind
    the others, so that they can't keep the others from being tried.  A whole chunk of them has its turn before
    more is gathered: of a process with pinned memory they would pile up.
    """

    def __init__(self, context: Context, ledger: Ledger, files: OpenFiles) -> None:
        self.ledger = ledger
        self.target_full = False
        self._context = context
        self._files = files
        self._untried = _NONE
        self._waiting = _NONE
        self._retry_ns = 0

    @property
    def done(self) -> bool:
        """Return whether every page has its outcome."""
        return self.ledger.walked and not len(self._untried) and not len(self._waiting)

    @property
    def complete_ranges(self) -> int:
        """Return how many ranges, from the first on, have all their outcomes."""
        open_ranges = np.concatenate((self._untried.owner, self._waiting.owner))
        return int(open_ranges.min()) if len(open_ranges) else self.ledger.position.range_index

    @property
    def due_ns(self) -> int:
        """Return the time from which on a step has something to do."""
        return self._retry_ns if self.ledger.walked and not len(self._untried) else 0

    def step(self, chunk_pages: int) -> int:
        """Move one chunk; return its pages.  Raises OSError or KernelError when nothing can be moved at all."""
        self._files.check_alive()
        chunk = self._next_chunk(chunk_pages)
        if not len(chunk):
            return 0
        answer = self._call(chunk)
        tried, untried = chunk.split(answer.attempted)
        self._untried = untried
        self._judge(tried, answer)
        return tried.total_weight

    def _next_chunk(self, chunk_pages: int) -> _Pages:
        """Take what was left untried, what the walk finds, and what has waited long enough, up to `chunk_pages`."""
        chunk = self._untried
        due = self._context.clock() >= self._retry_ns
        crowded = due and self._waiting.total_weight >= chunk_pages
        if chunk.total_weight < chunk_pages and not self.ledger.walked and not crowded:
            chunk = chunk.followed_by(self._collect(chunk_pages - chunk.total_weight))
        self._untried = _NONE
        if due and chunk.total_weight < chunk_pages:
            again, self._waiting = self._waiting.take(chunk_pages - chunk.total_weight)
            chunk = chunk.followed_by(again)
        return chunk

    def end(self, outcome: Outcome, errno_: int = 0) -> None:
        """Let all pages without an outcome end in this way."""
        self._count_left(outcome, errno_)
        self.ledger.end_rest(outcome, errno_)

    def settle(self) -> None:
        """Let pages that wait for another try end as busy."""
        self._count_left(Outcome.BUSY, errno.EBUSY)

    def _count_left(self, outcome: Outcome, errno_: int) -> None:
        for pages in (self._untried, self._waiting):
            self.ledger.count(pages.owner, pages.weight, outcome, errno_)
        self._untried = self._waiting = _NONE

    def _collect(self, max_pages: int) -> _Pages:
        ledger, (first, page_index) = self.ledger, self.ledger.position
        found = self._context.kernel.collect_pages(
            self._files.pagemap,
            self._files.kpageflags,
            ledger.start,
            ledger.pages,
            first,
            page_index,
            ledger.target,
            max_pages,
            self._context.stop,
        )
        ledger.count_columns(0, Outcome.ALREADY_THERE, found.already_there)
        ledger.count_columns(0, Outcome.NOT_PRESENT, found.not_present)
        ledger.position = Position(found.range_index, found.page_index)
        return _Pages(found.addresses, found.owner, found.weight, np.zeros(len(found.addresses), np.uint8))

    def _call(self, chunk: _Pages) -> _Answer:
        status: I32 = np.full(len(chunk), NOT_ATTEMPTED, np.int32)
        try:
            returned = self._context.kernel.move_pages(self.ledger.key.pid, chunk.addresses, self.ledger.target, status)
        except OSError as error:
            returned = -(error.errno or errno.EIO)
        attempted = attempted_pages(status, returned)
        if returned >= 0 or returned == -errno.ENOMEM:
            self._look_again(chunk, status[:attempted])
        answer = _Answer(status, returned, attempted)
        self._context.post_call(self._call_report(chunk, answer))
        return answer

    def _look_again(self, chunk: _Pages, status: I32) -> None:
        """Replace statuses that the kernel left as they were by what a query says; pages elsewhere keep theirs."""
        unknown = np.flatnonzero(status == NOT_ATTEMPTED)
        if not len(unknown):
            return
        seen: I32 = np.full(len(unknown), NOT_ATTEMPTED, np.int32)
        try:
            self._context.kernel.query_nodes(self.ledger.key.pid, chunk.addresses[unknown], seen)
        except OSError:
            return  # the next move_pages is refused for the same reason, and that one says how the pages end
        elsewhere = (seen >= 0) & (seen != self.ledger.target)
        status[unknown] = np.where(elsewhere, np.int32(NOT_ATTEMPTED), seen)

    def _call_report(self, chunk: _Pages, answer: _Answer) -> CallReport:
        status, returned = answer.status, answer.returned
        arrived = status == self.ledger.target
        refused = (status < 0) & (status != NOT_ATTEMPTED)
        errnos = {
            -int(value): int(chunk.weight[status == value].sum(dtype=np.uint64)) for value in np.unique(status[refused])
        }
        if returned < 0:
            unknown = ~arrived & ~refused
            left = int(chunk.weight[unknown].sum(dtype=np.uint64))
            errnos[-returned] = errnos.get(-returned, 0) + left
        return CallReport(
            self.ledger.key,
            "move_pages",
            self.ledger.target,
            chunk.total_weight,
            int(chunk.weight[arrived].sum(dtype=np.uint64)),
            int(chunk.addresses[0]),
            returned,
            errnos,
            self._context.clock(),
        )

    def _judge(self, chunk: _Pages, answer: _Answer) -> None:
        """Count what has ended; keep what is tried again; end the segment where the whole call was refused."""
        status, refusal = answer.status[: len(chunk)], answer.refusal
        arrived = status == self.ledger.target
        if arrived.any():
            self._count(chunk, arrived, Outcome.MOVED)
            self._context.conditions.succeeded(self.ledger.key, self.ledger.target)
        refused = (status < 0) & (status != NOT_ATTEMPTED) & ~np.isin(status, _AGAIN)
        for value in np.unique(status[refused]).tolist():
            self._count(chunk, status == value, outcome_of_errno(-value), -value)
        left = ~arrived & ~refused
        if refusal:
            self._refused(chunk, left, refusal, progress=bool(arrived.any()))
        else:
            self._try_again(chunk, left)
        if not refusal and not arrived.any() and bool((status == -errno.ENOMEM).any()):
            self._give_up_full()

    def _refused(self, chunk: _Pages, left: Bool, refusal: int, progress: bool) -> None:
        if refusal == errno.ENOMEM:
            self._count(chunk, left, Outcome.TARGET_FULL, refusal)
            if not progress:
                self._give_up_full()
            return
        if not self._context.kernel.is_alive(self._files.pidfd):
            refusal = errno.ESRCH  # an exiting process has no mm any more: EINVAL (mm/migrate.c, find_mm_struct)
        elif refusal == errno.EACCES:
            self._context.conditions.outside_cpuset(self.ledger.key, self.ledger.target)
        elif refusal == errno.EPERM:
            self._context.conditions.not_permitted(self.ledger.key, self.ledger.target)
        self._count(chunk, left, outcome_of_errno(refusal), refusal)
        self.end(outcome_of_errno(refusal), refusal)

    def _give_up_full(self) -> None:
        """Stop asking: every further allocation would only reclaim memory on the full node."""
        self._context.conditions.target_full(self.ledger.target)
        self.target_full = True
        self.end(Outcome.TARGET_FULL, errno.ENOMEM)

    def _try_again(self, chunk: _Pages, left: Bool) -> None:
        again = left & (chunk.tries < self._context.params.busy_retries)
        self._count(chunk, left & ~again, Outcome.BUSY, errno.EBUSY)
        if not again.any():
            return
        due_ns = self._context.clock() + self._context.params.interval_ms * NS_PER_MS
        self._retry_ns = min(self._retry_ns, due_ns) if len(self._waiting) else due_ns
        tried = chunk.where(again)
        tried = _Pages(tried.addresses, tried.owner, tried.weight, tried.tries + np.uint8(1))
        self._waiting = self._waiting.followed_by(tried)

    def _count(self, chunk: _Pages, chosen: Bool, outcome: Outcome, errno_: int = 0) -> None:
        self.ledger.count(chunk.owner[chosen], chunk.weight[chosen], outcome, errno_)
