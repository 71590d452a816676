"""Where log lines go and how they look: as text on one line, as JSON, or as entries of the journal with fields."""

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Protocol, TextIO

from memtierd.errors import MemtierdError, errno_name
from memtierd.text import printable

FORMS = ("plain", "json", "journal")
_NAMES = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""The least level and the priority of syslog(3) that it has; below all of them it is 7, debug."""
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JournalPort(Protocol):
    """What the log needs of the journal."""

    def send(self, fields: Mapping[str, str]) -> None:
        """Write one entry.  Raises OSError; TimeoutError, a kind of it, when the journal does not take it in time."""


def default_form(stream: TextIO | None = None) -> str:
    """Return "journal" when systemd connected the stream (stderr) to the journal, else "plain".

    $JOURNAL_STREAM is the device and inode of that connection, DEVICE:INODE in decimal (systemd.exec(5)): it is also
    inherited by those whose stderr leads elsewhere.
    """
    try:
        status = os.fstat((stream or sys.stderr).fileno())
    except (OSError, ValueError, AttributeError):
        return "plain"
    connected = os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return "journal" if connected else "plain"


def open_log(
    target: str, *, debug: bool, form: str = "plain", journal: Callable[[], JournalPort] | None = None
) -> None:
    """Send the log to stderr ("" or "stderr"), stdout ("-" or "stdout"), or append it to a file.

    `form` is one of FORMS, or "" for the default: the journal where systemd connected stderr to it, else plain.
    The journal is no file: it wants `journal`, which opens it, and no target.  Raises MemtierdError when the file
    can't be opened, or the form does not fit the target.
    """
    if form not in ("", *FORMS):
        raise MemtierdError(f"log as {form!r}: there is no such form; give -log one of {', '.join(FORMS)}")
    to_stderr = target in ("", "stderr")
    if form == "journal" and not to_stderr:
        raise MemtierdError(f"log to {target!r} as journal: the journal is no file; leave out -l, or give -log json")
    if not form:
        form = default_form() if to_stderr and journal is not None else "plain"
    handler = _handler(target, form, journal)
    log = logging.getLogger("memtierd")
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.raiseExceptions = False  # a log that can't be written any more must not stop the daemon


def _handler(target: str, form: str, journal: Callable[[], JournalPort] | None) -> logging.Handler:
    if form == "journal":
        if journal is None:
            raise TypeError("the form journal needs something that opens the journal")
        return JournalHandler(journal(), _stream(target))
    handler = logging.StreamHandler(_stream(target))
    handler.setFormatter(_Json() if form == "json" else _Plain())
    return handler


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


def extra_fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """Yield what was given as `extra` to the logging call, such as source and condition."""
    for name, value in vars(record).items():
        if name not in _OF_EVERY_RECORD and value is not None:
            yield name, value


class _Plain(logging.Formatter):
    """LEVEL: text, and the traceback of a bug in more lines."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{_NAMES.get(record.levelno, record.levelname)}: {printable(record.getMessage())}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    """One object a line, in ASCII: nothing that a name holds can break the line or drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _without_surrogates(record.getMessage()),
            "pid": record.process,
            "thread": record.threadName,
        }
        if record.exc_info:
            fields["exception"] = _without_surrogates(self.formatException(record.exc_info))
        for name, value in extra_fields(record):
            is_plain = isinstance(value, int | float | bool)
            fields.setdefault(name, value if is_plain else _without_surrogates(str(value)))
        return json.dumps(fields)


class JournalHandler(logging.Handler):
    """Writes entries of the journal, and lines with a priority to a stream where the journal can't be reached.

    Lines that begin with a priority as <4> are understood by systemd, which may read the stream (sd-daemon(3)).
    A journal that is stuck costs the daemon one wait; what it does not take after that is counted, and said when
    it works again.
    """

    def __init__(self, journal: JournalPort, stream: TextIO) -> None:
        super().__init__()
        self._journal = journal
        self._stream = stream
        self._lost = 0
        self._lost_lock = threading.Lock()
        self.setFormatter(_Plain())

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises."""
        try:
            with self._lost_lock:
                self._write(record)
        except Exception:  # noqa: BLE001  the handler's contract: trouble with the log is not the caller's
            self.handleError(record)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            if self._lost:
                self._journal.send(_lost_fields(self._lost))
                self._lost = 0
            self._journal.send(self.fields(record))
        except TimeoutError:
            self._lost += 1
        except OSError:
            for line in self.format(record).splitlines():
                self._stream.write(f"<{priority(record)}>{line}\n")
            self._stream.flush()

    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        """Return the entry of a record; see systemd.journal-fields(7)."""
        text = printable(record.getMessage())
        if record.exc_info:
            text += f"\n{logging.Formatter().formatException(record.exc_info)}"
        entry = {
            "MESSAGE": text,
            "PRIORITY": str(priority(record)),
            "SYSLOG_IDENTIFIER": "memtierd",
            "CODE_FILE": _short(record.pathname),
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
            "MEMTIERD_THREAD": record.threadName or "",
        }
        extras = {f"MEMTIERD_{name.upper()}": printable(str(value)) for name, value in extra_fields(record)}
        return {**extras, **entry}


def priority(record: logging.LogRecord) -> int:
    """Return the priority of syslog(3) of a record: 2 critical … 7 debug."""
    return next((number for least, number in _PRIORITIES if record.levelno >= least), 7)


def _lost_fields(lines: int) -> dict[str, str]:
    text = f"{lines} lines of the log are lost: the journal did not take them in time"
    return {"MESSAGE": text, "PRIORITY": "4", "SYSLOG_IDENTIFIER": "memtierd"}


def _short(path: str) -> str:
    """Return the path of a source file from the package on."""
    parts = PurePath(path).parts
    return "/".join(parts[parts.index("memtierd") :]) if "memtierd" in parts else path


def _without_surrogates(text: str) -> str:
    r"""Return text that every reader of JSON takes: bytes of a name that are not UTF-8 become escapes as \xff."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
