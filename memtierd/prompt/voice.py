"""What a prompt tells on its error output, each line with the name of who speaks before it."""

import logging
from typing import Protocol

from memtierd.errors import MemtierdError
from memtierd.prompt.grammar import UsageError
from memtierd.prompt.output import Output
from memtierd.text import bounded

LOG = logging.getLogger("memtierd.prompt")
PROGRAM = "memtierd"

OK = 0
FAILED = 1
BAD_USAGE = 2
BUG = 70
"""As EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
"""As a shell says of a command that SIGINT ended."""


class Teller(Protocol):
    """Whom a command tells of problems."""

    speaker: str
    """Who speaks: the command that runs."""

    def tell(self, message: str) -> None:
        """Take a message, which may have several lines."""


class Voice:
    """Tells of problems."""

    def __init__(self, err: Output) -> None:
        self._err = err
        self.speaker = PROGRAM
        """Who speaks: the command that runs."""

    def tell(self, message: str) -> None:
        """Print a message; one that can't be printed is lost, for there is nowhere left to tell it."""
        speaker = self._err.window.paint(f"{self.speaker}:", "red")
        try:
            for line in message.split("\n"):
                self._err.write(f"{speaker} {bounded(line)}\n")
            self._err.flush()
        except BrokenPipeError:
            self._err.discard()
        except MemtierdError:
            pass


def status_of(error: Exception, text: str) -> tuple[int, str]:
    """Return the status and the message with which an exception ends the command `text`; a bug is logged."""
    if isinstance(error, MemtierdError):
        return (BAD_USAGE if isinstance(error, UsageError) else FAILED), str(error)
    name = type(error).__name__
    LOG.error("prompt: unexpected %s in %r; this is a bug, report it", name, text, exc_info=error)
    return BUG, f"internal error: {name}: {error}"
