"""Which memory is faster: the rank of each node's memory tier, from the kernel's tiers, HMAT, and where CPUs are."""

import re
from collections.abc import Mapping

import attrs

from memtierd.linux.roots import ROOTS, Roots, list_names, read_optional
from memtierd.units import format_node_set, parse_id_list

_TIER_NAME = re.compile(r"memory_tier([0-9]+)")
_ACCESS_CLASSES = ("access1", "access0")
"""Paths from the nearest CPUs; access0, which alone older kernels have, counts devices as well as CPUs."""
_DRAM_STEPS = 4.5
"""How many steps of equal cost the kernel counts up to ordinary memory: MEMTIER_ADISTANCE_DRAM in chunks."""


@attrs.frozen
class Performance:
    """What HMAT says of the path from the nearest CPUs to a node."""

    latency_ns: int
    """Read and write latency summed up."""
    bandwidth_mb: int
    """Read and write bandwidth summed up, MB/s."""

    @property
    def cost(self) -> float:
        """Return what grows with latency and falls with bandwidth."""
        return self.latency_ns / self.bandwidth_mb


@attrs.frozen
class Tiers:
    """The tiers of a machine's nodes."""

    ranks: dict[int, int]
    """Rank of each node's tier; 0 is the fastest, and no number is left out."""
    doubts: tuple[str, ...] = ()
    """Where the sources disagree, one sentence each: the same as long as they do."""


def rank_tiers(
    has_cpu: Mapping[int, bool], tiering: Mapping[int, int], performance: Mapping[int, Performance]
) -> Tiers:
    """Return the tier of every node in `has_cpu`.

    The kernel's tiers decide, unless they make no difference; then what HMAT says does.  A node without CPUs never
    counts as faster than all nodes with CPUs, and as slower where neither source tells a difference.

    Args:
        has_cpu: whether a node has CPUs, for all nodes with memory.
        tiering: number of the kernel's tier by node; the smaller, the faster.
        performance: what HMAT says, by node.

    """
    levels, doubts = _levels(has_cpu, tiering, performance)
    bare = frozenset(node for node, has in has_cpu.items() if not has)
    if not bare or len(bare) == len(has_cpu):
        return Tiers(_ranked(levels), tuple(doubts))
    fastest = min(levels[node] for node in has_cpu if node not in bare)
    if len(set(levels.values())) == 1:
        if tiering or performance:
            doubts.append(
                f"memory tiers: the kernel tells no difference between nodes with CPUs and {_nodes(bare)} without;"
                " memtierd takes those without as slower, name the nodes where that is wrong"
            )
        levels = {node: int(node in bare) for node in levels}
    elif raised := {node for node in bare if levels[node] < fastest}:
        doubts.append(
            f"memory tiers: the kernel takes {_nodes(raised)} without CPUs for faster than every node with CPUs;"
            " memtierd takes them for as fast as the fastest of those, name the nodes where that is wrong"
        )
        levels |= dict.fromkeys(raised, fastest)
    return Tiers(_ranked(levels), tuple(doubts))


def tiers(has_cpu: Mapping[int, bool], roots: Roots = ROOTS) -> Tiers:
    """Return the tier of every node in `has_cpu`, as the kernel tells it now."""
    tiering = memory_tiers(roots)
    tells = len({tiering[node] for node in has_cpu if node in tiering}) > 1
    return rank_tiers(has_cpu, tiering, {} if tells else performances(has_cpu, roots))


def memory_tiers(roots: Roots = ROOTS) -> dict[int, int]:
    """Return the number of the kernel's memory tier of each node; nothing before Linux 6.1.

    The smaller the number, the faster the memory: it is the node's abstract distance, cut short.
    Source: Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers.
    """
    directory = f"{roots.sys}/devices/virtual/memory_tiering"
    found = (match for name in list_names(directory) if (match := _TIER_NAME.fullmatch(name)))
    return {
        node: int(match[1])
        for match in found
        for node in parse_id_list(read_optional(f"{directory}/{match[0]}/nodelist") or "")
    }


def performances(nodes: Mapping[int, bool], roots: Roots = ROOTS) -> dict[int, Performance]:
    """Return what HMAT says of these nodes; a node of which it says nothing is left out.

    Source: Documentation/admin-guide/mm/numaperf.rst.
    """
    found = {node: _performance(f"{roots.sys}/devices/system/node/node{node}") for node in nodes}
    return {node: performance for node, performance in found.items() if performance is not None}


def _performance(directory: str) -> Performance | None:
    for access in _ACCESS_CLASSES:
        latency_ns = _sum(f"{directory}/{access}/initiators", "read_latency", "write_latency")
        bandwidth_mb = _sum(f"{directory}/{access}/initiators", "read_bandwidth", "write_bandwidth")
        if latency_ns and bandwidth_mb:
            return Performance(latency_ns, bandwidth_mb)
    return None


def _sum(directory: str, *names: str) -> int:
    """Return the sum of some figures, 0 when one of them is missing or unknown."""
    figures = [int(read_optional(f"{directory}/{name}") or 0) for name in names]
    return sum(figures) if all(figures) else 0


def _levels(
    has_cpu: Mapping[int, bool], tiering: Mapping[int, int], performance: Mapping[int, Performance]
) -> tuple[dict[int, int], list[str]]:
    """Return a number for each node that grows from faster to slower, and where the sources disagree.

    A node of which a source says nothing counts as what the source calls ordinary: the fastest with CPUs.
    """
    kernel = {node: tiering[node] for node in has_cpu if node in tiering}
    if len(set(kernel.values())) > 1:
        return _completed(kernel, has_cpu), []
    steps = _completed(_cost_steps(has_cpu, performance), has_cpu)
    if len(set(steps.values())) < 2 or not kernel:
        return steps, []
    return steps, [
        "memory tiers: the kernel puts all nodes in one tier, but HMAT tells of faster and slower ones; memtierd goes"
        " by HMAT, name the nodes where that is wrong"
    ]


def _cost_steps(has_cpu: Mapping[int, bool], performance: Mapping[int, Performance]) -> dict[int, int]:
    """Return how slow each node is, in the kernel's steps (mm/memory-tiers.c, mt_perf_to_adistance).

    Ordinary memory, to which the others are compared, is the fastest of a node with CPUs.
    """
    ordinary = [performance[node].cost for node, has in has_cpu.items() if has and node in performance]
    if not ordinary:
        return {}
    return {node: int(_DRAM_STEPS * p.cost / min(ordinary)) for node, p in performance.items() if node in has_cpu}


def _completed(levels: Mapping[int, int], has_cpu: Mapping[int, bool]) -> dict[int, int]:
    known = [levels[node] for node, has in has_cpu.items() if has and node in levels] or list(levels.values()) or [0]
    return {node: levels.get(node, min(known)) for node in has_cpu}


def _ranked(levels: Mapping[int, int]) -> dict[int, int]:
    order = sorted(set(levels.values()))
    return {node: order.index(level) for node, level in levels.items()}


def _nodes(nodes: frozenset[int] | set[int]) -> str:
    return f"{'node' if len(nodes) == 1 else 'nodes'} {format_node_set(tuple(sorted(nodes)))}"
