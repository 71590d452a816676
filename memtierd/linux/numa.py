"""NUMA nodes of this machine: sizes, distances, CPUs, and which node a page frame belongs to."""

import re

import attrs

from memtierd.linux.node_map import node_map
from memtierd.linux.roots import ROOTS, Roots, list_names, read_optional
from memtierd.linux.swaps import swaps
from memtierd.linux.tiers import tiers
from memtierd.model import MachineFacts, NodeFacts
from memtierd.units import KIB, PAGE_BYTES, parse_id_list

__all__ = ["cpu_to_node", "machine_facts", "node_map", "parse_meminfo"]

_MEMINFO_LINE = re.compile(r"^(?:Node +[0-9]+ +)?([^:\s]+): +([0-9]+)(?: kB)?$", re.MULTILINE)
_NODE_NAME = re.compile(r"node([0-9]+)")
_ZONE_OR_COUNT = re.compile(r"^Node +([0-9]+), zone|^ +count: +([0-9]+)$", re.MULTILINE)
_LOCAL_DISTANCE = 10


def parse_meminfo(text: str) -> dict[str, int]:
    """Return the figures of /proc/meminfo or of a node's meminfo by name: kB, but a count for HugePages_*."""
    return {name: int(value) for name, value in _MEMINFO_LINE.findall(text)}


def parse_kept_by_cpus(text: str) -> dict[int, int]:
    """Return for each node of a zoneinfo file the free pages that CPUs keep for their next allocations.

    MemFree does not count them.  A CPU that has freed much, as one that moves pages does, may keep an eighth of the
    zone for a while (mm/page_alloc.c, nr_pcp_high); the kernel takes them back before it reclaims or kills.
    """
    kept: dict[int, int] = {}
    node = 0
    for zone_of, count in _ZONE_OR_COUNT.findall(text):
        node = int(zone_of) if zone_of else node
        kept[node] = kept.get(node, 0) + int(count or 0)
    return kept


def machine_facts(roots: Roots = ROOTS) -> MachineFacts:
    """Return one snapshot of the nodes that have memory, ascending, and of swap.

    A kernel without CONFIG_NUMA has no node directory: all memory is node 0 there.  `pressure` is not looked at.
    Sources: Documentation/ABI/stable/sysfs-devices-node, /proc/swaps.
    """
    areas = swaps(roots)
    nodes = _nodes(roots) or _whole_machine(roots)
    found = tiers({facts.node: facts.has_cpu for facts in nodes}, roots)
    return MachineFacts(
        nodes=tuple(attrs.evolve(facts, tier=found.ranks[facts.node]) for facts in nodes),
        swap_total_pages=_pages(sum(area.size_kb for area in areas)),
        swap_free_pages=_pages(sum(area.free_kb for area in areas)),
        tier_doubts=found.doubts,
    )


def cpu_to_node(roots: Roots = ROOTS) -> dict[int, int]:
    """Return the node of every online CPU; empty on a kernel without CONFIG_NUMA."""
    return {
        cpu: node
        for node in _node_ids(roots)
        for cpu in parse_id_list(read_optional(f"{_node_directory(roots, node)}/cpulist") or "")
    }


def _nodes(roots: Roots) -> tuple[NodeFacts, ...]:
    online = _node_ids(roots)
    kept = parse_kept_by_cpus(read_optional(f"{roots.proc}/zoneinfo") or "")
    facts = []
    for node in online:
        directory = _node_directory(roots, node)
        memory = parse_meminfo(read_optional(f"{directory}/meminfo") or "")
        if not memory.get("MemTotal"):
            continue  # a node of CPUs or devices only, or one that went offline just now
        distances = (read_optional(f"{directory}/distance") or "").split()
        facts.append(
            NodeFacts(
                node,
                total_pages=_pages(memory["MemTotal"]),
                free_pages=_pages(_available_kb(memory)),
                has_cpu=bool((read_optional(f"{directory}/cpulist") or "").strip()),
                # One number for each online node, not for each possible one (drivers/base/node.c).
                distances=dict(zip(online, map(int, distances), strict=False)),
                available_pages=_pages(_had_kb(memory)) + kept.get(node, 0),
            )
        )
    return tuple(facts)


def _whole_machine(roots: Roots) -> tuple[NodeFacts, ...]:
    memory = parse_meminfo(read_optional(f"{roots.proc}/meminfo") or "")
    if not memory.get("MemTotal"):
        return ()
    return (
        NodeFacts(
            0,
            total_pages=_pages(memory["MemTotal"]),
            free_pages=_pages(_available_kb(memory)),
            has_cpu=True,
            distances={0: _LOCAL_DISTANCE},
            available_pages=_pages(_had_kb(memory)),
        ),
    )


def _available_kb(memory: dict[str, int]) -> int:
    """Return what pages can be moved to: free memory, and clean page cache that was not used again.

    Page cache fills all memory in time, and the kernel drops it for pages that move in (mm/vmscan.c).
    """
    clean_cache = memory.get("Inactive(file)", 0) - memory.get("Dirty", 0) - memory.get("Writeback", 0)
    return memory["MemFree"] + max(0, clean_cache)


def _had_kb(memory: dict[str, int]) -> int:
    """Return what a process could have before the kernel has to swap or kill: see NodeFacts.available_pages."""
    return memory["MemFree"] + memory.get("SReclaimable", 0) + memory.get("Inactive(file)", 0) * 8 // 10


def _node_ids(roots: Roots) -> list[int]:
    found = (_NODE_NAME.fullmatch(name) for name in list_names(f"{roots.sys}/devices/system/node"))
    return sorted(int(match[1]) for match in found if match)


def _node_directory(roots: Roots, node: int) -> str:
    return f"{roots.sys}/devices/system/node/node{node}"


def _pages(kb: int) -> int:
    return kb * KIB // PAGE_BYTES
