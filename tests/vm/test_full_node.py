"""A target node that is full: pages stay, it is said once, and they move on when there is room."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.vm.scenes import drop_page_cache, free_mb, meme, memtierd, until

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
UNUSED = ("-brs", "0", "-bws", "0")


@pytest.mark.parametrize(
    ("reserve_percent", "warning", "least_left"),
    [
        # The kernel keeps less back than this.
        pytest.param(10, "the wanted nodes have no room left", 1.0, id="by-the-plan"),
        pytest.param(0, "move pages to node 3: cannot allocate memory (ENOMEM)", 0.1, id="by-the-kernel"),
    ],
)
def test_a_full_node_takes_memory_when_it_has_room_again(
    tmp_path: Path, reserve_percent: int, warning: str, least_left: float
) -> None:
    with ExitStack() as stack:
        # Page cache is room, too, but how much of it the kernel gives up is not for this test.
        drop_page_cache()
        load = stack.enter_context(meme("-bs", "96M", *UNUSED, node=START))
        array = load.arrays[0]
        # What does not fit goes to other nodes.
        with meme("-bs", f"{int(free_mb(SLOW)) + 32}M", *UNUSED, node=SLOW) as filler:
            assert filler.arrays[0].portion(SLOW) < 1
            config = CONFIG.format(pid=load.pid, reserve_percent=reserve_percent)
            daemon = stack.enter_context(memtierd(tmp_path, config))
            daemon.wait_for(warning)
            daemon.let_pass(6, "policy.age.tick")
            assert array.portion(START) >= least_left
            warnings = daemon.lines("WARN")
            assert len(warnings) == len(set(warnings)), daemon.tail()
        until("all is on the slow node", lambda: array.is_on(SLOW), array.spread)

        def held() -> int:
            return len(daemon.lines("WARN")) - len(daemon.lines("no longer: "))

        until("what was said is withdrawn", lambda: not held(), daemon.tail)
