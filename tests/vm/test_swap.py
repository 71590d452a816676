"""Swapping idle memory out to compressed memory, and the kernel bringing it back by use."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.scenes import MIB, PAGE, SWAP, compressed_swap, meme, memtierd, swapped_kb, until

AGE = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    swapoutms: 2500
    tracker:
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 100}}
"""
HEAT = """
policy:
  name: heat
  config:
    intervalms: 1000
    pids: [{pid}]
    heatmap: {{heatmax: 0.01, heatretention: 0.5, heatclasses: 4}}
    heatnumas: {{0: [-1]}}
    tracker:
      name: softdirty
      config: {{pagesinregion: 64, scanintervalms: 1000, maxcountperregion: 0}}
    mover: {{intervalms: 20, bandwidth: 100}}
"""


@pytest.fixture
def swap() -> Iterator[None]:
    with compressed_swap(128):
        yield


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize(("policy", "config"), [("age", AGE), ("heat", HEAT)], ids=["age-idlepage", "heat-softdirty"])
def test_idle_memory_is_swapped_out_and_comes_back_with_its_use(tmp_path: Path, policy: str, config: str) -> None:
    with meme("-bs", "16M", "-brs", "0", "-bws", "4M", "-bwi", "100ms") as load:
        array = load.arrays[0]
        used, idle = array.part(0, 4 * MIB), array.part(4 * MIB, 12 * MIB)

        def where() -> str:
            return f"used {used.spread()}, idle {idle.spread()}"

        with memtierd(tmp_path, config.format(pid=load.pid)) as daemon:
            until("the idle part is in swap", lambda: idle.is_on(SWAP), where)
            assert used.portion(SWAP) < 0.1, where()
            load.process.send_signal(signal.SIGSTOP)
            until("all of a stopped process is in swap", lambda: array.is_on(SWAP), where)
            load.process.send_signal(signal.SIGCONT)
            until("what is used is back in memory", lambda: used.portion(SWAP) < 0.1, where)
            daemon.let_pass(5, f"policy.{policy}.tick")
            assert used.portion(SWAP) < 0.1, where()
            assert idle.is_on(SWAP), where()
            # memtierd claims what the kernel says, within what else moved meanwhile.
            accepted = sum(int(row["ok_pages"]) for row in daemon.table("process_madvise"))
            assert accepted * PAGE // 1024 >= swapped_kb(load.pid)
            daemon.ask("policy -stop")
            daemon.ask(f"swap -pid {load.pid} -in")
            assert array.portion(SWAP) < 0.1, where()
