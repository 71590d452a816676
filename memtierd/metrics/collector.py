"""Measures everything: asks the control thread, reads the machine, and puts it into families."""

import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from memtierd import __version__
from memtierd.conditions import Held
from memtierd.daemon import Daemon
from memtierd.errors import KernelError, MemtierdError, errno_name
from memtierd.linux.numa import machine_facts
from memtierd.linux.pressure import parse_some_percent
from memtierd.linux.roots import Roots, read_optional
from memtierd.metrics.families import Measured, histogram, measured, single
from memtierd.metrics.groups import OTHER, Groups
from memtierd.metrics.own_process import measure_itself
from memtierd.metrics.snapshot import Snapshot, take
from memtierd.model import SWAP_NODE, Outcome, ProcessFacts
from memtierd.reconcile import Reconciler
from memtierd.reconfiguring import FAILED, RELOADED, SOURCE, UNCHANGED
from memtierd.statistics import UNKNOWN_PLACE, Totals
from memtierd.units import PAGE_BYTES

_ANSWER_S = 4.0
"""How long the control thread may take to answer; two questions have to fit into the 10 s of a scrape."""
_AGE_NS = 1_000_000_000
"""Metrics that are younger than this are given again: a storm of scrapes can't keep the control thread busy."""
_CONTROL_ERROR = "control error: "


class Collector:
    """Measures on demand; may be asked by several threads, of which one measures at a time."""

    def __init__(self, daemon: Daemon, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._daemon = daemon
        self._clock_ns = clock_ns
        self._groups = Groups(daemon.roots, clock_ns)
        self._sources: set[str] = set()
        self._started_s = time.time()
        self._lock = threading.Lock()
        self._latest: list[Measured] = []
        self._latest_ns: int | None = None

    def collect(self) -> list[Measured]:
        """Return all families that can be had now, in the order of their declaration."""
        with self._lock:
            if self._latest_ns is None or self._clock_ns() - self._latest_ns >= _AGE_NS:
                self._latest = list(self._measure())
                self._latest_ns = self._clock_ns()
            return self._latest

    def _measure(self) -> Iterator[Measured]:
        yield measured("build_info", [((__version__, platform.python_version()), 1)])
        yield single("start_time_seconds", self._started_s)
        yield single("collected_timestamp_seconds", time.time())
        try:
            known = list(self._known())
        except MemtierdError:
            known = []  # said by the metric `answering`, and by the watchdog of the service
        yield single("answering", bool(known))
        yield from known
        yield single("dry_run", self._daemon.dry_run)
        yield from machine_families(self._daemon.roots, self._watched_cgroups())
        yield from measure_itself(self._daemon.roots)

    def _watched_cgroups(self) -> tuple[str, ...]:
        params = self._daemon.policy_params
        return params.watched_cgroups if params is not None else ()

    def _known(self) -> Iterator[Measured]:
        """Yield what the control thread knows.  Raises MemtierdError when it does not answer."""
        group_of = self._groups.of(self._daemon.call(_facts, _ANSWER_S), self._watched_cgroups())
        names = [*dict.fromkeys(name for name in group_of.values() if name != OTHER), OTHER]
        number = {name: index for index, name in enumerate(names)}
        numbers = {key: number[name] for key, name in group_of.items()}
        conditions = self._daemon.control.conditions
        snapshot, held = self._daemon.call(lambda all_: (take(all_, numbers, len(names)), conditions.all), _ANSWER_S)
        yield from table_families(snapshot, names)
        yield from move_families(snapshot)
        yield from scan_families(snapshot.totals, time.time_ns() - self._clock_ns())
        yield from event_families(snapshot.events, snapshot.events_left_out)
        yield from self._condition_families(held)

    def _condition_families(self, held: Sequence[Held]) -> Iterator[Measured]:
        """Yield how many conditions hold; a source that had one keeps its series, so that it can be seen to be over."""
        counts = dict.fromkeys(sorted(self._sources), 0)
        for one in held:
            # "routine 1 statactions" and the like: a source is a word or two, and there are few of them.
            counts[one.source] = counts.get(one.source, 0) + 1
        self._sources.update(counts)
        yield measured("conditions", [((source,), count) for source, count in counts.items()])
        yield single("config_last_reload_successful", not counts.get(SOURCE))


def _facts(reconciler: Reconciler) -> tuple[ProcessFacts, ...]:
    return tuple(facts for _, facts in reconciler.processes.rows())


def place_name(place: int) -> str:
    """Return how a node, swap or an unknown place is written in a label."""
    return {SWAP_NODE: "swap", UNKNOWN_PLACE: "unknown"}.get(place, str(place))


def table_families(snapshot: Snapshot, groups: Sequence[str]) -> Iterator[Measured]:
    """Yield what the region table and the plan hold; `groups` names the groups of the snapshot.

    The group "other" is left out while it has no memory.
    """
    yield measured("policy_info", [((snapshot.policy, snapshot.tracker), 1)])
    yield single("processes", snapshot.processes)
    yield measured("regions", [((name,), count) for name, count in snapshot.placement_regions.items()])
    yield single("table_bytes", snapshot.table_bytes)
    places = [place_name(place) for place in (*snapshot.node_ids, SWAP_NODE)]
    yield measured(
        "tracked_bytes",
        [
            ((group, state, place), pages * PAGE_BYTES)
            for group, by_state in zip(groups, snapshot.group_pages.tolist(), strict=True)
            if group != OTHER or any(map(any, by_state))
            for state, by_place in zip(snapshot.states, by_state, strict=True)
            for place, pages in zip(places, by_place, strict=True)
        ],
    )
    planned, blocked = snapshot.planned_pages, snapshot.blocked_pages
    yield measured("planned_bytes", [((place_name(to),), pages * PAGE_BYTES) for to, pages in planned.items()])
    yield measured("blocked_bytes", [((reason,), pages * PAGE_BYTES) for reason, pages in blocked.items()])
    guards = snapshot.guards
    yield measured("guard_paused", [((guard.guard, guard.scope), guard.is_paused) for guard in guards])
    yield measured("guard_pauses_total", [((guard.guard, guard.scope), guard.pauses) for guard in guards])


def move_families(snapshot: Snapshot) -> Iterator[Measured]:
    """Yield what the mover did."""
    totals = snapshot.totals
    yield measured(
        "moved_bytes_total",
        [
            ((place_name(source), place_name(target)), pages * PAGE_BYTES)
            for (source, target), pages in sorted(totals.moved_pages.items())
        ],
    )
    yield measured(
        "move_outcome_bytes_total",
        [((outcome.name.lower(),), totals.outcome_pages[outcome] * PAGE_BYTES) for outcome in Outcome],
    )
    yield measured(
        "move_error_bytes_total",
        [((errno_name(errno),), pages * PAGE_BYTES) for errno, pages in sorted(totals.errno_pages.items())],
    )
    yield measured("move_calls_total", [((call,), count) for call, count in sorted(totals.calls.items())])
    yield single("swapped_out_bytes_total", snapshot.swapped_out_pages * PAGE_BYTES)


def scan_families(totals: Totals, since_1970_ns: int) -> Iterator[Measured]:
    """Yield scans and decisions; `since_1970_ns` is what makes a time of the monotonic clock one of the calendar."""
    yield single("scanned_bytes_total", totals.scanned_pages * PAGE_BYTES)
    yield single("accessed_bytes_total", totals.accessed_pages * PAGE_BYTES)
    yield single("written_bytes_total", totals.written_pages * PAGE_BYTES)
    yield single("scan_failures_total", totals.unscanned_processes)
    for name, durations in (("scan", totals.scans), ("tick", totals.ticks)):
        yield histogram(f"{name}_duration_seconds", durations)
        yield single(f"{name}_longest_seconds", durations.longest_ns / 1e9)
        if durations.count:
            yield single(f"last_{name}_timestamp_seconds", (durations.last_ended_ns + since_1970_ns) / 1e9)


def event_families(events: dict[str, int], left_out: int) -> Iterator[Measured]:
    """Yield how often named events happened."""
    results = {"good": RELOADED, "bad": FAILED, "unchanged": UNCHANGED}
    yield measured("config_reloads_total", [((result,), events.get(name, 0)) for result, name in results.items()])
    bugs = sum(count for name, count in events.items() if name.startswith(_CONTROL_ERROR))
    yield single("control_errors_total", bugs)
    samples = [((name,), count) for name, count in sorted(events.items())]
    yield measured("events_total", samples + ([((OTHER,), left_out)] if left_out else []))


def machine_families(roots: Roots, cgroups: Sequence[str]) -> Iterator[Measured]:
    """Yield sizes of nodes and swap, and pressure in the system and these control groups, as far as it is told."""
    machine = machine_facts(roots)
    yield measured("node_bytes", [((str(node.node),), node.total_pages * PAGE_BYTES) for node in machine.nodes])
    yield measured("node_free_bytes", [((str(node.node),), node.free_pages * PAGE_BYTES) for node in machine.nodes])
    yield single("swap_bytes", machine.swap_total_pages * PAGE_BYTES)
    yield single("swap_free_bytes", machine.swap_free_pages * PAGE_BYTES)
    paths = [
        (resource, scope, pattern.format(directory=directory, resource=resource))
        for scope, directory, pattern in (
            ("system", f"{roots.proc}/pressure", "{directory}/{resource}"),
            *((cgroup, cgroup, "{directory}/{resource}.pressure") for cgroup in cgroups),
        )
        for resource in ("memory", "io")
    ]
    read = [((resource, scope), _pressure_ratio(path)) for resource, scope, path in paths]
    yield measured("pressure_ratio", [(labels, ratio) for labels, ratio in read if ratio is not None])


def _pressure_ratio(path: str) -> float | None:
    try:
        percent = parse_some_percent(read_optional(path) or "")
    except KernelError:
        return None  # a kernel without pressure information, or a group that tells none: the series is missing
    return None if percent is None else percent / 100
