"""A connection whose reports a program writes as lines of text."""

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence

import attrs

from memtierd.trackers.damon.connection import Monitor, Records
from memtierd.trackers.damon.events import parse_events
from memtierd.trackers.damon.inbox import Inbox, Recently
from memtierd.trackers.damon.program import Program, Restarts

LEASH = shutil.which("cat") or "/bin/cat"
"""A program that ends with its input; bpftrace and perf end with the program that they are told to run.

With its path: bpftrace searches PATH itself and gives up when it finds a name twice, such as in /bin and /usr/bin.
"""
_EVENT_MARK = b"target_id="


@attrs.frozen(kw_only=True)
class Dialect:
    """What there is to know of one program."""

    name: str
    commands: Callable[[], Sequence[Sequence[str]]]
    """Returns the pipeline to run; raises UnsupportedError, which says what is missing."""
    environment: Mapping[str, str]
    """Variables beside those of memtierd itself."""
    lost: re.Pattern[bytes]
    """Its group 1 is how many events the program says it lost."""
    advice: str
    """What to do when it loses events."""
    shift_ns: Callable[[], int] = lambda: 0
    """Returns what to add to a time that the program writes to get CLOCK_MONOTONIC."""


@attrs.define
class Counts:
    """What went wrong since the connection was made."""

    lost: int = 0
    """Events that the program itself says it lost."""
    strange: int = 0
    """Pieces of output with events that were not understood."""


class ProgramConnection:
    """Keeps the program running and its records until they are taken; implements Connection."""

    def __init__(self, dialect: Dialect, restarts: Restarts | None = None) -> None:
        self.counts = Counts()
        self.needs_schemes = False
        self._dialect = dialect
        self._restarts = restarts
        self._inbox = Inbox()
        self._program: Program | None = None
        self._loss = Recently()
        self._drop = Recently()
        self._strange = Recently()

    @property
    def name(self) -> str:
        """Return the word in the configuration."""
        return self._dialect.name

    @property
    def starts(self) -> int:
        """Return how often the program was started: more than once when it has ended by itself."""
        return self._program.starts if self._program else 0

    def open(self) -> None:
        """Start the program and don't wait until it is ready; raises UnsupportedError with what is missing."""
        environment = {**os.environ, "LC_ALL": "C", **self._dialect.environment}
        self._program = Program(self.name, self._dialect.commands(), environment, self._receive, self._restarts)
        self._program.start()

    def follow(self, monitors: Sequence[Monitor]) -> None:
        """Do nothing: every kdamond's events arrive, and whose they are is written on them."""

    def take(self) -> Records:
        """Return what arrived since the last call."""
        self._loss.step(self.counts.lost)
        self._drop.step(self._inbox.dropped)
        self._strange.step(self.counts.strange)
        return self._inbox.take()

    def conditions(self) -> tuple[str, ...]:
        """Return what is wrong with the program or with what it says."""
        trouble = self._program.trouble() if self._program else ""
        advice = self._dialect.advice
        found = (
            (bool(trouble), trouble),
            (self._loss.holds, f"{self.name} can't keep up with DAMON and loses events; {advice}"),
            (self._drop.holds, f"reports of DAMON are dropped before a scan takes them in; {advice}"),
            (self._strange.holds, f"what {self.name} writes is not understood; use another connection and report this"),
        )
        return tuple(f"tracker damon: {text}" for holds, text in found if holds)

    def close(self) -> None:
        """End the program."""
        if self._program:
            self._program.close()
            self._program = None

    def _receive(self, lines: bytes) -> None:
        """Keep the records of whole lines; in the program's thread."""
        self.counts.lost += sum(int(count) for count in self._dialect.lost.findall(lines))
        records, program = parse_events(lines), self._program
        if len(records):
            shifted_ns = records.time_ns + self._dialect.shift_ns()
            self._inbox.put(attrs.evolve(records, time_ns=shifted_ns))
            if program:
                program.works()
        elif _EVENT_MARK in lines:
            self.counts.strange += 1
