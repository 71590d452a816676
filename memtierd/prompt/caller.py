"""Whoever asked for a command: files named in it are theirs, and so is the decision to wait no longer."""

import time
from typing import Protocol


class Caller(Protocol):
    """What a command asks of its caller, who may be another process."""

    def check(self) -> None:
        """Raise KeyboardInterrupt when the command is not wanted any more; long loops call it again and again."""

    def pause(self, seconds: float) -> None:
        """Let time pass.  Raises KeyboardInterrupt when the command is not wanted any more."""

    def read_text(self, path: str) -> str:
        """Return the text in a file of the caller.  Raises OSError, ValueError for what is no text."""

    def save_configuration(self, path: str, text: str, *, overwrite: bool) -> None:
        """Write a configuration to a file of the caller.  Raises MemtierdError."""


class Here:
    """A caller in this process; Ctrl-C reaches it as a signal, so there is nothing to check."""

    def check(self) -> None:
        """Do nothing."""

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def read_text(self, path: str) -> str:
        """Read a file.  Raises OSError, ValueError for what is no text."""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def save_configuration(self, path: str, text: str, *, overwrite: bool) -> None:
        """Write a file in one step.  Raises MemtierdError."""
        from memtierd.config import save_text  # noqa: PLC0415  reading YAML costs start-up time

        save_text(path, text, overwrite=overwrite)


HERE = Here()
