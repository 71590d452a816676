"""The right side of a pipe: a shell that reads what a command writes."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO

from memtierd.linux.child import kill_group
from memtierd.prompt.output import Writer

_CHUNK_BYTES = 1 << 16
_ENDED_BY_SIGINT = frozenset({-signal.SIGINT, 128 + signal.SIGINT})


class ReaderLeftError(Exception):
    """The shell command stopped reading; there is nobody to write for, which is no failure (``… | head -1``)."""


class ShellPipe:
    """Runs ``sh -c COMMAND`` with its input open for writing and its output going to `out`.

    An output without a file descriptor gets what the shell writes through a thread.  After the `with`
    block `status` is the shell's exit status, 128 + the signal's number when a signal ended it.

    Ctrl-C reaches the shell command, too, and whether to end is its decision: a pager goes on.  So the block
    ends only when the shell does, and raises the KeyboardInterrupt when that is what ended one of the two.
    """

    def __init__(self, command: str, out: Writer, err: Writer, *, own_group: bool = False) -> None:
        self.status = 0
        self._out = out
        self._pending = bytearray()
        out.flush()
        out_fd, err_fd = descriptor_of(out), descriptor_of(err)
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if out_fd is None else out_fd,
            stderr=subprocess.STDOUT if err_fd is None else err_fd,
            bufsize=0,
            start_new_session=own_group,
        )
        self._own_group = own_group
        self._copier = threading.Thread(target=self._copy, args=(self._shell.stdout,), daemon=True)
        if self._shell.stdout is not None:
            self._copier.start()

    def __enter__(self) -> "ShellPipe":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted: BaseException | None = None
        try:
            if kind is None or issubclass(kind, Exception):
                self.flush()
        except ReaderLeftError:
            pass
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
        # Not before the rest was written or given up: nothing can block here.
        self._input.close()
        if isinstance(error, SystemExit):
            return  # memtierd ends; nobody waits for a shell command that finds its input at its end
        waited = self._wait()
        self.status = waited if waited >= 0 else 128 - waited
        if self._shell.stdout is not None:
            self._copier.join()
            self._shell.stdout.close()
        if interrupted is not None:
            raise interrupted

    def write(self, text: str) -> None:
        """Write to the shell command.  Raises ReaderLeftError when it reads no longer."""
        self._pending += text.encode("utf-8", "backslashreplace")
        if len(self._pending) >= _CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pass on what was written.  Raises ReaderLeftError when the command reads no longer."""
        try:
            while self._pending:
                del self._pending[: os.write(self._input.fileno(), self._pending)]
        except BrokenPipeError as error:
            raise ReaderLeftError from error

    def kill(self) -> None:
        """Kill a shell command with a process group of its own, and all in the group; from any thread."""
        if self._own_group:
            kill_group(self._shell)

    @property
    def _input(self) -> IO[bytes]:
        if self._shell.stdin is None:
            raise TypeError("the shell was started without an input")
        return self._shell.stdin

    def _wait(self) -> int:
        """Wait for the end of the shell and return what ended it, as Popen says it."""
        interrupts: list[int] = []
        with _noting(interrupts):
            returned = self._shell.wait()
        if interrupts and returned in _ENDED_BY_SIGINT:
            raise KeyboardInterrupt
        return returned

    def _copy(self, source: IO[bytes]) -> None:
        self._out.write(source.read().decode("utf-8", "backslashreplace"))


@contextmanager
def _noting(interrupts: list[int]) -> Iterator[None]:
    """Note SIGINT within the block instead of raising KeyboardInterrupt.

    An exception out of Popen.wait() may come when the child was reaped already, and its status would be lost.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def descriptor_of(stream: Writer) -> int | None:
    """Return the file descriptor behind a stream, None for one that only lives in memory."""
    try:
        number: int = stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    return number
