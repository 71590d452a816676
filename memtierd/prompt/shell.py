"""The right side of a pipe: a shell that reads what a command writes."""

import subprocess
import threading
from collections.abc import Callable
from types import TracebackType
from typing import IO

from memtierd.prompt.context import Writer

_CHUNK_CHARACTERS = 1 << 16


class ReaderLeftError(Exception):
    """The shell command stopped reading; there is nobody to write for, which is no failure (``… | head -1``)."""


class ShellPipe:
    """Runs ``sh -c COMMAND`` with its input open for writing and its output going to `out`.

    An output without a file descriptor gets what the shell writes through a thread.  After the `with`
    block `status` is the shell's exit status, 128 + the signal's number when a signal ended it.
    """

    def __init__(self, command: str, out: Writer, err: Writer) -> None:
        self.status = 0
        self._out = out
        out.flush()
        out_fd, err_fd = descriptor_of(out), descriptor_of(err)
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if out_fd is None else out_fd,
            stderr=subprocess.STDOUT if err_fd is None else err_fd,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._copier = threading.Thread(target=self._copy, args=(self._shell.stdout,), daemon=True)
        if self._shell.stdout is not None:
            self._copier.start()

    def __enter__(self) -> "ShellPipe":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._guarded(self._input.close)
        except ReaderLeftError:
            pass
        finally:
            returned = self._shell.wait()
            self.status = returned if returned >= 0 else 128 - returned
            if self._shell.stdout is not None:
                self._copier.join()
                self._shell.stdout.close()

    def write(self, text: str) -> None:
        """Write to the shell command.  Raises ReaderLeftError when it reads no longer."""
        self._guarded(lambda: self._input.write(text))

    def flush(self) -> None:
        """Pass on what was written.  Raises ReaderLeftError when the command reads no longer."""
        self._guarded(self._input.flush)

    @property
    def _input(self) -> IO[str]:
        if self._shell.stdin is None:
            raise TypeError("the shell was started without an input")
        return self._shell.stdin

    @staticmethod
    def _guarded(act: Callable[[], object]) -> None:
        try:
            act()
        except BrokenPipeError as error:
            raise ReaderLeftError from error

    def _copy(self, source: IO[str]) -> None:
        while text := source.read(_CHUNK_CHARACTERS):
            self._out.write(text)


def descriptor_of(stream: Writer) -> int | None:
    """Return the file descriptor behind a stream, None for one that only lives in memory."""
    try:
        number: int = stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    return number
