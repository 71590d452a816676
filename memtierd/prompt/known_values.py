"""The values that there are now, for completion: processes, nodes, states, names of parts, files."""

from collections.abc import Callable, Iterable, Iterator

from memtierd import policies, routines, trackers, watchers
from memtierd.errors import MemtierdError
from memtierd.linux import proc
from memtierd.prompt.completion import Values, files
from memtierd.prompt.context import DaemonPort
from memtierd.reconcile import Reconciler
from memtierd.regions.lifecycle import PLACEMENT
from memtierd.text import printable

_PATIENCE_S = 1.0
"""Nobody waits longer for a completion."""
_MOST_PROCESSES = 2000


def known_values(daemon: DaemonPort) -> Values:
    """Return what gives the values of a kind at this moment; of a kind that is unknown, or on an error, none."""
    sources: dict[str, Callable[[str], Iterable[tuple[str, str]]]] = {
        "pid": lambda _: _processes(daemon),
        "node": lambda _: ((str(node.node), "" if node.has_cpu else "no CPU") for node in daemon.machine().nodes),
        "state": lambda _: _states(daemon),
        "policy": lambda _: _names(policies.REGISTRY),
        "tracker": lambda _: _names(trackers.REGISTRY),
        "pidwatcher": lambda _: _names(watchers.REGISTRY),
        "routine": lambda _: _names(routines.REGISTRY),
        "file": files,
        "setting": lambda _: _settings(daemon),
    }

    def values(kind: str, begun: str) -> Iterable[tuple[str, str]]:
        source = sources.get(kind)
        try:
            return [] if source is None else list(source(begun))
        except MemtierdError:
            return []  # a completion that fails is none

    return values


def _names(registry: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((name, "") for name in registry)


def _processes(daemon: DaemonPort) -> Iterator[tuple[str, str]]:
    """Yield the tracked processes, or where none is tracked those of the machine that have memory of their own."""

    def tracked(reconciler: Reconciler) -> list[tuple[str, str]]:
        return [(str(facts.key.pid), printable(facts.name)) for _, facts in reconciler.processes.rows()]

    found = daemon.call(tracked, _PATIENCE_S)
    yield from found or _of_machine(daemon)


def _of_machine(daemon: DaemonPort) -> Iterator[tuple[str, str]]:
    for pid in proc.pids(daemon.roots)[-_MOST_PROCESSES:]:
        try:
            process = proc.stat(pid, daemon.roots)
        except MemtierdError:
            continue
        if process.has_memory:
            yield str(pid), printable(process.name)


def _states(daemon: DaemonPort) -> Iterator[tuple[str, str]]:
    activity = daemon.call(lambda reconciler: reconciler.policy.activity.declaration.states, _PATIENCE_S)
    return ((state, "") for state in dict.fromkeys((*activity, *PLACEMENT.declaration.states)))


def _settings(daemon: DaemonPort) -> Iterator[tuple[str, str]]:
    from memtierd.config import effective_settings  # noqa: PLC0415  reading YAML costs start-up time

    return ((setting.path, "") for setting in effective_settings(daemon.effective(), None))
