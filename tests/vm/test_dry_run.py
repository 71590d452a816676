"""A dry run moves nothing, and its plan is what the real run does."""

from __future__ import annotations

import json
from pathlib import Path

from tests.vm.scenes import MOST, PAGE, Memory, Memtierd, meme, memtierd, numa_maps, until

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


def test_a_dry_run_moves_nothing_and_its_plan_is_what_the_real_run_does(tmp_path: Path) -> None:
    with meme("-bs", "32M", "-brs", "0", "-bws", "8M", "-bwi", "100ms", node=START) as load:
        array = load.arrays[0]
        config = CONFIG.format(pid=load.pid)
        before, counts = array.nodes(), numa_maps(load.pid)[array.start]
        with memtierd(tmp_path, config, "-dry-run") as daemon:

            def planned_bytes() -> int:
                return sum(memory.size for memory, _ in planned(daemon, array))

            until("nearly all of the array is planned", lambda: planned_bytes() >= MOST * array.size, daemon.tail)
            daemon.let_pass(3, "policy.age.tick")
            moves = planned(daemon, array)
            assert not daemon.table("move_pages")
            told = daemon.lines("INFO: would move")
            assert len(told) == len(set(told)) > 0
        assert {target for _, target in moves} == {FAST, SLOW}
        assert (array.nodes() == before).all()
        assert numa_maps(load.pid)[array.start] == counts

        expected = before.copy()
        for memory, target in moves:
            first = (memory.start - array.start) // PAGE
            expected[first : first + memory.size // PAGE] = target
        with memtierd(tmp_path, config):
            until("all is where the dry run's plan said", lambda: bool((array.nodes() == expected).mean() >= MOST))
            for memory, target in moves:
                assert memory.is_on(target), f"{memory} to node {target}: {memory.spread()}"


def test_a_dry_run_is_ended_and_begun_at_the_prompt(tmp_path: Path) -> None:
    with meme("-bs", "32M", "-brs", "0", "-bws", "0", node=START) as load:
        array = load.arrays[0]
        with memtierd(tmp_path, CONFIG.format(pid=load.pid), "-dry-run") as daemon:

            def planned_bytes() -> int:
                return sum(memory.size for memory, _ in planned(daemon, array))

            until("nearly all of the array is planned", lambda: planned_bytes() >= MOST * array.size, daemon.tail)
            assert not daemon.table("move_pages")
            assert array.is_on(START)
            report = json.loads(daemon.ask("plan -f json"))
            assert report["totals"]["demote_bytes"] == report["totals"]["move_bytes"] >= MOST * array.size
            arriving = {row["node"]: row["arrive_bytes"] for row in report["processes"]}
            assert arriving[str(SLOW)] == report["totals"]["demote_bytes"]
            daemon.ask("policy -dry-run off")
            until("the array is on the slow node", lambda: array.is_on(SLOW), daemon.tail)
            daemon.ask("policy -dry-run on")
            daemon.ask("config -set policy.idlenumas=[2]")
            until("the array is planned anew", lambda: planned_bytes() >= MOST * array.size, daemon.tail)
            daemon.let_pass(2, "policy.age.tick")
            assert array.is_on(SLOW)


def planned(daemon: Memtierd, array: Memory) -> list[tuple[Memory, int]]:
    """Return the parts of the array that the plan moves, each with its target."""
    moves = []
    for row in json.loads(daemon.ask("plan -f json"))["moves"]:
        start, end = int(row["start"], 16), int(row["end"], 16)
        if array.start <= start < array.end:
            moves.append((array.part(start - array.start, end - start), int(row["target"])))
    return moves
