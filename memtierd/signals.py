"""SIGTERM and SIGHUP end memtierd in order, whatever the main thread is doing."""

import os
import signal
import threading
import time
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

    def __init__(self) -> None:
        self._raised_s: float | None = None
        self._writer = -1

    def take(self) -> None:
        """Take the signals: SIGTERM, and SIGHUP unless nohup has it ignored; from the main thread only."""
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._raise)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._raise)
        main = threading.main_thread().ident
        threading.Thread(target=self._insist, args=(reader, main), name="signals", daemon=True).start()

    def release(self) -> None:
        """Listen no longer; the signals stay with whoever handles them now."""
        signal.set_wakeup_fd(-1)
        os.close(self._writer)

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._raised_s is None or now_s - self._raised_s > _SAME_S:
            self._raised_s = now_s
            raise Terminated(number)

    def _insist(self, reader: int, main: int) -> None:
        with open(reader, "rb", buffering=0) as heard:
            while number := heard.read(1):
                while number[0] in (signal.SIGTERM, signal.SIGHUP) and self._raised_s is None:
                    time.sleep(_AGAIN_S)
                    if self._raised_s is None:
                        signal.pthread_kill(main, number[0])
