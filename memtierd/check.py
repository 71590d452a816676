"""What the machine can do, and what a valid configuration asks for that this machine lacks."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from memtierd import policies
from memtierd.linux.probe import Features
from memtierd.model import SWAP_NODE, MachineFacts
from memtierd.parameters import Part
from memtierd.policies import PolicyParams
from memtierd.trackers.abilities import abilities, best_of_auto
from memtierd.trackers.params import uses_accessed_bits
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
        *_weak_trackers(params.tracker, machine, features),
        *_disturbed(params.tracker, features),
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


def _weak_trackers(tracker: Part | None, machine: MachineFacts, features: Features) -> Iterator[str]:
    able = {(ability.kind, ability.name): ability for ability in abilities(features, len(machine.nodes))}
    for kind, name in dict.fromkeys(wanted for part in _trackers(tracker) for wanted in _wanted_of(part)):
        # A connection is named once, and not beside the tracker: that one works when any connection does.
        ability = able[kind, name]
        if not ability.works:
            yield f"{kind} {name} does not work here: {ability.detail}"


def _trackers(tracker: Part | None) -> Iterator[Part]:
    """Yield a tracker and all that it combines."""
    if tracker is not None:
        yield tracker
        for member in getattr(tracker.params, "trackers", ()):
            yield from _trackers(member)


def _wanted_of(tracker: Part) -> Iterator[tuple[str, str]]:
    """Yield what a tracker can't do without, as kind and name of an ability."""
    connection = getattr(tracker.params, "connection", "auto").partition(" ")[0]
    if connection != "auto":
        yield "connection", connection
    else:
        yield "tracker", tracker.name
    if getattr(tracker.params, "pagemap_bit_soft_dirty", None) is not None:
        yield "tracker", "softdirty"


def _disturbed(tracker: Part | None, features: Features) -> Iterator[str]:
    names = ((best_of_auto(features) if part.name == "auto" else part.name, part.params) for part in _trackers(tracker))
    if any(name is not None and uses_accessed_bits(name, params) for name, params in names):
        yield from (f"{text}; idle memory may be misjudged" for text in features.disturbs)


def _absent_cgroups(pidwatcher: Part | None) -> Iterator[str]:
    params: Any = pidwatcher.params if pidwatcher is not None else None
    if isinstance(getattr(params, "source", None), Part):
        yield from _absent_cgroups(params.source)
    yield from (path for path in getattr(params, "cgroups", ()) if not os.path.isdir(path))


def contents(config: Any) -> str:
    """Return in a few words what a configuration runs."""
    parts = [f"policy {config.policy.name}"] if config.policy else []
    names = ", ".join(routine.name for routine in config.routines)
    return " and ".join(parts + ([f"routines {names}"] if names else []))
