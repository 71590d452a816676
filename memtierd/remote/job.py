"""A command that a client has sent: what its caller, its writer, its screen and its voice are in the daemon."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from memtierd.errors import CommandError, MemtierdError
from memtierd.prompt.window import Window
from memtierd.remote.frames import TEXT_AT_ONCE, Message, field, pieces

_ANSWER_S = 60.0
"""How long a client may take to read or write a file."""


class Send(Protocol):
    """Sends a message; waits while the client takes none."""

    def __call__(self, kind: str, **fields: Any) -> None:
        """Send.  Raises KeyboardInterrupt when the client has gone."""


class Job:
    """One command under way.  The thread that carries it out waits here for what the client sends meanwhile.

    It is a caller, a writer, a screen and a voice for that command: all of them are the client.
    """

    def __init__(self, message: Message, send: Send) -> None:
        """Take the message that asks for it.  Raises ProtocolError."""
        self.number: int = field(message, "id", int)
        self.window = Window(_columns(message), field(message, "colours", bool))
        """In which the client shows what is printed."""
        self.has_screen: bool = field(message, "screen", bool)
        self.speaker = "memtierd"
        """Who speaks: the command that runs."""
        self._send = send
        self._changed = threading.Condition()
        self._is_cancelled = False
        self._is_left = False
        self._size = (80, 24)
        self._answer: Message | None = None

    # what the client sends meanwhile; from any thread

    def cancel(self) -> None:
        """Interrupt the command."""
        with self._changed:
            self._is_cancelled = True
            self._changed.notify_all()

    def leave(self) -> None:
        """A key was typed that leaves the screen."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()

    def resize(self, columns: int, lines: int) -> None:
        """The client's window has another size now."""
        with self._changed:
            self._size = (max(1, columns), max(1, lines))

    def answer(self, message: Message) -> None:
        """The client has done what it was asked for."""
        with self._changed:
            self._answer = message
            self._changed.notify_all()

    # Caller

    def check(self) -> None:
        """Raise KeyboardInterrupt when the command was interrupted, or nobody waits for it any more."""
        if self._is_cancelled:
            raise KeyboardInterrupt

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self._wait(lambda: False, seconds)

    def read_text(self, path: str) -> str:
        """Let the client read one of its files.  Raises OSError, ValueError."""
        answer = self._ask("read", path=path)
        if answer.get("errno"):
            number = field(answer, "errno", int)
            raise OSError(number, os.strerror(number), path)
        if answer.get("problem"):
            raise ValueError(field(answer, "problem", str))
        text: str = field(answer, "text", str)
        return text

    def save_configuration(self, path: str, text: str, *, overwrite: bool) -> None:
        """Let the client write one of its files.  Raises MemtierdError."""
        answer = self._ask("save", path=path, text=text, overwrite=overwrite)
        if answer.get("problem"):
            raise CommandError(field(answer, "problem", str))

    def _ask(self, what: str, **fields: Any) -> Message:
        self._answer = None
        self._send("ask", id=self.number, what=what, **fields)
        if not self._wait(lambda: self._answer is not None, _ANSWER_S) or self._answer is None:
            raise MemtierdError(f"ask the client to {what} a file: no answer within {_ANSWER_S:g} s; try again")
        return self._answer

    def _wait(self, met: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_cancelled or met(), min(seconds, threading.TIMEOUT_MAX))
            self.check()
            return met()

    # Writer

    def write(self, text: str, /) -> None:
        """Send what a command prints."""
        for piece in pieces(text):
            self.check()
            self._send("out", id=self.number, text=piece)

    def flush(self) -> None:
        """Let the client pass on what was printed."""
        self._send("flush", id=self.number)

    # Teller

    def tell(self, message: str) -> None:
        """Send a problem."""
        self._send("problem", id=self.number, speaker=self.speaker, message=message[:TEXT_AT_ONCE])

    # Screen

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let the client take its terminal as a whole."""
        self._is_left = False
        self._send("screen", id=self.number, open=True)
        try:
            yield
        finally:
            self._send("screen", id=self.number, open=False)

    def size(self) -> tuple[int, int]:
        """Return the size of the client's window."""
        return self._size

    def show(self, lines: Sequence[str]) -> None:
        """Send a picture."""
        self.check()
        self._send("picture", id=self.number, lines=list(lines))

    def is_left(self, seconds: float) -> bool:
        """Wait until the client leaves, so long at most."""
        return self._wait(lambda: self._is_left, seconds)


def _columns(message: Message) -> int | None:
    return None if message.get("columns") is None else max(1, field(message, "columns", int))
