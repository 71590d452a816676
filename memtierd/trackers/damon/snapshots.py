"""The sysfs connection: a scheme that does nothing lists the regions of each process, and we read the list.

Each list is one aggregation; DAMON is asked for it every `snapshot_ms`, and what it sees in between goes unread.
"""

import errno
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from memtierd.errors import KernelError, MemtierdError
from memtierd.linux.damon_sysfs import DamonSysfs
from memtierd.trackers.damon.connection import Monitor, Records
from memtierd.trackers.damon.inbox import Inbox

_CLOSE_TIMEOUT_S = 1.0
_VANISHED = (errno.ENOENT, errno.ENODEV, errno.EINVAL)
"""A kdamond that ends, or that is set up anew, while it is read."""


class SysfsConnection:
    """Connection over schemes/N/tried_regions."""

    name = "sysfs"
    needs_schemes = True

    def __init__(self, sysfs: DamonSysfs, snapshot_ms: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Prepare; `clock` is monotonic, in nanoseconds."""
        self._sysfs = sysfs
        self._pause_s = snapshot_ms / 1000
        self._clock = clock
        self._inbox = Inbox()
        self._monitors: tuple[Monitor, ...] = ()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure = ""

    def open(self) -> None:
        """Begin to ask."""
        self._done.clear()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="damon-sysfs", daemon=True)
        self._thread.start()

    def follow(self, monitors: Sequence[Monitor]) -> None:
        """Ask exactly these kdamonds from now on."""
        self._monitors = tuple(monitors)

    def take(self) -> Records:
        """Return what arrived since the last call."""
        return self._inbox.take()

    def conditions(self) -> tuple[str, ...]:
        """Return why DAMON could not be asked the last time."""
        return (self._failure,) if self._failure else ()

    def close(self) -> None:
        """Stop asking; a thread that waits for the kernel ends when that answers."""
        self._done.set()
        self._monitors = ()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT_S)
            self._thread = None

    def _run(self) -> None:
        while not self._done.wait(self._pause_s):
            self.ask()

    def ask(self) -> None:
        """Take one snapshot of every kdamond that is followed."""
        monitors, failure = self._monitors, ""
        for monitor in monitors:
            try:
                records = self._snapshot(monitor)
            except KernelError as error:
                if error.errno not in _VANISHED:
                    failure = f"tracker damon: {error}"
                continue
            except MemtierdError as error:
                failure = f"tracker damon: {error}"
                continue
            if monitors is self._monitors:  # else its targets may have changed while it was read
                self._inbox.put(records)
        self._failure = failure

    def _snapshot(self, monitor: Monitor) -> Records:
        asked_ns = self._clock()
        self._sysfs.update_tried_regions(monitor.kdamond)
        parts = []
        for target in range(monitor.targets):
            start, end, nr_accesses = self._sysfs.tried_regions(monitor.kdamond, target)
            size = len(start)
            parts.append(
                Records(
                    time_ns=np.full(size, asked_ns, np.int64),
                    thread=np.full(size, monitor.thread, np.uint32),
                    target=np.full(size, target, np.uint64),
                    nr_regions=np.full(size, size, np.uint32),
                    start=start,
                    end=end,
                    nr_accesses=nr_accesses,
                )
            )
        return Records.joined(parts)
