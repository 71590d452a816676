"""Where log lines go and how they look: the level, then the text on one line, whatever names it holds."""

import logging
import sys
from typing import TextIO

from memtierd.errors import MemtierdError, errno_name
from memtierd.text import printable

_NAMES = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_NAMES.get(record.levelno, record.levelname)}: {printable(record.getMessage())}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def open_log(target: str, *, debug: bool) -> None:
    """Send the log to stderr ("" or "stderr"), stdout ("-" or "stdout"), or append it to a file.

    Raises MemtierdError when the file can't be opened.
    """
    handler: logging.Handler = logging.StreamHandler(_stream(target))
    handler.setFormatter(_Format())
    log = logging.getLogger("memtierd")
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.raiseExceptions = False  # a log that can't be written any more must not stop the daemon


def _stream(target: str) -> TextIO:
    if target in ("", "stderr"):
        return sys.stderr
    if target in ("-", "stdout"):
        return sys.stdout
    try:
        return open(target, "a", buffering=1, encoding="utf-8")
    except OSError as error:
        said = f"{(error.strerror or '').lower()} ({errno_name(error.errno or 0)})"
        raise MemtierdError(f"open log file {target!r}: {said}; give another path to -l") from error
