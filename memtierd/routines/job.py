"""A run of a command in a thread of its own, so that whoever waits for it can give up."""

import threading
from collections.abc import Callable

from memtierd.errors import MemtierdError
from memtierd.routines.runs import Run


class Job:
    """Carries out one run; `problem` tells that it has ended, and how."""

    def __init__(
        self, run: Run, before: Callable[[], None], after: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        """Prepare; `before`, `after` and, when `problem` is set, `on_end` are called in the job's thread."""
        self.problem: str | None = None
        """None as long as it is under way, empty when nothing went wrong."""
        self._run = run
        self._before = before
        self._after = after
        self._on_end = on_end
        self._thread = threading.Thread(target=self._work, name="routine-command", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def abort(self) -> None:
        """Let the run end early; don't wait for that."""
        self._run.abort()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, at most so long."""
        self._thread.join(timeout_s)

    def _work(self) -> None:
        # A time stamp that can't be printed is told of, and keeps no command from running.
        before, problem, after = map(_problem_of, (self._before, self._run.run, self._after))
        self.problem = problem or before or after
        self._on_end()


def _problem_of(step: Callable[[], str | None]) -> str:
    """Carry out a step and return what went wrong, empty when nothing did."""
    try:
        return step() or ""
    except MemtierdError as error:
        return str(error)
    except SystemExit:
        return "a routine can't end memtierd"
    except Exception as error:  # noqa: BLE001  a bug in one command must not end the routine
        return f"unexpected {type(error).__name__}: {error}; this is a bug, report it"
