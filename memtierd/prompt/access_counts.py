"""The counted accesses of all regions, as `tracker -counters` and `tracker -heat` print them."""

from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import I64, U32, U64
from memtierd.reconcile import Reconciler
from memtierd.units import PAGE_BYTES


@attrs.frozen(eq=False)
class AccessCounts:
    """Copies of the counts; one entry a region, ascending by pid, then address."""

    pid: U64
    start: U64
    pages: U32
    accesses: U32
    """Pages seen accessed, in whatever way."""
    writes: U32

    @property
    def end(self) -> U64:
        """Return the address behind each region."""
        return self.start + self.pages.astype(np.uint64) * np.uint64(PAGE_BYTES)


def access_counts(reconciler: Reconciler) -> AccessCounts:
    """Return the counts as they are now."""
    table = reconciler.table
    pid = reconciler.processes.pids[table.process]
    order = np.argsort(pid, kind="stable")
    return AccessCounts(pid[order], table.start[order], table.pages[order], table.accesses[order], table.writes[order])


def counter_lines(counts: AccessCounts) -> Iterator[str]:
    """Yield one line a region, the least accessed first; `a` are accesses that were not seen to be writes."""
    order: I64 = np.argsort(counts.accesses, kind="stable")
    writes = np.minimum(counts.writes, counts.accesses)
    columns = (counts.accesses - writes, writes, counts.pid, counts.start, counts.end)
    for others, written, pid, start, end in zip(*(column[order].tolist() for column in columns), strict=True):
        yield f"a={others} r=0 w={written} AddrRanges{{pid={pid} ranges={start:x}-{end:x} ({end - start} B)}}"


def heat_lines(counts: AccessCounts) -> Iterator[str]:
    """Yield one line for neighbouring regions with equal accesses; a line names the process when there are several."""
    starts_run = np.concatenate(
        (
            [True],
            (counts.start[1:] != counts.end[:-1])
            | (counts.pid[1:] != counts.pid[:-1])
            | (counts.accesses[1:] != counts.accesses[:-1]),
        )
    )
    first = np.flatnonzero(starts_run)
    last = np.concatenate((first[1:], [len(counts.start)])) - 1
    several = counts.pid[0] != counts.pid[-1]
    before = 0
    columns = (counts.pid[first], counts.start[first], counts.end[last], counts.accesses[first])
    for pid, start, end, accesses in zip(*(column.tolist() for column in columns), strict=True):
        if several and pid != before:
            before = pid
            yield f"pid: {pid}"
        yield f"{start:x}-{end:x} ({end - start} B) {accesses}"
