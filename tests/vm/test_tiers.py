"""Memory tiers that the kernel knows from HMAT: `auto` takes them, and of fast nodes the nearest is chosen."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.vm.scenes import MIB, meme, memtierd, until

NEAR, SLOW = 1, (2, 3)
START = 2

CONFIG = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: 2000
    idlenumas: auto
    activedurationms: 2000
    activenumas: auto
    tracker:
      name: softdirty
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


def run_on_node(pid: int, node: int) -> None:
    """Let all threads of a process run on the CPUs of a node only."""
    cpus = {int(cpu) for cpu in Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().split(",")}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)


@pytest.mark.skipif(
    os.environ.get("MEMTIERD_VM_SLOW") != "2,3", reason="needs a guest with slow nodes: run.sh pytest --slow 2,3"
)
def test_auto_takes_the_tiers_of_the_kernel(tmp_path: Path) -> None:
    tiers = Path("/sys/devices/virtual/memory_tiering").glob("memory_tier*/nodelist")
    assert {file.read_text().strip() for file in tiers} >= {"0-1", "2-3"}
    with meme("-bs", "16M", "-brs", "0", "-bws", "8M", "-bwi", "100ms", node=START) as load:
        run_on_node(load.pid, NEAR)
        (memory,) = load.arrays
        used, idle = memory.part(0, 8 * MIB), memory.part(8 * MIB, 8 * MIB)
        assert memory.is_on(START)

        def where() -> str:
            return f"used {used.spread()}, idle {idle.spread()}"

        with memtierd(tmp_path, CONFIG.format(pid=load.pid)) as daemon:
            until("used memory is on the fast node near its process", lambda: used.is_on(NEAR), where)
            assert idle.is_on(START), where()
            load.process.send_signal(signal.SIGSTOP)
            until("what is used no longer is on slow nodes", lambda: used.is_on(*SLOW), where)
            load.process.send_signal(signal.SIGCONT)
            until("used memory is near its process again", lambda: used.is_on(NEAR), where)
            assert not daemon.lines("WARNING"), daemon.tail()
