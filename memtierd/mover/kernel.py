"""What the mover needs of the kernel, as a port that tests can stand in for."""

from collections.abc import Callable
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.model import U32, U64, ProcessKey
from memtierd.native import Collected, Stop

I32 = npt.NDArray[np.int32]


class CollectPages(Protocol):
    """Gathers the pages of ranges that are not on a node; see native.collect_pages."""

    def __call__(
        self,
        pagemap_fd: int,
        kpageflags_fd: int,
        start: U64,
        pages: U32,
        range_index: int,
        page_index: int,
        target: int,
        max_pages: int,
        stop: Stop,
    ) -> Collected:
        """Raise OSError: ENODEV when the target is not an online node, ECANCELED when stopped."""


@attrs.frozen
class MoverKernel:
    """The mover's whole view of the kernel.  Every call raises OSError or KernelError."""

    open_pidfd: Callable[[ProcessKey], int]
    """Raises ProcessGoneError, also when the pid names another process now."""
    is_alive: Callable[[int], bool]
    """pidfd → whether the process runs."""
    open_pagemap: Callable[[ProcessKey], int]
    """Raises ProcessGoneError like `open_pidfd`."""
    open_kpageflags: Callable[[], int]
    close: Callable[[int], None]
    collect_pages: CollectPages
    move_pages: Callable[[int, U64, int, I32], int]
    """pid, addresses, target node, status (out) → pages not migrated, 0 or more (mm/migrate.c)."""
    query_nodes: Callable[[int, U64, I32], int]
    """pid, addresses, status (out): the node of each page, or -errno."""
    presence: Callable[[int, U64, U32], tuple[U32, U32]]
    """pagemap fd, start, pages → swapped and present pages, one entry a range."""
    page_out: Callable[[int, U64, U64], int]
    """pidfd, start, length in bytes → bytes walked, which says nothing of what was swapped (mm/madvise.c)."""
    reclaim: Callable[[ProcessKey, int], int]
    """process, bytes to reclaim of its cgroup → those bytes.  Raises KernelError, EAGAIN when less was reclaimed, and
    UnsupportedError where that can't be asked for."""
    swap_free_pages: Callable[[], int]
