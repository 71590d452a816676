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

    def abort(self, timeout_s: float) -> bool:
        """Let the run end early; return whether it ended in time."""
        self._run.abort()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._before()
            problem = self._run.run()
            self._after()
        except MemtierdError as error:
            problem = str(error)
        except SystemExit:
            problem = "a routine can't end memtierd"
        except Exception as error:  # noqa: BLE001  a bug in one command must not end the routine
            problem = f"unexpected {type(error).__name__}: {error}; this is a bug, report it"
        self.problem = problem
        self._on_end()
