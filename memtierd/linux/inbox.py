"""The control thread's inbox: waits for a message, and for a descriptor beside it."""

import queue
from typing import Generic, TypeVar

from memtierd.linux.alarm import Alarm

M = TypeVar("M")


class Inbox(Generic[M]):
    """A queue that any thread puts into and one thread takes out of."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[M] = queue.SimpleQueue()
        self._alarm = Alarm()

    def put(self, message: M) -> None:
        """Add a message."""
        self._queue.put(message)
        self._alarm.ring()

    def qsize(self) -> int:
        """Return how many messages are waiting."""
        return self._queue.qsize()

    def get(self) -> M:
        """Return the next message, which must be there: `qsize` says so."""
        return self._queue.get_nowait()

    def wait(self, timeout_s: float, beside: int | None) -> tuple[M | None, bool]:
        """Wait for a message, the end of the time, or that the descriptor `beside` can be read.

        Return the next message, None when none has come, and whether the descriptor can be read.  It may also end
        with neither before the time is over.
        """
        readable = self._alarm.wait(0 if self._queue.qsize() else timeout_s, beside)
        return (self._queue.get_nowait() if self._queue.qsize() else None), readable
