"""SIGTERM and SIGHUP end memtierd in order, whatever the main thread is doing; or SIGHUP lets it reload."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.1
_SAME_S = 1.0
"""Signals within this time are one: it was sent on although it was being handled."""


class Terminated(SystemExit):
    """SIGTERM or SIGHUP came: unwind and stop everything in order."""


class Termination:
    """Raises Terminated in the main thread.

    Python notes a signal and handles it when the main thread next runs Python code.  A signal that comes just
    before that thread blocks in a system call is noted, and does not wake it.  So a thread hears of every signal
    through the wakeup descriptor (signal.set_wakeup_fd), and sends it on until it was handled.
    """

    def __init__(self, *, reloads: bool = False) -> None:
        """Prepare; with `reloads` SIGHUP ends nothing, but calls what `on_hangup` was given, or will be."""
        self._reloads = reloads
        self._raised_s: float | None = None
        self._writer = -1
        self._hangup = threading.Lock()
        self._on_hangup: Callable[[], None] | None = None
        self._missed_hangup = False
        self._is_held = False
        self._waiting: int | None = None
        """The signal that came while they were held."""

    def take(self) -> None:
        """Take the signals: SIGTERM, and SIGHUP unless it would end what nohup protects; from the main thread only."""
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._raise)
        if self._reloads or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._raise)
        main = threading.main_thread().ident
        threading.Thread(target=self._insist, args=(reader, main), name="signals", daemon=True).start()

    def on_hangup(self, call: Callable[[], None]) -> None:
        """Call this at every SIGHUP, from a thread of its own; at once when one came already."""
        with self._hangup:
            self._on_hangup = call
            missed, self._missed_hangup = self._missed_hangup, False
        if missed:
            call()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let SIGINT and what ends memtierd wait for the end of the block: threads can't be started half."""
        before = signal.getsignal(signal.SIGINT)
        self._is_held = True
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            self._is_held = False
            signal.signal(signal.SIGINT, before)
        number, self._waiting = self._waiting, None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if number is not None:
            self._raise(number, None)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._waiting = number

    def release(self) -> None:
        """Listen no longer; the signals stay with whoever handles them now."""
        signal.set_wakeup_fd(-1)
        os.close(self._writer)

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self._reloads:
            return  # the other thread hears of it, too
        if self._is_held:
            self._waiting = number
            return
        now_s = time.monotonic()
        if self._raised_s is None or now_s - self._raised_s > _SAME_S:
            self._raised_s = now_s
            raise Terminated(number)

    def _hear_hangup(self) -> None:
        with self._hangup:
            call = self._on_hangup
            self._missed_hangup |= call is None
        if call is not None:
            call()

    def _insist(self, reader: int, main: int) -> None:
        with open(reader, "rb", buffering=0) as heard:
            while number := heard.read(1):
                if number[0] == signal.SIGHUP and self._reloads:
                    self._hear_hangup()
                    continue
                while number[0] in (signal.SIGTERM, signal.SIGHUP) and self._raised_s is None:
                    time.sleep(_AGAIN_S)
                    if self._raised_s is None:
                        signal.pthread_kill(main, number[0])
