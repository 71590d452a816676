"""The thread of one routine: runs the commands that are due at each tick, and waits for none longer than allowed."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from memtierd.errors import MemtierdError
from memtierd.routines.job import Job
from memtierd.routines.params import StatActionsParams
from memtierd.routines.runs import Console, run_of
from memtierd.routines.schedule import Action, Due, next_due_ns
from memtierd.routines.timestamps import format_time
from memtierd.text import bounded

STOP_TIMEOUT_S = 1.0
_ABORT_S = 0.5
"""How long a routine that is stopped waits for the end of a command that was killed."""
_ENDING_NS = 2_000_000_000
"""How long a command that was killed may take to end before it counts as stuck, also on a busy machine."""
_MOST_SHOWN = 60
_KILLED = {True: "killed", False: "and it can't be ended; the routine waits for it"}


@attrs.frozen
class Ports:
    """What a routine needs of the daemon; everything may be called from any thread."""

    count: Callable[[str, int], None]
    """Counts an event so many times."""
    hold: Callable[[str, Sequence[str]], None]
    """Takes these as all lasting conditions of a source."""
    swapped_pages: Callable[[], int]
    """Returns the pages that were really swapped out since memtierd's start.  Raises MemtierdError."""
    console: Callable[[], Console | None]


class Routine:
    """One running statactions routine.  Runs once."""

    def __init__(
        self, number: int, name: str, params: StatActionsParams, ports: Ports, clock_ns: Callable[[], int]
    ) -> None:
        self._source = f"routine {number} {name}"
        self._events = f"routine.{name}.{number}"
        self._params = params
        self._ports = ports
        self._clock_ns = clock_ns
        self._started_ns = clock_ns()
        self._due = Due(params, ports.swapped_pages())
        self._wake = threading.Event()
        self._stopping = False
        self._stuck: Job | None = None
        self._problems: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name=self._source, daemon=True)

    def start(self) -> None:
        """Start the thread; the first tick comes after one interval."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let it kill what it runs and end; don't wait for that."""
        self._stopping = True
        self._wake.set()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread and the command that it runs; return whether it ended in time."""
        self.ask_to_stop()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        interval_ns = self._params.interval_ms * 1_000_000
        due_ns = self._started_ns + interval_ns
        while not self._wait(lambda: False, due_ns):
            due_ns, missed = next_due_ns(due_ns, self._clock_ns(), interval_ns)
            self._count("skipped", missed)
            self._tick()

    def _wait(self, is_over: Callable[[], bool], until_ns: int) -> bool:
        """Wait until a time, or until something is over; return whether the routine is to stop."""
        while not self._stopping and not is_over():
            left_ns = until_ns - self._clock_ns()
            if left_ns <= 0:
                break
            self._wake.wait(left_ns / 1e9)
            # Cleared before what it stands for is looked at, so that nothing in between is missed.
            self._wake.clear()
        return self._stopping

    def _tick(self) -> None:
        if self._stuck is not None and self._stuck.problem is None:
            self._count("skipped")
            return
        self._stuck = None
        try:
            due = self._due.at(self._ports.swapped_pages())
        except MemtierdError as error:
            self._count("skipped")
            self._note("tick", f"{self._source}: {error}")
            return
        self._note("tick", "")
        self._count("tick")
        for action in due:
            if not self._stopping and self._stuck is None:
                self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        """Run a command, wait for it as long as it may take, and note what became of it."""
        job = self._start(action)
        stopping = self._wait_for(job, self._params.command_timeout_ms * 1_000_000)
        problem = job.problem
        if problem is None:
            job.abort()
            if stopping or self._wait_for(job, _ENDING_NS):
                job.join(_ABORT_S)
                return
            has_ended = job.problem is not None
            self._stuck = None if has_ended else job
            problem = f"not done within {self._params.command_timeout_ms} ms, {_KILLED[has_ended]}"
            self._count(f"{action.name}.timeout")
        elif problem:
            self._count(f"{action.name}.failed")
        self._count(action.name)
        shown = bounded(" ".join(action.command), _MOST_SHOWN)
        self._note(action.name, problem and f"{self._source}: run {action.name} '{shown}': {problem}")

    def _wait_for(self, job: Job, most_ns: int) -> bool:
        return self._wait(lambda: job.problem is not None, self._clock_ns() + most_ns)

    def _start(self, action: Action) -> Job:
        console = self._ports.console()
        params = self._params
        job = Job(
            run_of(action.runner, action.command, console),
            lambda: self._stamp(console, params.timestamp),
            lambda: self._stamp(console, params.timestamp_after),
            self._wake.set,
        )
        job.start()
        return job

    def _stamp(self, console: Console | None, layout: str) -> None:
        if console is not None and layout:
            at_ns, elapsed_ns = time.time_ns(), self._clock_ns() - self._started_ns
            at = datetime.fromtimestamp(at_ns // 1_000_000_000).astimezone()
            console.write(format_time(layout, at, at_ns, elapsed_ns))

    def _count(self, event: str, times: int = 1) -> None:
        if times:
            self._ports.count(f"{self._events}.{event}", times)

    def _note(self, what: str, problem: str) -> None:
        """Tell of a problem when it begins, changes or is over."""
        if self._problems.get(what, "") != problem:
            self._problems[what] = problem
            self._ports.hold(self._source, [text for text in self._problems.values() if text])
