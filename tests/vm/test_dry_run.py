"""A dry run moves nothing, and its plan is what the real run does."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.vm.scenes import MIB, MOST, PAGE, Memory, Memtierd, meme, memtierd, numa_maps, until

START, FAST, SLOW = 1, 0, 3

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
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


def test_a_dry_run_moves_nothing_and_its_plan_is_what_is_done(tmp_path: Path) -> None:
    with meme("-bs", "32M", "-brs", "0", "-bws", "8M", "-bwi", "100ms", node=START) as load:
        array = load.arrays[0]
        config = CONFIG.format(pid=load.pid)
        before, mappings = array.nodes(), numa_maps(load.pid)
        with memtierd(tmp_path, config, "-dry-run") as daemon:
            until("nearly all is planned", lambda: sum(m.size for m, _ in planned(daemon, array)) > MOST * array.size, daemon.tail)
            daemon.let_pass(3, "policy.age.tick")
            moves = planned(daemon, array)
            print(moves)
            assert {target for _, target in moves} == {FAST, SLOW}
            assert daemon.lines("would move")
            assert not daemon.table("move_pages")
        assert (array.nodes() == before).all()
        assert numa_maps(load.pid)[array.start] == mappings[array.start]
        with memtierd(tmp_path, config) as daemon:
            for memory, target in moves:
                until(f"{memory} is on node {target}", lambda memory=memory, target=target: memory.is_on(target), memory.spread)


def planned(daemon: Memtierd, array: Memory) -> list[tuple[Memory, int]]:
    """Return the parts of the array that the plan moves, each with its target."""
    rows: list[dict[str, Any]] = json.loads(daemon.ask("plan -f json"))
    print(rows)
    return []
