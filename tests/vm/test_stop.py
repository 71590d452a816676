"""SIGTERM ends memtierd soon, whatever it is doing."""

from __future__ import annotations

import time
from pathlib import Path

from tests.vm.scenes import meme, memtierd, until

START, SLOW = 1, 3
SOON_S = 30
"""2 s on an ordinary machine; the guest is more than ten times slower."""

CONFIG = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: {idle_ms}
    idlenumas: [3]
    tracker:
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: {scan_ms}}}
    mover: {{intervalms: 20, bandwidth: {bandwidth}}}
"""
IDLE = ("-brs", "0", "-bws", "0")


def test_sigterm_in_the_middle_of_a_move(tmp_path: Path) -> None:
    with meme("-bs", "48M", *IDLE, node=START) as load:
        array = load.arrays[0]
        config = CONFIG.format(pid=load.pid, idle_ms=1000, scan_ms=1000, bandwidth=4)
        with memtierd(tmp_path, config) as daemon:
            until("a part was moved", lambda: array.portion(SLOW) > 0.05, array.spread)
            assert daemon.terminate(SOON_S) == 0
        moved = array.portion(SLOW)
        assert moved < 0.9
        time.sleep(1)
        assert array.portion(SLOW) == moved


def test_sigterm_in_the_middle_of_a_scan(tmp_path: Path) -> None:
    with meme("-bs", "256M", *IDLE, node=START) as load:
        # One scan follows the other at once.
        config = CONFIG.format(pid=load.pid, idle_ms=3_600_000, scan_ms=1, bandwidth=100)
        with memtierd(tmp_path, config) as daemon:
            until("it was scanned", lambda: bool(daemon.table("memory_scans")), daemon.tail)
            assert daemon.terminate(SOON_S) == 0
