"""The multi tracker: a slow tracker that sees reads and a fast one that sees writes judge memory together."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.vm.scenes import MIB, PAGE, meme, memtierd, migrated_pages, until

START, FAST, SLOW = 1, 0, 3
PART_MB = 8

CONFIG = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: 2000
    idlenumas: [3]
    activedurationms: 2000
    activenumas: [0]
    tracker:
      name: multi
      config:
        trackers:
          - name: idlepage
            config: {{pagesinregion: 64, scanintervalms: 4000, maxcountperregion: 1}}
          - name: softdirty
            config: {{pagesinregion: 128, scanintervalms: 1000, maxcountperregion: 1}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""
USE = (
    *("-bs", f"{4 * PART_MB}M"),
    *("-brs", f"{2 * PART_MB}M", "-bri", "100ms"),
    *("-bws", f"{2 * PART_MB}M", "-bwo", f"{PART_MB}M", "-bwi", "100ms"),
)
"""The first part is only read, the second read and written, the third only written, the fourth idle."""


def test_read_and_written_memory_is_used_and_only_the_rest_is_idle(tmp_path: Path) -> None:
    with meme(*USE, node=START) as load:
        (array,) = load.arrays
        size = PART_MB * MIB
        read, both, written, idle = (array.part(number * size, size) for number in range(4))
        used = (read, both, written)

        def where() -> str:
            return ", ".join(str(part.spread()) for part in (*used, idle))

        assert all(part.is_on(START) for part in (*used, idle)), where()
        before_pages = migrated_pages()
        with memtierd(tmp_path, CONFIG.format(pid=load.pid)) as daemon:
            until(
                "used is on the fast, idle on the slow node",
                lambda: all(part.is_on(FAST) for part in used) and idle.is_on(SLOW),
                where,
            )
            # Between two looks of idlepage memory would be idle long enough if no write meant no use: then what is
            # only read would have gone away and come back.
            daemon.let_pass(9, "tracker.multi.scan")
            assert all(part.is_on(FAST) for part in used), where()
            assert migrated_pages() - before_pages <= 1.1 * array.size // PAGE
            load.process.send_signal(signal.SIGSTOP)
            until("all of a stopped process is on the slow node", lambda: array.is_on(SLOW), where)
            assert not daemon.lines("disturb"), daemon.tail()
            load.process.send_signal(signal.SIGCONT)
