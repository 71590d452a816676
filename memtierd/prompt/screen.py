"""The whole of a terminal: pictures on it, one after the other, until a key is typed that leaves."""

import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_LEAVE = (b"q", b"\x04", b"")


class Screen(Protocol):
    """Where a live view is shown."""

    def opened(self) -> AbstractContextManager[None]:
        """Take the screen within the block, and give it back as it was."""

    def size(self) -> tuple[int, int]:
        """Return its columns and lines, which may change."""

    def show(self, lines: Sequence[str]) -> None:
        """Show a picture of at least one line in place of the last one."""

    def is_left(self, seconds: float) -> bool:
        """Wait for a key, so long at most; return whether it is one that leaves."""


class TerminalScreen:
    """The terminal on standard input and output."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Switch to the terminal's other screen and read single keys; undo both at the end."""
        settings = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)
            sys.stdout.write(_OTHER_SCREEN)
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)
            sys.stdout.write(_OWN_SCREEN)
            sys.stdout.flush()

    def size(self) -> tuple[int, int]:
        """Return the columns and lines of the window."""
        size = shutil.get_terminal_size()
        return size.columns, size.lines

    def show(self, lines: Sequence[str]) -> None:
        """Write a picture."""
        sys.stdout.write(_HOME + "".join(f"{line}{_CLEAR_LINE}\r\n" for line in lines[:-1]))
        sys.stdout.write(f"{lines[-1]}{_CLEAR_LINE}{_CLEAR_BELOW}")
        sys.stdout.flush()

    def is_left(self, seconds: float) -> bool:
        """Wait for a key."""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return bool(ready) and self.is_leaving()

    @staticmethod
    def is_leaving() -> bool:
        """Read one key, and return whether it leaves; what is typed behind it is for the prompt."""
        return os.read(sys.stdin.fileno(), 1) in _LEAVE
