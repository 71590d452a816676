"""Limits of nodes: a configured size, and memory that the kernel gives up for pages that are moved."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm.scenes import MIB, free_mb, meme, memory_on, memtierd, until, zram_device

START, FAST, SLOW = 1, 0, 3

SIZED = """
policy:
  name: heat
  config:
    intervalms: 500
    pids: [{pid}]
    heatmap: {{heatmax: 0.01, heatretention: 0.6, heatclasses: 4}}
    heatnumas: {{3: [0]}}
    numasize: {{0: 4M}}
    retryms: 500
    tracker:
      name: softdirty
      config: {{pagesinregion: 64, scanintervalms: 3000, maxcountperregion: 0}}
    mover: {{intervalms: 20, bandwidth: 100}}
"""
IDLE = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: 1500
    idlenumas: [3]
    reservepercent: 10
    retryms: 1000
    tracker:
      name: softdirty
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


def test_no_more_than_the_configured_size_of_a_node_is_used(tmp_path: Path) -> None:
    with meme("-bs", "12M", "-brs", "0", "-bws", "12M", "-bwi", "200ms", node=START) as load:
        array = load.arrays[0]

        def on_fast_mb() -> float:
            return array.portion(FAST) * array.size / MIB

        # Decisions are made more often than memory is looked at.
        with memtierd(tmp_path, SIZED.format(pid=load.pid)) as daemon:
            until("the hottest memory fills its share of the fast node", lambda: on_fast_mb() > 3, array.spread)
            daemon.wait_for("the wanted nodes have no room left")
            daemon.let_pass(12, "policy.heat.tick")
            assert on_fast_mb() <= 4.25, array.spread()


def test_page_cache_makes_room_for_memory_that_is_moved(tmp_path: Path) -> None:
    with meme("-bs", "48M", "-brs", "0", "-bws", "0", node=START) as load, page_cache_on(SLOW):
        array = load.arrays[0]
        assert free_mb(SLOW) < 40
        with memtierd(tmp_path, IDLE.format(pid=load.pid)):
            until("idle memory has taken the place of page cache", lambda: array.is_on(SLOW), array.spread)


@contextmanager
def page_cache_on(node: int) -> Iterator[None]:
    """Fill a node with the page cache of a device full of zeros, until the block ends."""
    with zram_device(int(free_mb(node)) + 64) as path, path.open("rb") as device, memory_on(node):
        subprocess.run(["cat"], check=True, stdin=device, stdout=subprocess.DEVNULL)
        yield
