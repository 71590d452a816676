"""A target node that is full: pages stay, it is said once, and they move on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.scenes import free_mb, meme, memtierd, until

START, SLOW = 1, 3

CONFIG = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: 1500
    idlenumas: [3]
    reservepercent: {reserve_percent}
    retryms: 1000
    retrymaxms: 2000
    tracker:
      name: softdirty
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


@pytest.mark.parametrize(
    ("reserve_percent", "warning"),
    [
        pytest.param(10, "the wanted nodes have no room left", id="known before"),
        pytest.param(0, "move pages to node 3: cannot allocate memory (ENOMEM)", id="said by the kernel"),
    ],
)
def test_a_full_node_takes_memory_when_it_has_room_again(tmp_path: Path, reserve_percent: int, warning: str) -> None:
    with meme("-bs", "32M", "-brs", "0", "-bws", "0", node=START) as load:
        array = load.arrays[0]
        config = CONFIG.format(pid=load.pid, reserve_percent=reserve_percent)
        with meme("-bs", f"{int(free_mb(SLOW))}M", "-brs", "0", "-bws", "0", node=SLOW) as filler:
            # The kernel itself found no more room there: it keeps some megabytes back.
            assert filler.arrays[0].portion(SLOW) < 1
            daemon_block = memtierd(tmp_path, config)
            daemon = daemon_block.__enter__()
            daemon.wait_for(warning)
            daemon.let_pass(6, "policy.age.tick")
            print(array.spread(), daemon.tail())
            assert array.portion(START) > 0.5
            assert len(daemon.lines("WARN: ")) == 1, daemon.tail()
        until("all is on the slow node", lambda: array.is_on(SLOW), array.spread)
        daemon_block.__exit__(None, None, None)
        print(daemon.tail())
