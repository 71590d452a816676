"""What commands print, copied to the log line by line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from memtierd.prompt.context import LogCopy
from memtierd.prompt.output import Writer
from memtierd.text import bounded

LOG = logging.getLogger("memtierd")


class LoggingWriter:
    """Passes text on, if that is wanted, and logs every whole line of it."""

    def __init__(self, out: Writer, copy: LogCopy) -> None:
        self._out = out
        self._copy = copy
        self._begun = ""

    def write(self, text: str, /) -> None:
        """Take text."""
        if self._copy.to_output:
            self._out.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._log(line)

    def flush(self) -> None:
        """Pass on what was written."""
        self._out.flush()

    def end(self) -> None:
        """Log the last line, when no newline has ended it."""
        if self._begun:
            self._log(self._begun)
            self._begun = ""

    def _log(self, line: str) -> None:
        LOG.info("%s%s", self._copy.prefix, bounded(line))


@contextmanager
def logged(out: Writer, copy: LogCopy) -> Iterator[Writer]:
    """Give the writer for one command: `out` itself, unless what is printed goes to the log."""
    if not copy.to_log:
        yield out
        return
    writer = LoggingWriter(out, copy)
    try:
        yield writer
    finally:
        writer.end()
