"""The heat policy with DAMON, through each connection: what is hot goes to the fast node, the rest to the slow one."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vm.scenes import MIB, ROOT, Memory, cgroup, meme, memtierd, until

START, FAST, SLOW = 1, 0, 3
HOT_MB, ALL_MB = 160, 320
"""DAMON clears accessed bits without flushing the TLB, so that smaller working sets look idle."""
KDAMONDS = Path("/sys/kernel/mm/damon/admin/kdamonds")
INSTANCES = Path("/sys/kernel/tracing/instances")
PROGRAMS = ("bpftrace", "perf")
CONNECTIONS = ["tracefs", "sysfs", *PROGRAMS]
SAMPLE = ROOT / "sample-configs/memtierd-heat-damon.yaml"

# Hot needs more than a few samples in a hundred: a region at the edge of the hot part has that many.
HEAT = """
policy:
  name: heat
  config:
    intervalms: 2000
    pids: [{pid}]
    heatmap: {{heatmax: 0.2, heatretention: 0.8, heatclasses: 2}}
    heatnumas: {{0: [3], 1: [0]}}
    tracker:
      name: damon
      config:
        connection: {connection}
        nrkdamonds: 1
        scanintervalms: 4000
        samplingus: 20000
        aggregationus: 400000
        mintargetregions: 40
        maxtargetregions: 200
        snapshotms: 500
    mover: {{intervalms: 20, bandwidth: 400}}
"""


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_the_hot_part_is_promoted_and_the_idle_part_demoted(connection: str, tmp_path: Path) -> None:
    if connection in PROGRAMS and not shutil.which(connection) and os.environ.get("MEMTIERD_VM") != "require":
        pytest.skip(f"the host has no {connection}")
    with meme("-bs", f"{ALL_MB}M", "-brs", "0", "-bws", f"{HOT_MB}M", node=START) as busy:
        hot, idle = parts(busy.arrays[0])
        with memtierd(tmp_path, HEAT.format(pid=busy.pid, connection=connection)) as daemon:

            def told() -> str:
                return f"hot {hot.spread()}, idle {idle.spread()}\n{daemon.ask('regions -top 60')}\n{daemon.tail()}"

            until("the hot part is on the fast node", lambda: hot.is_on(FAST), told)
            until("the idle part is on the slow node", lambda: idle.is_on(SLOW), told)
            assert hot.is_on(FAST), told()
            until("the kdamond runs", is_running, told)
    assert (KDAMONDS / "nr_kdamonds").read_text() == "0\n", (tmp_path / "memtierd.log").read_text()
    assert not list(INSTANCES.iterdir())
    assert not running_programs()


def test_the_sample_works_as_it_is(tmp_path: Path) -> None:
    """All but its cgroup: hot memory comes to node 0 or 1 from node 2, where the rest stays."""
    with (
        cgroup("heat-damon") as group,
        meme("-bs", f"{ALL_MB}M", "-brs", "0", "-bws", f"{HOT_MB}M", node=2, cgroup=group) as busy,
    ):
        hot, idle = parts(busy.arrays[0])
        with memtierd(tmp_path, SAMPLE.read_text().replace("/sys/fs/cgroup/foobar", str(group))) as daemon:
            until("the hot part was promoted", lambda: hot.is_on(0, 1), daemon.tail)
            assert idle.portion(2, 3) >= 0.7, idle.spread()  # the region at the edge of the hot part may be hot, too


def is_running() -> bool:
    """Return whether memtierd's kdamond runs; while a snapshot is taken the kernel does not tell."""
    with suppress(OSError):
        return (KDAMONDS / "0/state").read_text() == "on\n"
    return False


def running_programs() -> list[str]:
    """Return the names of processes that a connection has started and not ended."""
    names = [path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm")]
    return [name for name in names if name in PROGRAMS]


def parts(array: Memory) -> tuple[Memory, Memory]:
    """Return what meme writes, the beginning of its array, and what it does not use."""
    return array.part(0, HOT_MB * MIB), array.part(HOT_MB * MIB, (ALL_MB - HOT_MB) * MIB)
