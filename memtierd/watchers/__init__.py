"""Watchers: which processes are managed."""

from collections.abc import Callable
from typing import Any

from memtierd.linux.roots import ROOTS, Roots
from memtierd.parameters import Part
from memtierd.watchers.base import Watcher
from memtierd.watchers.cgroups import CgroupsWatcher
from memtierd.watchers.filters import FilterWatcher
from memtierd.watchers.params import (
    CgroupsParams,
    FilterParams,
    FilterRule,
    PidlistParams,
    ProcParams,
    StubWatcherParams,
)
from memtierd.watchers.pidlist import PidlistWatcher
from memtierd.watchers.procs import ProcWatcher
from memtierd.watchers.stub import StubWatcher

__all__ = [
    "REGISTRY",
    "CgroupsParams",
    "FilterParams",
    "FilterRule",
    "PidlistParams",
    "ProcParams",
    "StubWatcherParams",
    "Watcher",
    "build",
]

REGISTRY: dict[str, type[Any]] = {
    "cgroups": CgroupsParams,
    "filter": FilterParams,
    "pidlist": PidlistParams,
    "proc": ProcParams,
    "stub": StubWatcherParams,
}
"""The parameters of each watcher by its name in the configuration."""

_BUILDERS: dict[str, Callable[[Any, Roots, int], Watcher]] = {
    "cgroups": CgroupsWatcher,
    "pidlist": PidlistWatcher,
    "proc": ProcWatcher,
    "stub": StubWatcher,
}


def build(name: str, params: Any, roots: Roots = ROOTS, *, own_pid: int) -> Watcher:
    """Return the watcher `name` for the params that REGISTRY declares for it; `own_pid` is never watched."""
    if name == "filter":
        source: Part = params.source
        return FilterWatcher(params, roots, build(source.name, source.params, roots, own_pid=own_pid))
    return _BUILDERS[name](params, roots, own_pid)
