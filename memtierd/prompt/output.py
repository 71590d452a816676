"""Where results are printed: a stream whose failures are errors that an operator can read."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, Protocol, TextIO

from memtierd.errors import from_oserror
from memtierd.prompt.window import Window


class Writer(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> Any:
        """Write text."""

    def flush(self) -> Any:
        """Pass on what was written."""


class Output:
    """A text stream that takes any letters.

    A reader that has gone away is a BrokenPipeError; what else the kernel refuses is a KernelError.
    """

    def __init__(self, stream: TextIO, *, by_line: bool = False) -> None:
        """Take over a stream; `by_line`: whole lines are passed on at once, also into a pipe or file."""
        # Once: reconfigure() flushes, which may fail, and that belongs to flush() below.
        if isinstance(stream, TextIOWrapper):
            if stream.errors != "backslashreplace":
                stream.reconfigure(errors="backslashreplace")
            if by_line and not stream.line_buffering:
                stream.reconfigure(line_buffering=True)
        self._stream = stream

    def write(self, text: str) -> None:
        """Write text."""
        with _translated():
            self._stream.write(text)

    def flush(self) -> None:
        """Pass on what was written."""
        with _translated():
            self._stream.flush()

    def fileno(self) -> int:
        """Return the file descriptor.  Raises OSError when there is none."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether a person reads it."""
        return self._stream.isatty()

    @property
    def columns(self) -> int | None:
        """Return how wide the terminal's window is, None for what is none, or does not say."""
        if not self.isatty():
            return None
        try:
            return os.get_terminal_size(self.fileno()).columns or None
        except OSError:
            return None

    @property
    def has_colours(self) -> bool:
        """Return whether it is a terminal with colours, and whoever reads it likes them (https://no-color.org)."""
        return self.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"

    @property
    def window(self) -> Window:
        """Return the window in which the text is seen."""
        return Window(self.columns, self.has_colours)

    def discard(self) -> None:
        """Let the stream write to nowhere from now on, what it still holds included."""
        try:
            descriptor = self._stream.fileno()
        except OSError:
            return  # it only lives in memory
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise from_oserror("write output", error, advice) from error
