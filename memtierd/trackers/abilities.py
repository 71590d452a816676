"""Which trackers and connections work on this machine, and what the others lack."""

from collections.abc import Iterator

import attrs

from memtierd.linux.probe import Feature, Features
from memtierd.trackers.build import AUTO_BEST_FIRST, REGISTRY

CONNECTIONS = ("bpftrace", "perf", "sysfs", "tracefs")
_WORK_ANYWHERE = {
    "finder": "finds memory, and sees no use of it",
    "multi": "combines those that work",
    "stub": "tracks nothing",
}
_INTERFACES = ("damon_sysfs", "damon_debugfs")


@attrs.frozen
class Ability:
    """One tracker, or one connection of the damon tracker."""

    kind: str
    """"tracker" or "connection"."""
    name: str
    works: bool
    detail: str
    """What it can do here, or what is missing and what to do."""


def abilities(features: Features, nodes: int) -> list[Ability]:
    """Return all trackers and then all connections, each ascending by name; `nodes` is how many the machine has."""
    connections = [_connection(name, features) for name in CONNECTIONS]
    trackers = [_tracker(name, features, connections, nodes) for name in sorted(REGISTRY)]
    return [*trackers, *connections]


def _tracker(name: str, features: Features, connections: list[Ability], nodes: int) -> Ability:
    frames = features.get("pagemap_pfn")
    if nodes > 1 and not frames.works:
        return Ability("tracker", name, works=False, detail=f"can't see on which node pages are: {frames.detail}")
    if name in _WORK_ANYWHERE:
        return Ability("tracker", name, works=True, detail=_WORK_ANYWHERE[name])
    if name == "auto":
        return _auto(features)
    if name == "damon":
        return _damon(features, connections)
    feature = features.get(name)
    return Ability("tracker", name, feature.works, feature.detail)


def best_of_auto(features: Features) -> str | None:
    """Return what the auto tracker becomes here, None when nothing works."""
    return next((name for name in AUTO_BEST_FIRST if features.works(name)), None)


def _auto(features: Features) -> Ability:
    best = best_of_auto(features)
    detail = f"becomes {best}" if best else f"none of {', '.join(AUTO_BEST_FIRST)} works"
    return Ability("tracker", "auto", best is not None, detail)


def _damon(features: Features, connections: list[Ability]) -> Ability:
    able = [connection.name for connection in connections if connection.works]
    if able:
        return Ability("tracker", "damon", works=True, detail=f"with the connections {', '.join(able)}")
    details = dict.fromkeys(text for name in CONNECTIONS for text in _lacking(name, features))
    return Ability("tracker", "damon", works=False, detail="; ".join(details))


def _connection(name: str, features: Features) -> Ability:
    lacking = list(_lacking(name, features))
    own = features.get(f"damon_{name}")
    detail = "; ".join(lacking) if lacking else own.detail
    return Ability("connection", name, not lacking, detail)


def _lacking(name: str, features: Features) -> Iterator[str]:
    """Yield what is missing: an interface to configure DAMON, and the connection's own."""
    interfaces: list[Feature] = [features.get(one) for one in (("damon_sysfs",) if name == "sysfs" else _INTERFACES)]
    if not any(interface.works for interface in interfaces):
        yield interfaces[0].detail  # the other one is gone from current kernels
    own = features.get(f"damon_{name}")
    if not own.works and own not in interfaces:
        yield own.detail
