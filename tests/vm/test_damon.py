"""The heat policy with DAMON, through each connection: what is hot goes to the fast node, the rest to the slow one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.scenes import MIB, Memory, meme, memtierd, until

START, FAST, SLOW = 1, 0, 3
HOT_MB, ALL_MB = 160, 320
"""DAMON clears accessed bits without flushing the TLB, so that smaller working sets look idle."""
KDAMONDS = Path("/sys/kernel/mm/damon/admin/kdamonds")
INSTANCES = Path("/sys/kernel/tracing/instances")
CONNECTIONS = ["tracefs", "sysfs", "bpftrace", "perf"]

HEAT = """
policy:
  name: heat
  config:
    intervalms: 2000
    pids: [{pid}]
    heatmap: {{heatmax: 0.01, heatretention: 0.8, heatclasses: 4}}
    heatnumas: {{0: [3], 3: [0]}}
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
    with meme("-bs", f"{ALL_MB}M", "-brs", "0", "-bws", f"{HOT_MB}M", node=START) as busy:
        hot, idle = parts(busy.arrays[0])
        with memtierd(tmp_path, HEAT.format(pid=busy.pid, connection=connection)) as daemon:

            def told() -> str:
                return f"hot {hot.spread()}, idle {idle.spread()}\n{daemon.ask('regions -top 60')}\n{daemon.tail()}"

            until("the hot part is on the fast node", lambda: hot.is_on(FAST), told)
            until("the idle part is on the slow node", lambda: idle.is_on(SLOW), told)
            assert hot.is_on(FAST), told()
            assert (KDAMONDS / "0/state").read_text() == "on\n"
    assert (KDAMONDS / "nr_kdamonds").read_text() == "0\n"
    assert not list(INSTANCES.iterdir())


def parts(array: Memory) -> tuple[Memory, Memory]:
    """Return what meme writes, the beginning of its array, and what it does not use."""
    return array.part(0, HOT_MB * MIB), array.part(HOT_MB * MIB, (ALL_MB - HOT_MB) * MIB)
