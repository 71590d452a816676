"""What the mover needs of the kernel, as a port that tests can stand in for."""

from collections.abc import Callable
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.model import U32, U64, ProcessKey

I32 = npt.NDArray[np.int32]
Stop = npt.NDArray[np.int32]
"""Shape (1,): native code polls it and gives up with ECANCELED when it is not 0."""


class Collected(Protocol):
    """Pages found by one walk, as native.collect_pages gives them."""

    @property
    def addresses(self) -> U64:
        """Return one address for each page or huge page that is present on another node."""

    @property
    def owner(self) -> U32:
        """Return the range index of each address."""

    @property
    def weight(self) -> U32:
        """Return the pages inside the range that go along with each address."""

    @property
    def already_there(self) -> U64:
        """Return the pages walked and found on the target; one entry a range."""

    @property
    def not_present(self) -> U64:
        """Return the pages walked and found absent or swapped; one entry a range."""

    @property
    def range_index(self) -> int:
        """Return the range where the walk goes on; the number of ranges at the end."""

    @property
    def page_index(self) -> int:
        """Return the page in that range where the walk goes on."""


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
    open_pagemap: Callable[[int], int]
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
    swap_free_pages: Callable[[], int]
