"""Guards on a real kernel: under pressure nothing is demoted, and what came back soon is not demoted again soon."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vm.scenes import CGROUPS, MIB, SWAP, Memtierd, cgroup, compressed_swap, meme, memtierd, swapped_kb, until

START, FAST = 3, 0
MAX_PERCENT = 10

CONFIG = """
policy:
  name: age
  config:
    intervalms: 1000
    cgroups: [{group}]
    activedurationms: 2000
    activenumas: [0]
    swapoutms: 2000
    tracker:
      name: softdirty
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""
PRESSURE = f"    maxpressure: {{memory: {MAX_PERCENT}, io: 100, resumems: 1000}}\n"
REFAULT = "    maxrefault: {percent: 20, windowms: 120000, dampms: 600000}\n"
LOAD = ("-bs", "16M", "-brs", "0", "-bws", "8M", "-bwi", "100ms")


def memory_pressure() -> float:
    """Return for how many percent of the last ten seconds some task waited for memory."""
    match = re.match(r"some avg10=([0-9.]+) ", Path("/proc/pressure/memory").read_text())
    assert match is not None
    return float(match[1])


@contextmanager
def thrashing() -> Iterator[None]:
    """Use more memory in a cgroup than it may have, until the block ends."""
    with cgroup("thrashing") as group:
        (group / "memory.max").write_text("8M")
        with meme("-bs", "20M", "-brs", "0", "-bws", "20M", "-bwi", "1ms", cgroup=group):
            until("pressure is high", lambda: memory_pressure() > 2 * MAX_PERCENT, memory_pressure)
            yield


def guards(daemon: Memtierd) -> dict[tuple[str, str], dict[str, object]]:
    """Return the table of guards by guard and scope."""
    return {(row["guard"], row["scope"]): row for row in daemon.table("guards")}


@pytest.fixture
def swap_space() -> Iterator[None]:
    """Swap to compressed memory."""
    with compressed_swap(128):
        yield


@pytest.mark.usefixtures("swap_space")
def test_under_pressure_memory_is_promoted_and_not_demoted(tmp_path: Path) -> None:
    with cgroup("quiet") as group, meme(*LOAD, node=START, cgroup=group) as load:
        (memory,) = load.arrays
        used, idle = memory.part(0, 8 * MIB), memory.part(8 * MIB, 8 * MIB)

        def where() -> str:
            return f"used {used.spread()}, idle {idle.spread()}, pressure {memory_pressure()} %"

        with thrashing(), memtierd(tmp_path, CONFIG.format(group=group) + PRESSURE) as daemon:
            until("used memory is on the fast node", lambda: used.is_on(FAST), where)
            until("idle memory is held", lambda: "demotion is paused" in daemon.ask("plan"), where)
            daemon.let_pass(3, "policy.age.tick")
            assert memory_pressure() > MAX_PERCENT
            assert swapped_kb(load.pid) == 0, where()
            assert idle.is_on(START), where()
            daemon.wait_for(f"demotion is paused: memory pressure of the system is above {MAX_PERCENT} %")
            told = guards(daemon)
            assert told["maxpressure.memory", "system"]["state"] == "paused"
            assert told["maxpressure.memory", str(group)]["state"] == "open"
            stop_thrashing()
            until("idle memory is swapped out when pressure is low", lambda: idle.is_on(SWAP), where)
            assert memory_pressure() <= MAX_PERCENT
            daemon.wait_for("no longer: demotion is paused")
            assert guards(daemon)["maxpressure.memory", "system"]["times"] == 1


def stop_thrashing() -> None:
    """Stop the processes that thrash; the block that started them ends them."""
    (CGROUPS / "thrashing/cgroup.freeze").write_text("1")


@pytest.mark.usefixtures("swap_space")
def test_what_came_back_soon_is_not_swapped_out_again_soon(tmp_path: Path) -> None:
    with cgroup("quiet") as group, meme(*LOAD, cgroup=group) as load:
        used = load.arrays[0].part(0, 8 * MIB)

        def where() -> str:
            return f"used {used.spread()}"

        with memtierd(tmp_path, CONFIG.format(group=group) + REFAULT) as daemon:
            daemon.let_pass(2, "policy.age.tick")
            load.process.send_signal(signal.SIGSTOP)
            until("memory of a stopped process is swapped out", lambda: used.is_on(SWAP), where)
            load.process.send_signal(signal.SIGCONT)
            until("it comes back", lambda: used.portion(SWAP) == 0, where)
            until("that was noticed", lambda: int(str(refault(daemon)["times"])) > 0, daemon.tail)
            load.process.send_signal(signal.SIGSTOP)
            until("it is idle again", lambda: "came back soon" in daemon.ask("plan"), daemon.tail)
            daemon.let_pass(3, "policy.age.tick")
            assert used.portion(SWAP) == 0, where()


def refault(daemon: Memtierd) -> dict[str, object]:
    """Return the guard that counts what came back."""
    return guards(daemon)["maxrefault.damping", "regions"]
