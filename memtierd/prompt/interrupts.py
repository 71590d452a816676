"""Ctrl-C at a prompt: it ends what a person waits for, and never the daemon."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Raises KeyboardInterrupt where that is allowed, and drops a Ctrl-C that comes at another moment.

    Without this a second Ctrl-C could come while the first one is being told of, where nothing catches it.
    """

    def __init__(self) -> None:
        self._is_allowed = False
        self._noted: list[int] | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take SIGINT within the block; not where it is ignored, nor outside of the main thread."""
        raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not raises or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, self._take)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let SIGINT raise KeyboardInterrupt, once, within the block, or at its very ends."""
        self._is_allowed = True
        try:
            yield
        finally:
            self._is_allowed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Drop what comes within the block, also inside of `allowed`: whoever called us would swallow an exception."""
        before, self._is_allowed = self._is_allowed, False
        try:
            yield
        finally:
            self._is_allowed = before

    @contextmanager
    def noted(self) -> Iterator[list[int]]:
        """Give a list that grows with every Ctrl-C within the block, where nothing is raised for it.

        Where SIGINT was not taken it stays empty, and SIGINT does what it always does.
        """
        before, self._noted = self._noted, []
        try:
            yield self._noted
        finally:
            self._noted = before

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self._noted is not None:
            self._noted.append(number)
            return
        if self._is_allowed:
            self._is_allowed = False
            raise KeyboardInterrupt
