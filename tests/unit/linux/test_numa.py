"""Nodes, swap and page frames of whole machines, driven by the trees in tests/cases/machines."""

import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

from memtierd.linux.node_map import MemoryBlocks, ZoneSpan, map_blocks, node_map, paint, parse_zoneinfo
from memtierd.linux.numa import cpu_to_node, machine_facts, parse_kept_by_cpus
from memtierd.linux.swaps import SwapArea, parse_swaps
from memtierd.model import NodeFacts
from memtierd.units import PAGE_BYTES
from tests.unit.linux.fake_kernel import FakeKernel, lay_machine

KIB_PAGES = PAGE_BYTES // 1024


def test_four_nodes(tmp_path: Path) -> None:
    roots = lay_machine("four-nodes-6.12", tmp_path)
    facts = machine_facts(roots)
    assert facts.node_ids == (0, 1, 2, 3)
    # MemFree and Inactive(file); nothing of that is dirty.
    free_pages = (986348 + 8244) // KIB_PAGES
    available_pages = facts.nodes[0].available_pages
    expected = NodeFacts(0, 1015572 // KIB_PAGES, free_pages, True, {0: 10, 1: 20, 2: 20, 3: 20})
    assert attrs.evolve(facts.nodes[0], available_pages=0) == expected
    # MemFree, SReclaimable, 80 % of Inactive(file), and what the two CPUs keep of its zones.
    assert available_pages == (986348 + 0 + 8244 * 8 // 10) // KIB_PAGES + 2022 + 0
    assert [node.has_cpu for node in facts.nodes] == [True, True, False, False]
    assert facts.swap_total_pages == facts.swap_free_pages == 131068 // KIB_PAGES
    assert cpu_to_node(roots) == {0: 0, 1: 1}
    blocks = node_map(roots, facts.node_ids)
    assert blocks.block_pages == 32768
    assert blocks.index_of_block.tolist() == [0] * 8 + [1] * 8 + [-1] * 16 + [2] * 8 + [3] * 8


def test_free_pages_that_cpus_keep_are_available(tmp_path: Path) -> None:
    roots = lay_machine("four-nodes-6.12", tmp_path)
    before = machine_facts(roots)
    zones = [
        "Node 0, zone      DMA\n  pages free     2303\n  pagesets\n    cpu: 0\n              count:    3\n",
        "              high:     52\n              batch:    12\n              high_min: 52\n",
        "    cpu: 1\n              count:    40\n              high:     52\n",
        "Node 0, zone   Normal\n  pagesets\n    cpu: 0\n              count:    500\n  vm stats threshold: 6\n",
        "Node 3, zone   Normal\n  pagesets\n    cpu: 0\n              count:    7\n",
        "Node 4, zone  Movable\n  pages free     0\n",
    ]
    text = "".join(zones)
    assert parse_kept_by_cpus(text) == {0: 543, 3: 7, 4: 0}
    (Path(roots.proc) / "zoneinfo").write_text("")
    without = [node.available_pages for node in machine_facts(roots).nodes]
    (Path(roots.proc) / "zoneinfo").write_text(text)
    after = machine_facts(roots)
    assert [node.available_pages - bare for node, bare in zip(after.nodes, without, strict=True)] == [543, 0, 0, 7]
    assert [node.free_pages for node in after.nodes] == [node.free_pages for node in before.nodes]


def test_memory_that_is_plugged_in_is_on_the_map_after_a_refresh(tmp_path: Path) -> None:
    roots = lay_machine("four-nodes-6.12", tmp_path)
    memory = MemoryBlocks(roots, (0, 1, 2, 3))
    before = memory.node_map
    assert before.index_of_block.tolist() == [0] * 8 + [1] * 8 + [-1] * 16 + [2] * 8 + [3] * 8
    memory.refresh()
    assert memory.node_map is before
    (Path(roots.sys) / "devices/system/node/node3/memory48").mkdir()
    (Path(roots.proc) / "meminfo").write_text("MemTotal:        4200000 kB\n")
    memory.refresh()
    assert memory.node_map.index_of_block.tolist() == [*before.index_of_block.tolist(), 3]


def test_one_node_has_every_frame_and_also_the_hidden_ones(tmp_path: Path) -> None:
    blocks = MemoryBlocks(lay_machine("one-node-6.18", tmp_path), (0,)).node_map
    assert (blocks.index_of_block.tolist(), blocks.index_of_hidden) == ([0], 0)
    assert blocks.block_pages >= 1 << 52


def test_one_node(tmp_path: Path) -> None:
    roots = lay_machine("one-node-6.18", tmp_path)
    facts = machine_facts(roots)
    assert facts.node_ids == (0,)
    assert (facts.swap_total_pages, facts.swap_free_pages) == (0, 0)
    assert cpu_to_node(roots) == {0: 0, 1: 0}
    assert set(node_map(roots, facts.node_ids).index_of_block.tolist()) == {0, -1}


def test_blocks_of_two_nodes_are_cut_by_their_zones(tmp_path: Path) -> None:
    roots = lay_machine("shared-blocks-6.12", tmp_path)
    blocks = node_map(roots, (0, 1, 2))
    # 1000 MiB, 600 MiB and the rest of 22 blocks of 128 MiB, in pieces of 8 MiB
    assert blocks.block_pages == 2048
    assert blocks.index_of_block.tolist() == [0] * 125 + [1] * 75 + [2] * (22 * 16 - 200)
    assert machine_facts(roots).nodes[0].distances == {0: 10, 1: 17, 2: 28}


def test_the_map_holds_indexes_not_node_numbers(tmp_path: Path) -> None:
    roots = lay_machine("four-nodes-6.12", tmp_path)
    assert node_map(roots, (1, 3)).index_of_block.tolist() == [-1] * 8 + [0] * 8 + [-1] * 24 + [1] * 8


@pytest.mark.parametrize(("case", "nodes"), [("four-nodes-6.12", 4), ("shared-blocks-6.12", 3), ("one-node-6.18", 1)])
def test_zones_alone_place_every_frame_like_the_blocks(tmp_path: Path, case: str, nodes: int) -> None:
    roots = lay_machine(case, tmp_path)
    node_ids = tuple(range(nodes))
    by_block = node_map(roots, node_ids)
    shutil.rmtree(f"{roots.sys}/devices/system/memory")
    by_zone = node_map(roots, node_ids)
    spans = parse_zoneinfo(Path(roots.proc, "zoneinfo").read_text())
    frames = np.array([pfn for span in spans for pfn in (span.start_pfn, span.end_pfn - 1)])
    expected = by_block.index_of_block[frames // by_block.block_pages]
    known = expected != -1  # a zone may end in a hole that has no block
    assert set(expected[known].tolist()) == set(range(nodes))
    assert by_zone.index_of_block[frames // by_zone.block_pages][known].tolist() == expected[known].tolist()


def test_a_node_without_memory_is_left_out(tmp_path: Path) -> None:
    roots = lay_machine("four-nodes-6.12", tmp_path)
    directory = Path(roots.sys, "devices/system/node/node1")
    (directory / "meminfo").write_text("Node 1 MemTotal:              0 kB\nNode 1 MemFree:               0 kB\n")
    facts = machine_facts(roots)
    assert facts.node_ids == (0, 2, 3)
    assert facts.nodes[1].distances == {0: 20, 1: 20, 2: 10, 3: 20}


def test_distances_are_of_online_nodes_in_order(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    for node, distances in ((0, "10 40\n"), (4, "40 10\n")):
        directory = f"sys/devices/system/node/node{node}"
        kernel.put(f"{directory}/meminfo", f"Node {node} MemTotal: 80 kB\nNode {node} MemFree: 40 kB\n")
        kernel.put(f"{directory}/distance", distances)
        kernel.put(f"{directory}/cpulist", "\n")
    assert [node.distances for node in machine_facts(kernel.roots).nodes] == [{0: 10, 4: 40}, {0: 40, 4: 10}]


def test_a_kernel_without_numa_and_swap(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/meminfo", "MemTotal:       8000 kB\nMemFree:        4000 kB\nHugePages_Total:       0\n")
    facts = machine_facts(kernel.roots)
    assert facts.nodes == (NodeFacts(0, 8000 // KIB_PAGES, 4000 // KIB_PAGES, True, {0: 10}, available_pages=1000),)
    assert facts.swap_total_pages == 0
    assert cpu_to_node(kernel.roots) == {}


def test_where_zones_overlap_the_inner_one_has_the_frames() -> None:
    spans = [ZoneSpan(0, 0, 4096), ZoneSpan(1, 1024, 2048)]
    assert paint(spans, (0, 1), 1024).tolist() == [0, 1, 0, 0]


def test_a_shared_block_without_zones_stays_with_one_of_its_nodes() -> None:
    linked = [np.array([0, 1]), np.array([1, 2])]
    assert map_blocks(512, linked, (), (0, 1)).index_of_block.tolist() == [0, 1, 1]


def test_no_memory_is_known(tmp_path: Path) -> None:
    assert len(node_map(FakeKernel(tmp_path).roots, (0,)).index_of_block) == 0


def test_swaps() -> None:
    text = (
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t131068\t\t1024\t\t-2\n"
        "/swap\\040file                           file\t\t4096\t\t0\t\t100\n"
    )
    assert parse_swaps(text) == [
        SwapArea("/dev/zram0", "partition", 131068, 1024, -2),
        SwapArea("/swap\\040file", "file", 4096, 0, 100),
    ]
    assert parse_swaps(text)[0].free_kb == 130044
    assert parse_swaps("") == []


@pytest.mark.parametrize(
    ("cache", "free_pages"),
    [
        ("", 1000),
        ("Inactive(file): 800 kB\nActive(file): 8000 kB\n", 1200),
        ("Inactive(file): 800 kB\nDirty: 200 kB\nWriteback: 200 kB\n", 1100),
        ("Inactive(file): 800 kB\nDirty: 8000 kB\nWriteback: 0 kB\n", 1000),
    ],
)
def test_clean_inactive_page_cache_counts_as_free(tmp_path: Path, cache: str, free_pages: int) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/meminfo", f"MemTotal: 8000 kB\nMemFree: 4000 kB\n{cache}")
    assert machine_facts(kernel.roots).nodes[0].free_pages == free_pages
