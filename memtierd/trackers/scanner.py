"""The thread that runs a tracker's rounds in time."""

import threading
import traceback
from collections.abc import Callable

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey, Scan
from memtierd.trackers.tracker import ScanStoppedError, StopFlag, Tracker

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
STOP_TIMEOUT_S = 0.5
_MOST_TEXTS = 64
"""Distinct error texts that are remembered as reported."""


def next_due_ns(started_ns: int, ended_ns: int, interval_ns: int) -> tuple[int, bool]:
    """Return when the round after one that has ended is due, and whether that one overran its interval.

    Rounds start `interval_ns` apart; one that took longer is followed at once, and missed ones are not made up.
    """
    due_ns = started_ns + interval_ns
    return max(due_ns, ended_ns), ended_ns > due_ns


class Scanner:
    """Runs rounds of one tracker in a thread of its own: never two at once, the results go to `post`.

    The thread alone uses the tracker between `start` and the end of `stop`; all methods are called from
    one other thread (but `scan_now` and `set_targets` from any).
    """

    def __init__(
        self,
        tracker: Tracker,
        post: Callable[[Scan], None],
        clock: Callable[[], int],
        on_error: Callable[[str], None],
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            tracker: stays the caller's to close, after a `stop` that was in time.
            post: called in the scanner's thread with every finished round; must not wait for the thread that stops us.
            clock: monotonic time in nanoseconds, running as fast as real time.
            on_error: called in the scanner's thread with each distinct text of an unexpected error once.

        """
        self.tracker = tracker
        self.rounds = 0
        """Rounds finished and posted."""
        self.overruns = 0
        """Rounds that took longer than the interval."""
        self.errors = 0
        """Rounds lost to an unexpected error."""
        self._post = post
        self._clock = clock
        self._on_error = on_error
        self._reported: set[str] = set()
        self._wake = threading.Condition()
        self._targets: tuple[ProcessKey, ...] = ()
        self._asked = True
        """Whether a round is wanted before it is due."""
        self._due_ns = 0
        self._stop = StopFlag()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether the thread was started and has not ended."""
        return self._thread is not None

    def set_targets(self, targets: tuple[ProcessKey, ...]) -> None:
        """Scan these processes from the next round on, and at once when there were none before."""
        with self._wake:
            if targets and not self._targets:
                self._asked = True
            self._targets = targets
            self._wake.notify()

    def scan_now(self) -> None:
        """Start the next round at once, or as soon as the one under way has ended."""
        with self._wake:
            self._asked = True
            self._wake.notify()

    def start(self) -> None:
        """Start the thread; no effect when it runs."""
        if self._thread is not None:
            return
        self._stop = StopFlag()
        self._asked = True
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name=f"scanner-{self.tracker.name}", daemon=True
        )
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop the thread and return whether it ended in time; a round under way is dropped.

        C code ends within milliseconds, but nothing stops the kernel while it walks a mapping for smaps, or a
        process for clear_refs: about 60 ms for each million pages.  A thread that is slow to end uses its tracker
        until then, and posts nothing any more.
        """
        if self._thread is None:
            return True
        with self._wake:
            self._stop.set()
            self._wake.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._thread = None
        return True

    def _run(self, stop: StopFlag) -> None:
        targets: tuple[ProcessKey, ...] = ()
        while not stop.is_set():
            before, targets = targets, self._wait(stop)
            for key in set(before) - set(targets):
                self.tracker.forget(key)
            self._round(targets, stop)
        # Accesses until the next start belong to no round: everything is primed anew then.
        for key in targets:
            self.tracker.forget(key)

    def _wait(self, stop: StopFlag) -> tuple[ProcessKey, ...]:
        """Wait until a round is due or `stop` is set; return the targets."""
        with self._wake:
            while not stop.is_set():
                left_ns = 0 if self._asked else self._due_ns - self._clock()
                if self._targets and left_ns <= 0:
                    break
                self._wake.wait(left_ns / _NS_PER_S if self._targets else None)
            self._asked = False
            return self._targets

    def _round(self, targets: tuple[ProcessKey, ...], stop: StopFlag) -> None:
        if stop.is_set():
            return
        started_ns = self._clock()
        try:
            scan = self.tracker.scan(targets, stop)
            if stop.is_set():
                return
            self._post(scan)
            self.rounds += 1
        except ScanStoppedError:
            return
        except MemtierdError as error:
            self._report(str(error))
        except Exception as error:  # noqa: BLE001 - a bug in one round must not end all tracking
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._report(
                f"scan with tracker {self.tracker.name}: unexpected {type(error).__name__}: {error}"
                f" ({where.filename}:{where.lineno}); this is a bug, report it"
            )
        interval_ns = self.tracker.interval_ms * _NS_PER_MS
        self._due_ns, overran = next_due_ns(started_ns, self._clock(), interval_ns)
        self.overruns += overran

    def _report(self, text: str) -> None:
        """Count an unexpected error and pass on its text the first time."""
        self.errors += 1
        if text not in self._reported and len(self._reported) < _MOST_TEXTS:
            self._reported.add(text)
            self._on_error(text)
