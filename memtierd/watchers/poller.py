"""The thread that asks a watcher again and again which processes are to be managed."""

import threading
from collections.abc import Callable
from typing import Protocol

import attrs

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey


class Polled(Protocol):
    """What the poller needs of a watcher."""

    @property
    def interval_ms(self) -> int:
        """Time between two polls."""

    def poll(self) -> frozenset[ProcessKey]:
        """Return the processes to manage now."""

    def conditions(self) -> tuple[str, ...]:
        """Return lasting conditions worth a warning."""


@attrs.frozen
class Membership:
    """The whole answer of one poll."""

    keys: frozenset[ProcessKey]
    conditions: tuple[str, ...]


STOP_TIMEOUT_S = 0.5


class Poller:
    """Polls at once and then every interval; posts every answer, also an unchanged one.  Runs once."""

    def __init__(self, watcher: Polled, post: Callable[[Membership], None], on_error: Callable[[str], None]) -> None:
        self._watcher = watcher
        self._post = post
        self._on_error = on_error
        self._wake = threading.Event()
        self._stopping = False
        # A poll of many processes may take longer than anybody should wait for the end of the daemon.
        self._thread = threading.Thread(target=self._run, name="pidwatcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop the thread; return whether it ended in time.  A late one posts nothing any more."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                answer = Membership(self._watcher.poll(), self._watcher.conditions())
                if not self._stopping:
                    self._post(answer)
            except MemtierdError as error:
                self._on_error(f"watch processes: {error}")
            self._wake.wait(self._watcher.interval_ms / 1000)
            # Cleared before `_stopping` is looked at, so that a stop in between is not missed.
            self._wake.clear()
