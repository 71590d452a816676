"""Log lines: one line each, whatever a process calls itself; as text, as JSON, and as entries of the journal."""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from memtierd.errors import MemtierdError
from memtierd.logs import JournalHandler, default_form, extra_fields, open_log, priority

LOG = logging.getLogger("memtierd")
NASTY = "\x1b[31mA\nINFO: B\udcff"


@pytest.fixture(autouse=True)
def _restored_log() -> Iterator[None]:
    before = LOG.handlers[:], LOG.propagate, LOG.level, logging.raiseExceptions
    yield
    for handler in LOG.handlers:
        if handler not in before[0] and isinstance(handler, logging.FileHandler):
            handler.close()
    LOG.handlers[:], LOG.propagate, level, logging.raiseExceptions = before
    LOG.setLevel(level)


class Journal:
    """Takes entries, or answers with an error."""

    def __init__(self) -> None:
        self.entries: list[Mapping[str, str]] = []
        self.error: OSError | None = None

    def send(self, fields: Mapping[str, str]) -> None:
        if self.error is not None:
            raise self.error
        self.entries.append(fields)


def a_bug() -> None:
    """Log a traceback."""
    try:
        int("odd")
    except ValueError:
        LOG.exception("a bug")


def test_a_name_can_neither_forge_a_line_nor_drive_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    open_log(str(path), debug=False)
    LOG.warning("pid 7 (%s): idle", "\x1b[31mA\nINFO: B")
    LOG.debug("not shown")
    assert path.read_text() == "WARN: pid 7 (\\x1b[31mA\\nINFO: B): idle\n"


def test_what_is_extra_leaves_plain_lines_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "log"
    open_log(str(path), debug=True, form="plain")
    LOG.warning("node 1 is full", extra={"source": "mover"})
    LOG.debug("detail")
    assert path.read_text() == "WARN: node 1 is full\nDEBUG: detail\n"


def test_json_is_one_object_a_line_with_fields(tmp_path: Path) -> None:
    path = tmp_path / "log"
    open_log(str(path), debug=False, form="json")
    LOG.warning("pid %d (%s)", 7, NASTY, extra={"source": "mover", "pages": 5, "message_id": NASTY})
    a_bug()
    text = path.read_text()
    assert text.isascii()
    assert text.count("\n") == 2
    first, second = map(json.loads, text.splitlines())
    assert first["level"] == "warning"
    assert first["logger"] == "memtierd"
    assert first["message"] == "pid 7 (\x1b[31mA\nINFO: B\\xff)"
    assert (first["source"], first["pages"], first["pid"]) == ("mover", 5, os.getpid())
    assert first["message_id"] == "\x1b[31mA\nINFO: B\\xff"
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert second["level"] == "error"
    assert "ValueError: invalid literal" in second["exception"]


def test_extra_fields_are_those_that_no_record_has_by_itself() -> None:
    record = LOG.makeRecord("memtierd", logging.INFO, "f.py", 1, "x", (), None, extra={"source": "scan", "none": None})
    assert list(extra_fields(record)) == [("source", "scan")]


@pytest.mark.parametrize(
    ("level", "expected"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_priorities_are_those_of_syslog(level: int, expected: int) -> None:
    assert priority(logging.makeLogRecord({"levelno": level})) == expected


def test_an_entry_of_the_journal_has_the_fields_that_its_readers_know() -> None:
    journal = Journal()
    open_log("", debug=False, form="journal", journal=lambda: journal)
    LOG.warning("pid %d (%s)", 7, NASTY, extra={"source": "mover", "priority": 1})
    a_bug()
    entry, bug = journal.entries
    assert entry["MESSAGE"] == "pid 7 (\\x1b[31mA\\nINFO: B\\udcff)"
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("4", "memtierd")
    assert (entry["MEMTIERD_SOURCE"], entry["MEMTIERD_PRIORITY"]) == ("mover", "1")
    assert entry["CODE_FUNC"] == "test_an_entry_of_the_journal_has_the_fields_that_its_readers_know"
    assert entry["CODE_LINE"].isdigit()
    assert bug["PRIORITY"] == "3"
    assert bug["MESSAGE"].startswith("a bug\nTraceback")


def test_without_a_journal_lines_have_a_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, stderr = Journal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    journal.error = FileNotFoundError(2, "no such file")
    open_log("", debug=False, form="journal", journal=lambda: journal)
    LOG.warning("node 1 is full")
    a_bug()
    lines = stderr.getvalue().splitlines()
    assert lines[:2] == ["<4>WARN: node 1 is full", "<3>ERROR: a bug"]
    assert all(line.startswith("<3>") for line in lines[1:]), "every line of a traceback is a line of the journal"


def test_what_a_stuck_journal_does_not_take_is_counted_and_said_later() -> None:
    journal = Journal()
    open_log("", debug=False, form="journal", journal=lambda: journal)
    journal.error = TimeoutError(110, "takes nothing")
    for number in range(3):
        LOG.info("lost %d", number)
    journal.error = None
    LOG.info("taken")
    assert [entry["MESSAGE"] for entry in journal.entries] == [
        "3 lines of the log are lost: the journal did not take them in time",
        "taken",
    ]
    assert journal.entries[0]["PRIORITY"] == "4"


def test_the_journal_is_the_default_only_where_stderr_is_connected_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "stderr", "w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert default_form(stream) == "journal"
        monkeypatch.setattr(sys, "stderr", stream)
        open_log("", debug=False, form="", journal=Journal)
        assert isinstance(LOG.handlers[0], JournalHandler)
        open_log(str(tmp_path / "log"), debug=False, form="", journal=Journal)
        assert not isinstance(LOG.handlers[0], JournalHandler), "the log goes to a file"
        open_log("", debug=False, form="plain", journal=Journal)
        assert not isinstance(LOG.handlers[0], JournalHandler), "plain was asked for"
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
        assert default_form(stream) == "plain", "stderr was led elsewhere"
    monkeypatch.delenv("JOURNAL_STREAM")
    assert default_form(io.StringIO()) == "plain"


def test_forms_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MemtierdError, match="no such form; give -log one of plain, json, journal"):
        open_log("", debug=False, form="xml")
    with pytest.raises(MemtierdError, match="the journal is no file; leave out -l"):
        open_log(str(tmp_path / "log"), debug=False, form="journal", journal=Journal)
    with pytest.raises(MemtierdError, match="give another path to -l"):
        open_log(str(tmp_path / "no" / "log"), debug=False)
