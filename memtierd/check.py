"""What the machine can do, and what a valid configuration asks for that this machine lacks."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from memtierd import policies
from memtierd.linux.probe import Features
from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.parameters import Part
from memtierd.policies import PolicyParams
from memtierd.trackers.abilities import abilities
from memtierd.units import PAGE_BYTES, format_bytes


def describe_machine(machine: MachineFacts, features: Features) -> list[str]:
    """Return one line for each tracker, connection of the damon tracker, other feature, and node."""
    able = abilities(features, len(machine.nodes))
    told = {f"{prefix}{ability.name}" for ability in able for prefix in ("", "damon_")}
    lines = [_line(f"{ability.kind} {ability.name}", ability.works, ability.detail) for ability in able]
    lines += [
        _line(feature.name, feature.works, feature.detail) for feature in features.features if feature.name not in told
    ]
    for node in machine.nodes:
        cpus = "with CPUs" if node.has_cpu else "without CPUs"
        total, free = format_bytes(node.total_pages * PAGE_BYTES), format_bytes(node.free_pages * PAGE_BYTES)
        lines.append(f"node {node.node}: {cpus}, memory tier {node.tier}, {total}, {free} free")
    lines.extend(machine.tier_doubts)
    lines.append(f"transparent huge pages: {features.thp_mode}")
    return lines


def _line(what: str, works: bool, detail: str) -> str:
    return f"{what}: {'works' if works else 'does not work'}: {detail}"


def summary(features: Features) -> str:
    """Return in one line what works and what is missing."""
    works = ", ".join(feature.name for feature in features.features if feature.works)
    missing = ", ".join(feature.name for feature in features.features if not feature.works)
    return f"works here: {works or 'nothing'}; missing: {missing or 'nothing'} (memtierd -check says more)"


def permissions(missing: Mapping[str, str]) -> str:
    """Return what memtierd may not do for lack of capabilities; empty when it lacks none."""
    if not missing:
        return ""
    lacks = ", ".join(f"{name} (to {use})" for name, use in missing.items())
    return f"memtierd lacks {lacks}; run it as root with these capabilities"


def warnings(policy: Part, machine: MachineFacts, features: Features) -> list[str]:
    """Return what the policy wants and the machine does not have; none of it is an error of the file."""
    params: PolicyParams = policy.params
    return [
        *_absent_nodes(params, machine),
        *_absent_swap(params, machine),
        *_weak_tracker(params.tracker, features),
        *(f"{text}; idle memory may be misjudged" for text in features.disturbs),
        *(f"cgroup {path} does not exist yet" for path in _absent_cgroups(params.pidwatcher)),
    ]


def _absent_nodes(params: PolicyParams, machine: MachineFacts) -> Iterator[str]:
    wanted = {node for place in policies.build(params).places for node in place.nodes}
    for node in sorted(wanted - set(machine.node_ids) - {SWAP_NODE}):
        online = ", ".join(map(str, machine.node_ids))
        yield f"node {node} is in the policy and not on this machine, which has memory on: {online}"


def _absent_swap(params: PolicyParams, machine: MachineFacts) -> Iterator[str]:
    wants_swap = any(SWAP_NODE in place.nodes for place in policies.build(params).places)
    if wants_swap and not machine.swap_total_pages:
        yield "the policy swaps memory out and the system has no swap space; add some (swapon)"


def _weak_tracker(tracker: Part | None, features: Features) -> Iterator[str]:
    if tracker is None or tracker.name == "auto":
        return
    if tracker.name == "multi":
        for member in tracker.params.trackers:
            yield from _weak_tracker(member, features)
    feature = next((f for f in features.features if f.name == tracker.name), None)
    if feature is not None and not feature.works:
        yield f"tracker {tracker.name} does not work here: {feature.detail}"


def _absent_cgroups(pidwatcher: Part | None) -> Iterator[str]:
    params: Any = pidwatcher.params if pidwatcher is not None else None
    if isinstance(getattr(params, "source", None), Part):
        yield from _absent_cgroups(params.source)
    yield from (path for path in getattr(params, "cgroups", ()) if not os.path.isdir(path))
