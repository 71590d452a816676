"""The thread that asks a watcher again and again which processes are to be managed."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import attrs

from memtierd.errors import MemtierdError
from memtierd.linux.alarm import Alarm
from memtierd.model import ProcessKey
from memtierd.watchers.base import See
from memtierd.watchers.changes import GroupChanges


class Polled(Protocol):
    """What the poller needs of a watcher."""

    @property
    def interval_ms(self) -> int:
        """Time between two polls."""

    def poll(self, see: See, /) -> frozenset[ProcessKey]:
        """Return the processes to manage now."""

    def conditions(self) -> tuple[str, ...]:
        """Return lasting conditions worth a warning."""


@attrs.frozen
class Membership:
    """The whole answer of one poll."""

    keys: frozenset[ProcessKey]
    conditions: tuple[str, ...]


STOP_TIMEOUT_S = 0.5
_PAUSE_S = 0.02
"""At most so often does what the kernel tells make it look again, and is it taken notice of at all."""
_POLLS_PER_POLL = 4
"""It rests for so many times as long as the latest poll took."""


class Poller:
    """Polls at once, every interval, and when the kernel tells of a change; posts every answer, also an unchanged one.

    A change only means that it is time to look, so one that comes while it rests is as good as many.  Runs once.
    """

    def __init__(
        self,
        watcher: Polled,
        post: Callable[[Membership], None],
        on_error: Callable[[str], None],
        changes: GroupChanges | None = None,
    ) -> None:
        self._watcher = watcher
        self._post = post
        self._on_error = on_error
        self._changes = changes or GroupChanges()
        self._alarm = Alarm()
        self._stopping = False
        # A poll of many processes may take longer than anybody should wait for the end of the daemon.
        self._thread = threading.Thread(target=self._run, name="pidwatcher", daemon=True)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Return what keeps it from hearing of changes."""
        return self._changes.conditions

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stop the thread; return whether it ended in time.  A late one posts nothing any more."""
        self._stopping = True
        self._alarm.ring()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping:
                began_s = time.monotonic()
                self._poll()
                self._wait_for_next(time.monotonic() - began_s)
        finally:
            self._changes.close()

    def _poll(self) -> None:
        self._changes.begin()
        try:
            keys = self._watcher.poll(self._changes.see)
            # Only now: a poll that failed has not seen all.
            self._changes.end()
            answer = Membership(keys, (*self._watcher.conditions(), *self._changes.conditions))
            if not self._stopping:
                self._post(answer)
        except MemtierdError as error:
            self._on_error(f"watch processes: {error}")

    def _wait_for_next(self, took_s: float) -> None:
        """Rest, and then wait for a change, until the interval is over."""
        due_s = time.monotonic() + self._watcher.interval_ms / 1000
        rest_s = max(_PAUSE_S, _POLLS_PER_POLL * took_s)
        while not self._stopping and (left_s := due_s - time.monotonic()) > 0:
            self._alarm.wait(min(left_s, rest_s))
            left_s = max(0.0, due_s - time.monotonic())
            if not self._stopping and self._alarm.wait(left_s, self._changes.fileno()) and self._changes.take():
                return
            rest_s = _PAUSE_S
