"""The age policy on real nodes: what is used goes to its node, what is idle to its own, and back when that changes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.vm.scenes import MIB, Meme, Memtierd, meme, memtierd, until

START, FAST, SLOW = 1, 0, 3

AGE = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: 2500
    idlenumas: [{slow}]
    activedurationms: 2500
    activenumas: [{fast}]
    tracker:
      name: {tracker}
      config: {{{options}}}
    mover:
      intervalms: 20
      bandwidth: 200
"""
GRID = "pagesinregion: 64, scanintervalms: 1000, maxcountperregion: 1, regionsupdatems: 5000"


@pytest.mark.parametrize(
    ("tracker", "options", "use"),
    [
        pytest.param("softdirty", GRID, ("-brs", "0", "-bws", "8M", "-bwi", "100ms"), id="softdirty"),
        pytest.param("idlepage", GRID, ("-bws", "0", "-brs", "8M", "-bri", "100ms"), id="idlepage"),
    ],
)
def test_used_and_idle_parts_of_an_array_go_to_their_nodes(
    tmp_path: Path, tracker: str, options: str, use: tuple[str, ...]
) -> None:
    with meme("-bs", "32M", *use, node=START) as load:
        array = load.arrays[0]
        assert array.is_on(START)
        used, idle = array.part(0, 8 * MIB), array.part(8 * MIB, 24 * MIB)
        config = AGE.format(pid=load.pid, fast=FAST, slow=SLOW, tracker=tracker, options=options)
        with memtierd(tmp_path, config) as daemon:
            until("used on the fast, idle on the slow node", lambda: used.is_on(FAST) and idle.is_on(SLOW), say=lambda: (used.spread(), idle.spread()))
            load.process.send_signal(signal.SIGSTOP)
            until("a stopped process on the slow node", lambda: array.is_on(SLOW), say=array.spread)
            load.process.send_signal(signal.SIGCONT)
            until("used on the fast node again", lambda: used.is_on(FAST), say=used.spread)
            assert idle.is_on(SLOW)
            print(daemon.tail())
