"""Policies on real nodes: what is used goes to its node, what is idle to its own, and back when that changes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import attrs
import pytest

from tests.vm.scenes import MIB, PAGE, Memory, Memtierd, meme, memtierd, migrated_pages, until

START, FAST, SLOW = 1, 0, 3
USED_MB = 8

AGE = """
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
      name: {tracker}
      config: {{{options}}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""
HEAT = """
policy:
  name: heat
  config:
    intervalms: 1000
    pids: [{pid}]
    heatmap: {{heatmax: 0.01, heatretention: 0.6, heatclasses: 4}}
    heatnumas: {{0: [3], 3: [0]}}
    tracker:
      name: {tracker}
      config: {{{options}}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""

GRID = "pagesinregion: 64, scanintervalms: 1000, maxcountperregion: {count}, regionsupdatems: 5000"
WRITE = ("-brs", "0", "-bws", f"{USED_MB}M", "-bwi", "100ms")
READ = ("-bws", "0", "-brs", f"{USED_MB}M", "-bri", "100ms")


@attrs.frozen
class Story:
    """A policy, a tracker, and memory use that this tracker can see."""

    policy: str
    tracker: str
    options: str
    arrays: tuple[str, ...]
    use: tuple[str, ...]


PARTS_OF_ONE = ("-bs", "32M")
TWO = ("-bc", "2", "-bs", f"{USED_MB}M")
STORIES = {
    "age-softdirty": Story(AGE, "softdirty", GRID.format(count=1), PARTS_OF_ONE, WRITE),
    "age-idlepage": Story(AGE, "idlepage", GRID.format(count=1), PARTS_OF_ONE, READ),
    # Its regions are whole mappings.
    "age-referenced": Story(AGE, "referenced", "scanintervalms: 1000", TWO, READ),
    "heat-softdirty": Story(HEAT, "softdirty", GRID.format(count=0), PARTS_OF_ONE, WRITE),
    "heat-idlepage": Story(HEAT, "idlepage", GRID.format(count=0), PARTS_OF_ONE, READ),
}


def used_and_idle(arrays: tuple[Memory, ...]) -> tuple[Memory, Memory]:
    """Return what meme uses, the beginning of its first array, and what it does not use."""
    if len(arrays) == 2:
        return arrays
    used_bytes = USED_MB * MIB
    return arrays[0].part(0, used_bytes), arrays[0].part(used_bytes, arrays[0].size - used_bytes)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_used_and_idle_memory_go_to_their_nodes(tmp_path: Path, story: Story) -> None:
    with meme(*story.arrays, *story.use, node=START) as load:
        used, idle = used_and_idle(load.arrays)
        assert used.is_on(START)
        assert idle.is_on(START)

        def where() -> str:
            return f"used {used.spread()}, idle {idle.spread()}"

        config = story.policy.format(pid=load.pid, tracker=story.tracker, options=story.options)
        before_pages = migrated_pages()
        with memtierd(tmp_path, config) as daemon:
            until("used is on the fast, idle on the slow node", lambda: used.is_on(FAST) and idle.is_on(SLOW), where)
            load.process.send_signal(signal.SIGSTOP)
            until("all of a stopped process is on the slow node", lambda: used.is_on(SLOW), where)
            until("every region has come to rest", lambda: placements(daemon) == {"settled"}, daemon.tail)
            load.process.send_signal(signal.SIGCONT)
            until("used is on the fast node again", lambda: used.is_on(FAST), where)
            assert idle.is_on(SLOW), where()
            told_pages = sum(row["ok_pages"] for row in daemon.table("move_pages"))
        # Nothing went back and forth between: the used part made three ways, the idle part one.
        moved_pages = migrated_pages() - before_pages
        assert moved_pages * PAGE <= 1.1 * (3 * used.size + idle.size)
        assert 0.9 * moved_pages <= told_pages <= moved_pages


def placements(daemon: Memtierd) -> set[str]:
    """Return the states of placement that regions are in."""
    return {row["placement"] for row in json.loads(daemon.ask("regions -f json"))}
