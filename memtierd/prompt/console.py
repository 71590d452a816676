"""Standard output for routines: what they print, and prompt sessions of their own."""

from typing import TextIO

from memtierd.errors import MemtierdError
from memtierd.prompt.context import DaemonPort
from memtierd.prompt.output import Output
from memtierd.prompt.session import Session


class Console:
    """Opens the streams anew for everyone: what one writes reaches the file in one piece, not mixed with others'."""

    def __init__(self, daemon: DaemonPort, out: TextIO, err: TextIO) -> None:
        self._daemon = daemon
        self._out = out
        self._err = err

    def write(self, text: str) -> None:
        """Print text.  Raises MemtierdError."""
        try:
            out = Output(_opened_anew(self._out))
            out.write(text)
            out.flush()
        except BrokenPipeError as error:
            raise MemtierdError("write output: broken pipe (EPIPE); nobody reads it any more") from error

    def open_prompt(self) -> Session:
        """Return a new session."""
        return Session(self._daemon, _opened_anew(self._out), _opened_anew(self._err), alone=True)


def _opened_anew(stream: TextIO) -> TextIO:
    """Return the file behind a stream with a buffer of its own, or the stream when it only lives in memory."""
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
