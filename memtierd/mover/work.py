"""What moving to a node and swapping out share: the files of a process, and how a refused call ends its pages."""

import errno
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import attrs

from memtierd.model import CallReport, Outcome, ProcessKey
from memtierd.mover.conditions import Conditions
from memtierd.mover.kernel import MoverKernel
from memtierd.mover.params import MoverParams
from memtierd.mover.task import Ledger
from memtierd.native import Stop

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@attrs.frozen(eq=False)
class Context:
    """What a chunk of work needs beside its pages."""

    kernel: MoverKernel
    conditions: Conditions
    clock: Callable[[], int]
    """Monotonic nanoseconds."""
    post_call: Callable[[CallReport], None]
    stop: Stop
    params: MoverParams


class Work(Protocol):
    """One segment of a batch in work."""

    @property
    def ledger(self) -> Ledger:
        """Return how far it has come and how the pages ended."""

    @property
    def done(self) -> bool:
        """Return whether every page has its outcome."""

    @property
    def complete_ranges(self) -> int:
        """Return how many ranges, from the first on, have all their outcomes."""

    @property
    def target_full(self) -> bool:
        """Return whether it ended because nothing more fits on the target."""

    @property
    def due_ns(self) -> int:
        """Return the time from which on a step has something to do."""

    def step(self, chunk_pages: int) -> int:
        """Do one chunk; return the pages that the kernel was asked to move.

        Raises OSError or KernelError when the kernel refuses everything.
        """

    def end(self, outcome: Outcome, errno_: int = 0) -> None:
        """Let all pages without an outcome end in this way."""

    def settle(self) -> None:
        """Let pages that wait for another try end as busy; the walk stays where it is."""


class OpenFiles:
    """The descriptors of one process, opened when they are needed and closed together."""

    def __init__(self, kernel: MoverKernel, key: ProcessKey) -> None:
        self._kernel = kernel
        self._key = key
        self._descriptors: dict[str, int] = {}

    def __enter__(self) -> "OpenFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._descriptors.values():
            self._kernel.close(descriptor)
        self._descriptors.clear()

    @property
    def pidfd(self) -> int:
        """Return the pidfd.  Raises ProcessGoneError."""
        return self._get("pidfd", lambda: self._kernel.open_pidfd(self._key))

    @property
    def pagemap(self) -> int:
        """Return the descriptor of /proc/PID/pagemap.  Raises ProcessGoneError."""
        return self._get("pagemap", lambda: self._kernel.open_pagemap(self._key))

    @property
    def kpageflags(self) -> int:
        """Return the descriptor of /proc/kpageflags."""
        return self._get("kpageflags", self._kernel.open_kpageflags)

    def check_alive(self) -> None:
        """Raise OSError ESRCH when the process has ended, so that its pid may soon be another's."""
        if not self._kernel.is_alive(self.pidfd):
            raise ProcessLookupError(errno.ESRCH, "the process has ended")

    def _get(self, name: str, opened: Callable[[], int]) -> int:
        if name not in self._descriptors:
            self._descriptors[name] = opened()
        return self._descriptors[name]
