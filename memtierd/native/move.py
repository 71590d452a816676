"""move_pages(2) and process_madvise(2), and what became of the pages."""

import errno

import numpy as np
import numpy.typing as npt

from memtierd.model import U64, Outcome
from memtierd.native._memtierd import ffi, lib
from memtierd.native.arrays import pointer, succeeded
from memtierd.units import PAGE_BYTES

NOT_ATTEMPTED = -(1 << 31)
"""Status of pages that the kernel gave no answer for: no errno, and no node."""

MAX_RANGES = 1024
"""Ranges in one call of process_madvise (UIO_MAXIOV)."""
MAX_BYTES = (1 << 31) - PAGE_BYTES

_OUTCOME_OF_ERRNO = {
    errno.EBUSY: Outcome.BUSY,
    errno.EAGAIN: Outcome.BUSY,
    errno.ENOENT: Outcome.NOT_PRESENT,
    errno.EFAULT: Outcome.NOT_PRESENT,
    errno.EACCES: Outcome.DENIED,
    errno.EPERM: Outcome.DENIED,
    errno.ENOMEM: Outcome.TARGET_FULL,
    errno.ESRCH: Outcome.PROCESS_GONE,
}


def move_pages(pid: int, addresses: U64, target_node: int, status: npt.NDArray[np.int32]) -> int:
    """Move one page, or compound page, an address to a node; return how many were not moved.

    `status` gets the node or -errno of each, and NOT_ATTEMPTED where the kernel gave no answer: after a return above 0,
    or an error, that may include pages that were moved (mm/migrate.c stores the answers of a batch only when all of it
    was moved), so look again.  OSError: ESRCH no such process, ENODEV no such node, EACCES node outside the cpuset,
    EPERM.
    """
    nodes = np.full(len(addresses), target_node, np.int32)
    return _call(pid, addresses, pointer("nodes", nodes, np.int32, nodes.shape), status)


def query_nodes(pid: int, addresses: U64, status: npt.NDArray[np.int32]) -> int:
    """Store in `status` the node of each page, or -errno (ENOENT: not present; EFAULT: zero page or unmapped)."""
    return _call(pid, addresses, ffi.NULL, status)


def _call(pid: int, addresses: U64, nodes: object, status: npt.NDArray[np.int32]) -> int:
    count = len(addresses)
    where = pointer("addresses", addresses, np.uint64, (count,))
    answers = pointer("status", status, np.int32, (count,), writable=True)
    status.fill(NOT_ATTEMPTED)
    return succeeded(lib.memtierd_move_pages(pid, where, count, nodes, answers))


def page_out(pidfd: int, start: U64, length_bytes: U64) -> int:
    """Ask the kernel to swap ranges out; return the bytes it *walked*, which also without any swap are all of them.

    One process_madvise(MADV_PAGEOUT).  ValueError above 1024 ranges or 2 GiB - 1 page.  OSError: ESRCH process gone,
    EPERM, EINVAL, ENOMEM a range that isn't mapped first (later ones cut the return value short).
    """
    total_bytes = sum(int(length) for length in length_bytes[: MAX_RANGES + 1])  # in Python, which can't overflow
    if len(start) > MAX_RANGES or total_bytes > MAX_BYTES:
        raise ValueError(f"more than {MAX_RANGES} ranges or {MAX_BYTES} bytes in one call")
    shape = (len(start),)
    starts = pointer("start", start, np.uint64, shape)
    lengths = pointer("length_bytes", length_bytes, np.uint64, shape)
    return succeeded(lib.memtierd_page_out(pidfd, starts, lengths, len(start)))


def outcome_of_errno(number: int) -> Outcome:
    """Return the outcome that an errno (positive) of a page or of a whole call means."""
    return _OUTCOME_OF_ERRNO.get(number, Outcome.OTHER)
