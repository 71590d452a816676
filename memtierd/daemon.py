"""The daemon: builds the parts from parameters, owns their threads, and starts and stops them in order."""

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import attrs

from memtierd import forecasters, policies, trackers, watchers
from memtierd.conditions import Held
from memtierd.control import Control
from memtierd.errors import MemtierdError, NotConfiguredError
from memtierd.forecasters import ForecastThread
from memtierd.linux.numa import machine_facts
from memtierd.linux.pressure import pressure
from memtierd.linux.probe import Features, probe
from memtierd.linux.roots import ROOTS, Roots
from memtierd.model import CallReport, MachineFacts, MoveReport, Scan
from memtierd.mover import Mover, MoverParams
from memtierd.mover.host import host_kernel
from memtierd.parameters import Part, option_of
from memtierd.placement.plan import Plan
from memtierd.policies import PolicyParams
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatParams
from memtierd.reconcile import Reconciler
from memtierd.routines import Console, Ports, Routines
from memtierd.trackers import Scanner, Tracker
from memtierd.watchers import Watcher
from memtierd.watchers.base import look_up
from memtierd.watchers.pages_of_interest import PagesOfInterestWatcher
from memtierd.watchers.selected import SelectedWatcher

LOG = logging.getLogger("memtierd")
T = TypeVar("T")
_ROUTINE_TIMEOUT_S = 2
"""How long a routine waits for the control thread before it leaves out a tick."""


class Daemon:
    """Everything that runs.  All methods may be called from any thread; commands are taken one at a time."""

    def __init__(self, roots: Roots = ROOTS, *, dry_run: bool = False, features: Features | None = None) -> None:
        self.roots = roots
        self.dry_run = dry_run
        self.features = probe(roots) if features is None else features
        self._lock = threading.RLock()
        machine = machine_facts(roots)
        self._reconciler = Reconciler(policies.build(AgeParams()), machine.node_ids, time.monotonic_ns())
        self._kernel = trackers.linux_kernel(
            machine, pagemap_scan=self.features.works("pagemap_scan"), clock=time.monotonic_ns, roots=roots
        )
        self._limits = self._kernel.limits
        self.mover = Mover(
            MoverParams(),
            host_kernel(lambda: (self._kernel.memory.node_map, self._reconciler.node_ids), roots),
            time.monotonic_ns,
            self._post_report,
            self._post_report,
        )
        self.control = Control(self._reconciler, self.mover, self.machine, time.monotonic_ns, roots, dry_run=dry_run)
        self.console: Console | None = None
        """Where routines print and run commands of the prompt."""
        self.routines = Routines(
            Ports(self.control.count, self.control.hold, self._swapped_out_pages, lambda: self.console)
        )
        self.pidwatcher = SelectedWatcher(self._build_watcher, self.control.post, LOG.info, LOG.error)
        self.tracker_name: str | None = None
        self.tracker_params: Any = None
        self.tracker: Tracker | None = None
        self.policy_name: str | None = None
        self.policy_params: PolicyParams | None = None
        self.policy_running = False
        self._scanner: Scanner | None = None
        self._forecaster: ForecastThread | None = None

    def start(self) -> None:
        """Start the control thread; parts start when they are told to."""
        _raise_file_limit()
        self.control.start()

    def stop(self) -> None:
        """Stop everything, the mover after the system call under way."""
        self.routines.stop_all()  # before the lock is taken: one of their commands may hold it
        with self._lock:
            self._stop_watching()
            self._stop_tracking()
            self.mover.stop()
            self.control.stop()

    def _swapped_out_pages(self) -> int:
        return self.call(lambda reconciler: reconciler.statistics.swapped_out_pages, _ROUTINE_TIMEOUT_S)

    def machine(self) -> MachineFacts:
        """Return nodes and swap as they are now, and pressure if the policy minds it."""
        machine, params = machine_facts(self.roots), self._reconciler.policy.params
        if params.max_pressure is None:
            return machine
        return attrs.evolve(machine, pressure=pressure(params.watched_cgroups, self.roots))

    def call(self, function: Callable[[Reconciler], T], timeout_s: float = 10) -> T:
        """Return `function(reconciler)`, run by the control thread between two messages."""
        return self.control.call(function, timeout_s)

    def tick_now(self) -> Plan:
        """Decide at once and return the plan."""
        return self.control.tick_now()

    def conditions(self) -> tuple[Held, ...]:
        """Return what keeps the daemon from doing all it should, now."""
        return self.control.call(lambda _: self.control.conditions.all)

    def _post_report(self, report: MoveReport | CallReport) -> None:
        self.control.post(report)

    # the tracker

    @property
    def tracker_running(self) -> bool:
        """Return whether the tracker scans."""
        return self._scanner is not None

    @property
    def tracker_why(self) -> str:
        """Return why `auto` took the tracker that it took; empty when it was asked for by name."""
        return self.tracker.why if self.tracker is not None else ""

    def create_tracker(self, name: str) -> None:
        """Choose a tracker, with default parameters.  Raises MemtierdError when it can't work here."""
        with self._lock:
            params = _known("tracker", name, trackers.REGISTRY)()
            tracker: Tracker | None = None
            with suppress(NotConfiguredError):  # it is told when the tracker starts, unless it is configured first
                tracker = trackers.build(name, params, self._kernel, self.features)
            self._stop_tracking()
            self.tracker_name, self.tracker_params, self.tracker = name, params, tracker

    def configure_tracker(self, params: Any) -> None:
        """Give the chosen tracker other parameters; a running one goes on with them."""
        with self._lock:
            name = self._chosen(self.tracker_name, "tracker")
            running = self._scanner is not None
            tracker = trackers.build(name, params, self._kernel, self.features)
            self._stop_tracking()
            self.tracker_params, self.tracker = params, tracker
            if running:
                self._start_tracking()

    def start_tracker(self, pids: Sequence[int]) -> None:
        """Track exactly these processes.  Raises MemtierdError when one of them can't be."""
        with self._lock:
            self._chosen(self.tracker_name, "tracker")
            found = look_up(pids, self.roots, os.getpid(), typed=True)
            for pid, reason in sorted(found.left_out.items()):
                raise MemtierdError(f"track pid {pid}: it {reason}; give the pid of a running process")
            for error in found.refused:
                raise error
            self._stop_tracking(keep=True)
            self._start_tracking()
            self.control.watch(found.keys)

    def stop_tracker(self) -> None:
        """Stop scanning; what was learned stays in the table."""
        with self._lock:
            self._chosen(self.tracker_name, "tracker")
            self._stop_tracking(keep=True)

    def reset_counters(self) -> None:
        """Set the access counts of all regions to 0."""
        self.call(lambda reconciler: reconciler.reset_counters())

    # the pidwatcher

    def create_pidwatcher(self, name: str) -> None:
        """Choose a pidwatcher; one with parameters that have no default needs a configuration before it can start."""
        with self._lock:
            cls = _known("pidwatcher", name, watchers.REGISTRY)
            needs_more = any(option_of(field).required for field in attrs.fields(cls))
            self.pidwatcher.select(name, None if needs_more else cls())

    # the policy

    def create_policy(self, name: str) -> None:
        """Choose a policy; one that watches processes needs a configuration before it can start."""
        with self._lock:
            params = _known("policy", name, policies.REGISTRY)
            self._stop_watching()
            self.policy_name, self.policy_params = name, None if params.watches else params()

    def configure_policy(self, params: PolicyParams) -> None:
        """Give the chosen policy its parameters; a running one is restarted with them and keeps what was learned."""
        with self._lock:
            self._chosen(self.policy_name, "policy")
            running = self.policy_running
            self.policy_params = params
            if running:
                self.start_policy()

    def start_policy(self) -> None:
        """Watch, track and decide by the chosen policy; moves only when this is no dry run."""
        with self._lock:
            name = self._chosen(self.policy_name, "policy")
            params = self.policy_params
            if params is None or (params.watches and not _is_complete(params)):
                raise MemtierdError(
                    f"start policy {name}: it has no configuration; give one with: policy -config CONFIG"
                )
            self._stop_watching()
            tracker = self._build(params.tracker) if params.tracker else None
            self._stop_tracking(keep=tracker is None)
            if params.tracker:
                self.tracker_name, self.tracker_params = params.tracker.name, params.tracker.params
                self.tracker = tracker
            self.mover.reconfigure(params.mover or MoverParams())
            policy = policies.build(params)
            self.call(lambda reconciler: reconciler.set_policy(policy))
            if params.watches:
                self._start_deciding(params)
            else:
                self.mover.replace(())  # no tick will take back what the policy before has planned
            self.policy_running = True

    def _start_deciding(self, params: PolicyParams) -> None:
        if not self.dry_run:
            self.mover.start()
        if isinstance(params, HeatParams) and params.forecaster is not None:
            self._start_forecasting(params.forecaster)
        self._start_watching(params)  # first: it limits what is tracked
        self._start_tracking()
        self.control.tick_every(params.interval_ms)

    def stop_policy(self) -> None:
        """Stop watching, tracking and deciding; the mover drops what the policy planned."""
        with self._lock:
            self._chosen(self.policy_name, "policy")
            self._stop_watching()
            self._stop_tracking(keep=True)
            self.mover.replace(())

    # parts

    def _build(self, part: Part) -> Tracker:
        return trackers.build(part.name, part.params, self._kernel, self.features)

    def _build_watcher(self, part: Part) -> Watcher:
        return watchers.build(part.name, part.params, self.roots, own_pid=os.getpid())

    def _start_watching(self, params: PolicyParams) -> None:
        watcher = self._build_watcher(params.pidwatcher) if params.pidwatcher else None
        if params.pages_of_interest is not None:
            watcher = PagesOfInterestWatcher(
                params.pages_of_interest, params.interval_ms, self.roots, os.getpid(), watcher, self._limits.begin()
            )
        if watcher is not None:
            self.pidwatcher.start_with(watcher, params.pidwatcher)

    def _stop_watching(self) -> None:
        if self.pidwatcher.is_running:
            self.pidwatcher.stop()
            self.control.tick_every(0)
        self._stop_forecasting()
        self._limits.lift()
        self.policy_running = False

    def _start_forecasting(self, part: Part) -> None:
        self._forecaster = ForecastThread(forecasters.build(part, time.monotonic_ns), self.control.post)
        self._forecaster.start()
        self.control.forecast_with(self._forecaster)

    def _stop_forecasting(self) -> None:
        if self._forecaster is not None:
            self._forecaster.stop()
            self._forecaster = None
            self.control.forecast_with(None)

    def _start_tracking(self) -> None:
        if self.tracker is None and self.tracker_name is not None:
            self.tracker = self._build(Part(self.tracker_name, self.tracker_params))
        if self.tracker is None:
            raise MemtierdError("start tracking: no tracker is chosen")
        if self.tracker_why:
            LOG.info("%s", self.tracker_why)
        tracker = self.tracker
        scanner = Scanner(tracker, lambda scan: self._post_scan(tracker, scan), time.monotonic_ns, LOG.error)
        self._scanner = scanner
        self.control.on_targets = scanner.set_targets
        self.control.announce_targets()
        scanner.start()

    def _post_scan(self, tracker: Tracker, scan: Scan) -> None:
        self.control.post(attrs.evolve(scan, conditions=tracker.conditions()))

    def _stop_tracking(self, *, keep: bool = False) -> None:
        """Stop the scanner and close the tracker; it is built anew when it shall be kept."""
        if keep and self._scanner is None:
            return
        ended = self._scanner is None or self._scanner.stop()
        self._scanner = None
        if self.tracker is not None and ended:  # else the scanner's thread still uses it
            self.tracker.close()
        self.tracker = None
        if keep and self.tracker_name is not None:
            self.tracker = self._build(Part(self.tracker_name, self.tracker_params))

    @staticmethod
    def _chosen(name: str | None, what: str) -> str:
        if name is None:
            raise MemtierdError(f"no {what}, create one with: {what} -create NAME")
        return name


def _is_complete(params: PolicyParams) -> bool:
    """Return whether a policy that watches processes knows which, and how to track them."""
    return params.tracker is not None and any(
        getattr(params, name) is not None for name in ("pidwatcher", *params.finders)
    )


def _known(what: str, name: str, registry: Mapping[str, type[Any]]) -> type[Any]:
    """Return the params class of a part, or raise with the names that there are."""
    if name not in registry:
        raise MemtierdError(f"invalid {what} name {name!r}; there are: {', '.join(sorted(registry))}")
    return registry[name]


def _raise_file_limit() -> None:
    """Allow as many open files as the hard limit does: every managed process is held by a pidfd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
