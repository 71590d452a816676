"""Swapping out by memory.reclaim of the process's cgroup."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.vm.scenes import MIB, SWAP, cgroup, compressed_swap, meme, memtierd, until

CONFIG = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pids}]
    swapoutms: 2500
    retryms: 1000
    tracker:
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 100, swapmethod: memory.reclaim}}
"""
IDLE = ("-bs", "8M", "-brs", "0", "-bws", "0")


def test_idle_memory_of_a_group_is_swapped_out_and_the_root_group_is_refused(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(compressed_swap(128))
        group = stack.enter_context(cgroup("reclaim-me"))
        load = stack.enter_context(meme("-bs", "16M", "-brs", "0", "-bws", "4M", "-bwi", "100ms", cgroup=group))
        outside = stack.enter_context(meme(*IDLE))
        array = load.arrays[0]
        used, idle = array.part(0, 4 * MIB), array.part(4 * MIB, 12 * MIB)
        config = CONFIG.format(pids=f"{load.pid}, {outside.pid}")
        daemon = stack.enter_context(memtierd(tmp_path, config))
        until("the idle part is in swap", lambda: idle.is_on(SWAP), lambda: str(array.spread()))
        until("what is used stays", lambda: used.portion(SWAP) < 0.1, lambda: str(used.spread()))
        refusal = daemon.wait_for("in the root group")
        daemon.let_pass(4, "policy.age.tick")
        assert daemon.lines("in the root group") == [refusal]
        assert outside.arrays[0].portion(SWAP) == 0
        assert int((group / "memory.swap.current").read_text()) >= idle.size * 0.9
