"""NUMA topologies: from the JSON that the user writes to nodes, and from nodes to QEMU's arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

DEFAULT = '[{"cores": 1, "mem": "1G", "nodes": 2}, {"cores": 0, "mem": "1G", "nodes": 2}]'

MAX_CPUS = 16  # CONFIG_NR_CPUS in kernel.fragment
MAX_NODES = 64  # CONFIG_NODES_SHIFT defaults to 6
MIN_NODE_MB = 128  # one memory block of x86_64: a smaller node has no PFN range of its own in sysfs

_MB = {"M": 1, "G": 1024}
_KEYS = ("cores", "mem", "nodes")

# What the ACPI HMAT says of a path: latency in nanoseconds, bandwidth. The kernel puts memory that is this
# much slower than DRAM in a lower memory tier (drivers/acpi/numa/hmat.c, mm/memory-tiers.c).
_LOCAL_PATH = (80, "20G")
_REMOTE_PATH = (120, "20G")
_SLOW_PATH = (400, "5G")


class TopologyError(ValueError):
    """A topology that can't be read or can't be built; its text is one line for the user."""


@dataclass(frozen=True)
class Node:
    """One NUMA node: the number of its CPUs (0 for memory only) and its memory in MiB."""

    cpus: int
    mem_mb: int


def parse_topology(text: str) -> tuple[Node, ...]:
    """Nodes of a JSON list such as `[{"cores": 2, "mem": "4G", "nodes": 2}]`, in its order.

    `cores` and `mem` (whole number with M or G) hold for each node; `nodes` is how many such nodes there are,
    1 by default. Raises TopologyError.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TopologyError(f"topology {_short(repr(text))}: not JSON: {error}; write for example {DEFAULT}") from error
    if not isinstance(entries, list) or not entries:
        raise TopologyError(f"topology {_short(repr(text))}: expected a list of nodes, for example {DEFAULT}")
    nodes = tuple(
        node for number, entry in enumerate(entries, 1) for node in _nodes_of(entry, f"topology entry {number}")
    )
    _check(nodes)
    return nodes


def format_topology(nodes: Sequence[Node]) -> str:
    """`CPUS:MEGABYTES` of each node, with commas: the form in which the guest is told what was asked for."""
    return ",".join(f"{node.cpus}:{node.mem_mb}" for node in nodes)


def parse_slow_nodes(text: str, node_count: int) -> frozenset[int]:
    """Node numbers of a list with commas, such as "2,3"; raises TopologyError."""
    numbers = [part.strip() for part in text.split(",")] if text.strip() else []
    for number in numbers:
        if not re.fullmatch(r"[0-9]+", number) or int(number) >= node_count:
            raise TopologyError(f"slow nodes {text!r}: {number!r} is no node; expected numbers 0 to {node_count - 1}")
    return frozenset(int(number) for number in numbers)


def qemu_arguments(nodes: Sequence[Node], slow: Collection[int] = ()) -> list[str]:
    """QEMU's arguments for a machine with these nodes; those in `slow` come in a lower memory tier."""
    total_cpus = sum(node.cpus for node in nodes)
    total_mb = sum(node.mem_mb for node in nodes)
    arguments = ["-m", f"{total_mb}M", "-smp", str(total_cpus)]
    nearest_initiator = next(number for number, node in enumerate(nodes) if node.cpus)
    first_cpu = 0
    for number, node in enumerate(nodes):
        description = f"node,nodeid={number},memdev=m{number}"
        if node.cpus:
            description += f",cpus={first_cpu}-{first_cpu + node.cpus - 1}"
        if slow:
            description += f",initiator={number if node.cpus else nearest_initiator}"
        arguments += ["-object", f"memory-backend-ram,id=m{number},size={node.mem_mb}M", "-numa", description]
        first_cpu += node.cpus
    return arguments + (_hmat_arguments(nodes, slow) if slow else [])


def _hmat_arguments(nodes: Sequence[Node], slow: Collection[int]) -> list[str]:
    """Latency and bandwidth from each node with CPUs to each node with memory."""
    arguments = []
    for initiator in (number for number, node in enumerate(nodes) if node.cpus):
        for target in range(len(nodes)):
            latency, bandwidth = _SLOW_PATH if target in slow else _LOCAL_PATH if target == initiator else _REMOTE_PATH
            path = f"hmat-lb,initiator={initiator},target={target},hierarchy=memory"
            arguments += ["-numa", f"{path},data-type=access-latency,latency={latency}"]
            arguments += ["-numa", f"{path},data-type=access-bandwidth,bandwidth={bandwidth}"]
    return arguments


def _nodes_of(entry: object, where: str) -> list[Node]:
    if not isinstance(entry, Mapping):
        raise TopologyError(f"{where}: expected an object with {_list(_KEYS)}, got {_short(json.dumps(entry))}")
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        raise TopologyError(f"{where}: unknown key {_short(repr(unknown[0]))}; expected {_list(_KEYS)}")
    for key in ("cores", "mem"):
        if key not in entry:
            raise TopologyError(f"{where}: {key!r} is missing")
    cores = _whole_number(entry["cores"], f"{where}: cores", 0, MAX_CPUS)
    count = _whole_number(entry.get("nodes", 1), f"{where}: nodes", 1, MAX_NODES)
    return [Node(cores, _megabytes(entry["mem"], f"{where}: mem"))] * count


def _whole_number(value: object, where: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise TopologyError(f"{where}: expected a whole number from {low} to {high}, got {_short(json.dumps(value))}")
    return value


def _megabytes(value: object, where: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([MG])", value) if isinstance(value, str) else None
    if match is None:
        raise TopologyError(f'{where}: expected a size such as "4G" or "512M", got {_short(json.dumps(value))}')
    mem_mb = int(match[1]) * _MB[match[2]]
    if mem_mb < MIN_NODE_MB:
        raise TopologyError(f"{where}: expected at least {MIN_NODE_MB}M, got {_short(json.dumps(value))}")
    return mem_mb


def _check(nodes: Sequence[Node]) -> None:
    cpus = sum(node.cpus for node in nodes)
    if not 1 <= cpus <= MAX_CPUS:
        raise TopologyError(f"topology: expected 1 to {MAX_CPUS} cores on all nodes together, got {cpus}")
    if len(nodes) > MAX_NODES:
        raise TopologyError(f"topology: expected at most {MAX_NODES} nodes, got {len(nodes)}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)
