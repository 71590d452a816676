"""The tracefs connection: DAMON's tracepoint in a trace instance of our own, without any program."""

import os
import threading
from collections.abc import Sequence

from memtierd.errors import MemtierdError
from memtierd.linux.roots import ROOTS, Roots
from memtierd.linux.tracefs import EVENT, TraceInstance, damon_event
from memtierd.trackers.damon.connection import Monitor, Records
from memtierd.trackers.damon.events import Lines, lost_events, parse_events
from memtierd.trackers.damon.inbox import Inbox, Recently

BUFFER_KB = 512
"""Buffer of each CPU: some 9000 reports, nine aggregations of 1000 regions."""
_READ_BYTES = 1 << 16
_MOST_BYTES = 1 << 20
_US_PER_S = 1_000_000
_CLOSE_TIMEOUT_S = 1.0
_LOST = (
    "tracker damon: some of DAMON's reports were overwritten before they could be read; raise aggregationus or lower"
    " maxtargetregions"
)


class TracefsConnection:
    """Connection over trace_pipe; every report of every region arrives."""

    name = "tracefs"
    needs_schemes = False

    def __init__(self, instance: str, aggregation_us: int, roots: Roots = ROOTS) -> None:
        """Prepare; nothing is made yet.

        Args:
            instance: name of the trace instance.
            aggregation_us: how often reports come, which is how often they are read.
            roots: where tracefs is.

        """
        self.lost = 0
        """Reports that the kernel has overwritten."""
        self._instance = instance
        self._roots = roots
        self._pause_s = min(max(aggregation_us / _US_PER_S, 0.02), 1.0)
        self._inbox = Inbox()
        self._loss = Recently()
        self._lines = Lines()
        self._trace: TraceInstance | None = None
        self._pipe = -1
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure = ""

    def open(self) -> None:
        """Make the trace instance and begin to read it."""
        damon_event(self._roots)
        self._trace = TraceInstance(self._instance, self._roots)
        self._pipe = self._trace.open(EVENT, BUFFER_KB)
        self._done.clear()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="damon-tracefs", daemon=True)
        self._thread.start()

    def follow(self, monitors: Sequence[Monitor]) -> None:
        """Let the kernel record only what these kdamonds report."""
        if self._trace is not None:
            self._trace.follow(EVENT, [monitor.thread for monitor in monitors])

    def take(self) -> Records:
        """Return what arrived since the last call."""
        self._loss.step(self.lost + self._inbox.dropped)
        return self._inbox.take()

    def conditions(self) -> tuple[str, ...]:
        """Return that reports were lost, or can't be read any more."""
        lost = (_LOST,) if self._loss.holds else ()
        return (*lost, self._failure) if self._failure else lost

    def close(self) -> None:
        """Stop reading and remove the trace instance."""
        if self._trace is None:
            return
        self._done.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT_S)
            self._thread = None
        trace, self._trace, self._pipe = self._trace, None, -1
        trace.close(EVENT)

    def _run(self) -> None:
        """Read whatever has come, again and again; what can't be read any more becomes a condition."""
        while not self._done.wait(self._pause_s):
            try:
                self._drain()
            except OSError as error:
                self._failure = f"tracker damon: read trace_pipe: {error.strerror}; restart the policy"
                return
            except MemtierdError as error:
                self._failure = f"tracker damon: {error}; restart the policy"
                return

    def _drain(self) -> None:
        """Read until nothing is left: the kernel hands out a few lines at a time."""
        while not self._done.is_set():
            chunks, size = [], 0
            while size < _MOST_BYTES and (chunk := self._read()):
                chunks.append(chunk)
                size += len(chunk)
            if not chunks:
                return
            text = self._lines.whole(b"".join(chunks))
            self.lost += lost_events(text)
            self._inbox.put(parse_events(text))

    def _read(self) -> bytes:
        try:
            return os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return b""
