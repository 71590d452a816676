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


class Poller:
    """Polls at once and then every interval; posts every answer, also an unchanged one."""

    def __init__(self, watcher: Polled, post: Callable[[Membership], None], on_error: Callable[[str], None]) -> None:
        self._watcher = watcher
        self._post = post
        self._on_error = on_error
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; no effect when it runs."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="pidwatcher")
            self._thread.start()

    def poll_now(self) -> None:
        """Poll again without waiting for the interval to pass."""
        self._wake.set()

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        if self._thread is not None:
            self._stopping = True
            self._wake.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                self._post(Membership(self._watcher.poll(), self._watcher.conditions()))
            except MemtierdError as error:
                self._on_error(f"watch processes: {error}")
            self._wake.wait(self._watcher.interval_ms / 1000)
