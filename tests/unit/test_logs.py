"""Log lines: one line each, whatever a process calls itself."""

import logging
from pathlib import Path

from memtierd.logs import open_log


def test_a_name_can_neither_forge_a_line_nor_drive_a_terminal(tmp_path: Path) -> None:
    log, path = logging.getLogger("memtierd"), tmp_path / "log"
    before = log.handlers[:], log.propagate, log.level, logging.raiseExceptions
    try:
        open_log(str(path), debug=False)
        log.warning("pid 7 (%s): idle", "\x1b[31mA\nINFO: B")
        log.debug("not shown")
        for handler in log.handlers:
            handler.close()
    finally:
        log.handlers[:], log.propagate, level, logging.raiseExceptions = before
        log.setLevel(level)
    assert path.read_text() == "WARN: pid 7 (\\x1b[31mA\\nINFO: B): idle\n"
