"""From a tracker's name and parameters to a tracker that works on this machine."""

from typing import Any

import attrs

from memtierd.errors import UnsupportedError
from memtierd.linux.probe import Feature, Features
from memtierd.trackers.damon.build import build_damon
from memtierd.trackers.damon.params import DamonParams
from memtierd.trackers.finder import FinderTracker
from memtierd.trackers.grid import IdlePageTracker, SoftDirtyTracker
from memtierd.trackers.kernel import TrackerKernel
from memtierd.trackers.multi import MultiTracker
from memtierd.trackers.params import (
    AutoParams,
    FinderParams,
    IdlePageParams,
    MultiParams,
    ReferencedParams,
    SoftDirtyParams,
    StubParams,
)
from memtierd.trackers.referenced import ReferencedTracker
from memtierd.trackers.stub import StubTracker
from memtierd.trackers.tracker import Tracker

REGISTRY: dict[str, type[Any]] = {
    "auto": AutoParams,
    "idlepage": IdlePageParams,
    "softdirty": SoftDirtyParams,
    "referenced": ReferencedParams,
    "damon": DamonParams,
    "multi": MultiParams,
    "finder": FinderParams,
    "stub": StubParams,
}
"""Parameters of each tracker by name."""

AUTO_BEST_FIRST = ("idlepage", "softdirty", "referenced")
"""What auto tries: all accesses in small regions, writes in small regions, all accesses in whole mappings."""


def build(name: str, params: Any, kernel: TrackerKernel, features: Features) -> Tracker:
    """Return the tracker `name`, one of REGISTRY, with an instance of the params class it has there.

    Raises UnsupportedError, which says what to change, when it can't work on this machine, and
    KernelError when its files can't be opened.
    """
    _require_placement(kernel, features)
    match name:
        case "auto":
            return _build_best(params, kernel, features)
        case "multi":
            return _build_multi(params, kernel, features)
        case "damon":
            return build_damon(params, kernel, features)
        case "stub":
            return StubTracker(params, kernel)
        case "finder":
            if params.pagemap_bit_soft_dirty is not None:
                _require("finder with pagemapbitsoftdirty", features.get("softdirty"))
            return FinderTracker(params, kernel)
        case _:
            _require(name, features.get(name))
            return _make(name, params, kernel, "")


def _require(what: str, feature: Feature) -> None:
    if not feature.works:
        raise UnsupportedError(f"tracker {what} does not work here: {feature.detail}")


def _build_multi(params: MultiParams, kernel: TrackerKernel, features: Features) -> Tracker:
    """Return all its trackers in one; when one can't be built, those before it are closed."""
    built: list[Tracker] = []
    try:
        built.extend(build(part.name, part.params, kernel, features) for part in params.trackers)
    except Exception:
        for tracker in built:
            tracker.close()
        raise
    return MultiTracker(params, built, kernel)


def _build_best(params: AutoParams, kernel: TrackerKernel, features: Features) -> Tracker:
    """Return the first tracker that works, with the reasons against those before it."""
    rejected: list[str] = []
    for name in AUTO_BEST_FIRST:
        feature = features.get(name)
        if feature.works:
            against = "; ".join(rejected) or "nothing better exists"
            return _make(name, _narrowed(name, params), kernel, f"auto became {name}: {against}")
        rejected.append(f"{name} does not work here: {feature.detail}")
    raise UnsupportedError(f"tracker auto: {'; '.join(rejected)}")


def _make(name: str, params: Any, kernel: TrackerKernel, why: str) -> Tracker:
    match name:
        case "idlepage":
            return IdlePageTracker(params, kernel, why)
        case "softdirty":
            return SoftDirtyTracker(params, kernel, why)
        case _:
            return ReferencedTracker(params, kernel, why)


def _narrowed(name: str, params: AutoParams) -> Any:
    """Return the parameters of tracker `name` with those of its values that auto also has."""
    cls = REGISTRY[name]
    known = {field.name for field in attrs.fields(cls)}
    return cls(**{key: value for key, value in attrs.asdict(params).items() if key in known})


def _require_placement(kernel: TrackerKernel, features: Features) -> None:
    """Refuse a machine where a scan could not say on which node pages are."""
    pfn = features.get("pagemap_pfn")
    if not pfn.works and kernel.nodes > 1:
        raise UnsupportedError(f"trackers can't see on which node pages are: {pfn.detail}")
