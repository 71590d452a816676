"""Memory tiers from the kernel's tiers, HMAT and CPUs, also where these disagree."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from memtierd.linux.numa import machine_facts
from memtierd.linux.tiers import Performance, memory_tiers, performances, rank_tiers
from tests.unit.linux.fake_kernel import lay_machine

FAST, SLOW, HBM = Performance(160, 40960), Performance(800, 10240), Performance(170, 400_000)
TWO_AND_TWO = {0: True, 1: True, 2: False, 3: False}


@pytest.mark.parametrize(
    ("has_cpu", "tiering", "performance", "ranks", "doubts"),
    [
        # the kernel's tiers: the smaller number is the faster, and only their order counts
        (TWO_AND_TWO, {0: 4, 1: 4, 2: 90, 3: 90}, {}, (0, 0, 1, 1), 0),
        (TWO_AND_TWO, {0: 4, 1: 5, 2: 22, 3: 961}, {}, (0, 1, 2, 3), 0),
        ({0: True, 1: True}, {0: 5, 1: 4}, {}, (1, 0), 0),
        # they go before what HMAT says
        (TWO_AND_TWO, {0: 4, 1: 4, 2: 4, 3: 8}, {0: FAST, 1: FAST, 2: SLOW, 3: FAST}, (0, 0, 0, 1), 0),
        # a node that no tier lists is like the ordinary ones
        (TWO_AND_TWO, {0: 4, 1: 4, 3: 90}, {}, (0, 0, 0, 1), 0),
        # HMAT where the tiers make no difference, or are not there
        (TWO_AND_TWO, {}, {0: FAST, 1: FAST, 2: SLOW, 3: SLOW}, (0, 0, 1, 1), 0),
        (TWO_AND_TWO, dict.fromkeys(range(4), 4), {0: FAST, 1: FAST, 2: SLOW, 3: SLOW}, (0, 0, 1, 1), 1),
        (TWO_AND_TWO, {}, {0: FAST, 1: Performance(165, 40960), 2: SLOW, 3: Performance(1600, 10240)}, (0, 0, 1, 2), 0),
        (TWO_AND_TWO, {}, {2: SLOW, 3: FAST}, (0, 0, 1, 1), 1),
        # nothing tells: nodes without CPUs are slower
        (TWO_AND_TWO, {}, {}, (0, 0, 1, 1), 0),
        (TWO_AND_TWO, dict.fromkeys(range(4), 4), {}, (0, 0, 1, 1), 1),
        (TWO_AND_TWO, dict.fromkeys(range(4), 4), dict.fromkeys(range(4), FAST), (0, 0, 1, 1), 1),
        # a node without CPUs is not faster than all with CPUs
        (TWO_AND_TWO, {0: 4, 1: 4, 2: 2, 3: 90}, {}, (0, 0, 0, 1), 1),
        (TWO_AND_TWO, {}, {0: FAST, 1: FAST, 2: HBM, 3: SLOW}, (0, 0, 0, 1), 1),
        # all alike
        ({0: True, 1: True}, {0: 4, 1: 4}, {}, (0, 0), 0),
        ({0: True}, {}, {}, (0,), 0),
        ({0: False, 1: False}, {}, {}, (0, 0), 0),
        ({0: True, 7: False}, {}, {}, (0, 1), 0),
    ],
)
def test_ranks(
    has_cpu: Mapping[int, bool],
    tiering: Mapping[int, int],
    performance: Mapping[int, Performance],
    ranks: tuple[int, ...],
    doubts: int,
) -> None:
    tiers = rank_tiers(has_cpu, tiering, performance)
    assert tuple(tiers.ranks[node] for node in has_cpu) == ranks
    assert len(tiers.doubts) == doubts
    assert all("name the nodes" in doubt and "\n" not in doubt for doubt in tiers.doubts)


def test_a_real_machine_with_slow_nodes(tmp_path: Path) -> None:
    roots = lay_machine("slow-nodes-6.12", tmp_path)
    assert memory_tiers(roots) == {0: 4, 1: 4, 2: 90, 3: 90}
    assert performances(TWO_AND_TWO, roots) == {0: FAST, 1: FAST, 2: SLOW, 3: SLOW}
    machine = machine_facts(roots)
    assert [node.tier for node in machine.nodes] == [0, 0, 1, 1]
    assert machine.tier_doubts == ()


def test_the_same_machine_when_only_hmat_tells(tmp_path: Path) -> None:
    roots = lay_machine("slow-nodes-6.12", tmp_path)
    tiering = Path(roots.sys) / "devices/virtual/memory_tiering"
    (tiering / "memory_tier90/nodelist").write_text("\n")
    (tiering / "memory_tier4/nodelist").write_text("0-3\n")
    for node in range(4):
        # An older kernel has no paths of CPUs only, and one figure that is not known is left out.
        access = Path(roots.sys) / f"devices/system/node/node{node}/access1/initiators"
        (access / "read_bandwidth").write_text("0\n")
    machine = machine_facts(roots)
    assert [node.tier for node in machine.nodes] == [0, 0, 1, 1]
    (doubt,) = machine.tier_doubts
    assert "HMAT" in doubt


def test_a_real_machine_without_tiers(tmp_path: Path) -> None:
    machine = machine_facts(lay_machine("four-nodes-6.12", tmp_path))
    assert [node.tier for node in machine.nodes] == [0, 0, 1, 1]
    assert machine.tier_doubts == ()


def test_tiers_of_nodes_without_memory_do_not_matter(tmp_path: Path) -> None:
    roots = lay_machine("slow-nodes-6.12", tmp_path)
    (Path(roots.sys) / "devices/system/node/node1/meminfo").write_text("Node 1 MemTotal: 0 kB\n")
    assert {node.node: node.tier for node in machine_facts(roots).nodes} == {0: 0, 2: 1, 3: 1}
