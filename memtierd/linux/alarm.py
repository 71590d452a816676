"""Wakes a thread that waits for descriptors."""

import math
import os
import select
from contextlib import suppress

from memtierd.linux.roots import translated


class Alarm:
    """Rings in any number of threads, and one waits.  Its descriptor lives as long as anybody may still ring it."""

    def __init__(self) -> None:
        """Open an eventfd (man eventfd).  Raises KernelError without another open file."""
        self._descriptor = -1
        try:
            self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as error:
            raise translated("open an eventfd", error) from error

    def __del__(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def ring(self) -> None:
        """End the wait that is under way, or the next one."""
        os.eventfd_write(self._descriptor, 1)

    def wait(self, timeout_s: float, beside: int | None = None) -> bool:
        """Wait until it rings, the time is over, or the descriptor `beside` can be read; return whether this can."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if beside is not None:
            poll.register(beside, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(math.ceil(timeout_s * 1000))}
        if self._descriptor in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)
        return beside in ready
