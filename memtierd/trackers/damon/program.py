"""Keeps a program running that writes lines, hands its lines on, and says what is wrong when it does not run."""

import os
import re
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from memtierd.trackers.damon.events import Lines
from memtierd.trackers.damon.pipeline import Pipeline

_CHUNK_BYTES = 1 << 16
_ERRORS_BYTES = 1 << 14
"""The newest part of what a program wrote to standard error; the usage that perf shows for a wrong option fits in."""
_MESSAGE_CHARACTERS = 200
_ERROR = re.compile(r"\berror\b", re.IGNORECASE)
_MS_PER_S = 1000
_CLOSE_S = 2.0


@attrs.frozen
class Restarts:
    """When a program that ended is started again: later each time, until it has run long enough to be trusted anew."""

    first_s: float = 1.0
    most_s: float = 60.0
    trusted_s: float = 60.0
    """After so long a run the next delay is the first one."""

    def delay_s(self, last_delay_s: float, lived_s: float) -> float:
        """Return how long to wait now; `last_delay_s` is what was waited before this run, 0 for the first one."""
        if not last_delay_s or lived_s >= self.trusted_s:
            return self.first_s
        return min(2 * last_delay_s, self.most_s)


class Program:
    """A pipeline of programs kept running by a thread of its own, which also starts them.

    `receive` is called in that thread with whole lines, of standard output or of standard error.
    """

    def __init__(
        self,
        name: str,
        commands: Sequence[Sequence[str]],
        environment: Mapping[str, str],
        receive: Callable[[bytes], None],
        restarts: Restarts | None = None,
    ) -> None:
        self.name = name
        self.starts = 0
        """How often the program was started."""
        self._commands = commands
        self._environment = environment
        self._receive = receive
        self._restarts = restarts or Restarts()
        self._trouble = ""
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to keep it running; once."""
        self._thread.start()

    def works(self) -> None:
        """Note that the program does what it should: what was wrong before is over."""
        self._trouble = ""

    def trouble(self) -> str:
        """Return why the program has ended and not worked since, or an empty text."""
        if self._thread.ident is not None and not self._thread.is_alive() and self._stop >= 0:
            return f"read {self.name}: the reader has stopped; this is a bug, report it with what is on standard error"
        return self._trouble

    def close(self) -> None:
        """Kill the program and end its thread, at once unless the kernel holds it; the second call does nothing."""
        if self._stop < 0:
            return
        os.eventfd_write(self._stop, 1)
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            os.close(self._stop)
        self._stop = -1

    def _run(self) -> None:
        stop, delay_s = self._stop, 0.0
        while True:
            began_s = time.monotonic()
            self._trouble = self._live(stop)
            delay_s = self._restarts.delay_s(delay_s, time.monotonic() - began_s)
            if _readable((stop,), delay_s):
                return

    def _live(self, stop: int) -> str:
        """Run the program until it ends or is to stop; return why it ended by itself."""
        self.starts += 1
        try:
            pipeline = Pipeline(self._commands, self._environment)
        except OSError as error:
            return f"start {self.name}: {error.strerror}: {error.filename}"
        try:
            said = self._read(pipeline, stop)
            if said is None:
                return ""
            outcome = pipeline.end()
        finally:
            pipeline.kill()
        return f"{self.name} {outcome}{_reason(said)}; it is started again, what DAMON reports meanwhile is lost"

    def _read(self, pipeline: Pipeline, stop: int) -> bytes | None:
        """Hand on what the program writes until its output ends; return its last errors, None when it is to stop."""
        lines, error_lines, said = Lines(), Lines(), b""
        output, errors = pipeline.output, pipeline.errors
        sources: tuple[int, ...] = (stop, output, errors)
        while True:
            readable = _readable(sources)
            if stop in readable:
                return None
            if errors in readable:
                chunk = os.read(errors, _CHUNK_BYTES)
                said = (said + chunk)[-_ERRORS_BYTES:]
                self._hand_on(error_lines.whole(chunk))
                if not chunk:
                    sources = (stop, output)
            elif output in readable:  # after the errors, which say why the output ends
                chunk = os.read(output, _CHUNK_BYTES)
                if not chunk:
                    return said
                self._hand_on(lines.whole(chunk))

    def _hand_on(self, lines: bytes) -> None:
        if lines:
            self._receive(lines)


def _readable(descriptors: Sequence[int], timeout_s: float | None = None) -> tuple[int, ...]:
    """Wait until there is something to read or the time is over; poll(2), for numbers above 1023 are allowed."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return tuple(found for found, _ in poll.poll(None if timeout_s is None else timeout_s * _MS_PER_S))


def _reason(said: bytes) -> str:
    """Return ": " and the line that tells most: the first that speaks of an error, else the last one."""
    lines = [line.strip() for line in said.decode("utf-8", "backslashreplace").splitlines() if line.strip()]
    if not lines:
        return ""
    line = next((line for line in lines if _ERROR.search(line)), lines[-1])
    return f": {line[:_MESSAGE_CHARACTERS]}"
