"""The daemon: builds the parts from parameters, owns their threads, and starts and stops them in order."""

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from memtierd import check, policies, trackers, watchers
from memtierd.conditions import Held
from memtierd.control import Control
from memtierd.effective import Effective
from memtierd.errors import MemtierdError, NotConfiguredError
from memtierd.linux.numa import machine_facts
from memtierd.linux.pressure import pressure
from memtierd.linux.probe import Features, probe
from memtierd.linux.roots import ROOTS, Roots
from memtierd.model import CallReport, MachineFacts, MoveReport
from memtierd.mover import Mover, MoverParams
from memtierd.mover.host import host_kernel
from memtierd.parameters import Part, option_of
from memtierd.placement.plan import Plan
from memtierd.policies import PolicyParams
from memtierd.policies.age import AgeParams
from memtierd.policy_runner import PolicyRunner, Workers
from memtierd.reconcile import KEEP_MS, Reconciler
from memtierd.reconfiguring import Configuration, Parts
from memtierd.routines import Console, Ports, Routines
from memtierd.trackers import Tracker
from memtierd.tracking import Tracking
from memtierd.watchers import Watcher
from memtierd.watchers.base import look_up
from memtierd.watchers.selected import SelectedWatcher

if TYPE_CHECKING:
    from memtierd.config import Change, Config, ConfigFile, Edit

LOG = logging.getLogger("memtierd")
T = TypeVar("T")
_ROUTINE_TIMEOUT_S = 2
"""How long a routine waits for the control thread before it leaves out a tick."""


class Daemon:
    """Everything that runs.  All methods may be called from any thread; commands are taken one at a time."""

    def __init__(self, roots: Roots = ROOTS, *, dry_run: bool = False, features: Features | None = None) -> None:
        self.roots = roots
        self.features = probe(roots) if features is None else features
        self._lock = threading.RLock()
        machine = machine_facts(roots)
        # The table's times begin long ago, so that they can hold ages that were learned before the start.
        epoch_ns = time.monotonic_ns() - KEEP_MS * 1_000_000
        self._reconciler = Reconciler(policies.build(AgeParams()), machine.node_ids, epoch_ns)
        self._kernel = trackers.linux_kernel(
            machine, pagemap_scan=self.features.works("pagemap_scan"), clock=time.monotonic_ns, roots=roots
        )
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
        self._tracking = Tracking(self._build_tracker, self.control)
        workers = Workers(
            control=self.control,
            mover=self.mover,
            tracking=self._tracking,
            pidwatcher=self.pidwatcher,
            limits=self._kernel.limits,
            machine=self.machine,
            roots=roots,
        )
        self._policy = PolicyRunner(workers)
        if dry_run:
            self.routines.pause()
        self.configuration = Configuration(
            Parts(
                control=self.control,
                policy=self._policy,
                tracking=self._tracking,
                pidwatcher=self.pidwatcher,
                mover=self.mover,
                routines=self.routines,
                warnings=lambda policy: check.warnings(policy, self.machine(), self.features),
                lock=self._lock,
            )
        )

    def start(self) -> None:
        """Start the control thread; parts start when they are told to."""
        _raise_file_limit()
        self.control.start()

    def stop(self) -> None:
        """Stop everything, the mover after the system call under way."""
        self.routines.stop_all()  # before the lock is taken: one of their commands may hold it
        with self._lock:
            self._policy.stop()
            self._tracking.choose(None)
            self.mover.stop()
            self.control.stop()

    @property
    def dry_run(self) -> bool:
        """Return whether plans are shown and not carried out."""
        return self.control.dry_run

    def set_dry_run(self, on: bool) -> None:
        """Move nothing and run no routine from now on, or do both again; everything is observed and decided as before.

        A system call of the mover that is under way ends, and commands of the prompt that have begun.
        """
        if on == self.dry_run:
            return
        with self._lock:
            self._policy.set_dry_run(on)
        # Without the lock: a command of a routine that is stopped may wait for it.
        (self.routines.pause if on else self.routines.resume)()
        LOG.info("dry run %s", "on: nothing is moved from now on" if on else "off: what is planned is moved")

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
    def tracker_name(self) -> str | None:
        """Return the name of the tracker that was chosen, None before."""
        return self._tracking.part.name if self._tracking.part is not None else None

    @property
    def tracker_params(self) -> Any:
        """Return its parameters."""
        return self._tracking.part.params if self._tracking.part is not None else None

    @property
    def tracker_running(self) -> bool:
        """Return whether the tracker scans."""
        return self._tracking.is_running

    @property
    def tracker_why(self) -> str:
        """Return why `auto` took the tracker that it took; empty when it was asked for by name."""
        return self._tracking.why

    def create_tracker(self, name: str) -> None:
        """Choose a tracker, with default parameters.  Raises MemtierdError when it can't work here."""
        with self._lock:
            part = Part(name, _known("tracker", name, trackers.REGISTRY)())
            tracker: Tracker | None = None
            with suppress(NotConfiguredError):  # it is told when the tracker starts, unless it is configured first
                tracker = self._build_tracker(part)
            self._tracking.choose(part, tracker)

    def configure_tracker(self, params: Any) -> None:
        """Give the chosen tracker other parameters; a running one goes on with them."""
        with self._lock:
            part = Part(self._chosen(self.tracker_name, "tracker"), params)
            policy = self.configuration.effective_policy()
            if self.policy_running and policy is not None and policy.params.watches:
                self._policy.run(policy.name, attrs.evolve(policy.params, tracker=part))
            else:
                self._tracking.reconfigure(part)

    def start_tracker(self, pids: Sequence[int]) -> None:
        """Track exactly these processes.  Raises MemtierdError when one of them can't be."""
        with self._lock:
            self._chosen(self.tracker_name, "tracker")
            found = look_up(pids, self.roots, os.getpid(), typed=True)
            for pid, reason in sorted(found.left_out.items()):
                raise MemtierdError(f"track pid {pid}: it {reason}; give the pid of a running process")
            for error in found.refused:
                raise error
            self._tracking.stop()
            self._tracking.start()
            self.control.watch(found.keys)

    def stop_tracker(self) -> None:
        """Stop scanning; what was learned stays in the table."""
        with self._lock:
            self._chosen(self.tracker_name, "tracker")
            self._tracking.stop()

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

    @property
    def policy_name(self) -> str | None:
        """Return the name of the policy that was chosen, None before."""
        return self._policy.name

    @property
    def policy_params(self) -> PolicyParams | None:
        """Return its parameters, None before it was configured."""
        return self._policy.params

    @property
    def policy_running(self) -> bool:
        """Return whether it runs."""
        return self._policy.is_running

    def create_policy(self, name: str) -> None:
        """Choose a policy; one that watches processes needs a configuration before it can start."""
        with self._lock:
            params = _known("policy", name, policies.REGISTRY)
            self._policy.choose(name, None if params.watches else params())

    def configure_policy(self, params: PolicyParams) -> None:
        """Give the chosen policy its parameters; a running one goes on with them and keeps what was learned."""
        with self._lock:
            name = self._chosen(self.policy_name, "policy")
            if self.policy_running:
                self._policy.run(name, params)
            else:
                self._policy.params = params

    def start_policy(self) -> None:
        """Watch, track and decide by the chosen policy; moves only when this is no dry run."""
        with self._lock:
            self._policy.run(self._chosen(self.policy_name, "policy"), self.policy_params)

    def stop_policy(self) -> None:
        """Stop watching, tracking and deciding; the mover drops what the policy planned."""
        with self._lock:
            self._chosen(self.policy_name, "policy")
            self._policy.stop()

    def configure_mover(self, params: MoverParams) -> None:
        """Give the mover other parameters, also as those of the running policy, which plans as far as it can move."""
        with self._lock:
            policy = self.configuration.effective_policy()
            if self.policy_running and policy is not None:
                self._policy.run(policy.name, attrs.evolve(policy.params, mover=params))
            else:
                self.mover.reconfigure(params)

    # everything at once

    @property
    def config_file(self) -> "ConfigFile | None":
        """Return the configuration file as it was loaded last."""
        return self.configuration.file

    def effective(self) -> Effective:
        """Return what is set up to run, with the parameters that are in force."""
        return self.configuration.effective()

    def apply(self, wanted: "Config | Effective", *, start: bool = True) -> "list[Change]":
        """Change over to a configuration; see Configuration.apply."""
        return self.configuration.apply(wanted, start=start)

    def load(self, file: "ConfigFile") -> "list[Change]":
        """Change over to the configuration in a file that was read."""
        return self.configuration.load(file)

    def reload(self) -> "list[Change]":
        """Read the configuration file again and change over to it; see Configuration.reload."""
        return self.configuration.reload()

    def edit(self, edits: "Sequence[Edit]") -> "list[Change]":
        """Set single values of what is effective, checked as a whole like a file; raises what `reload` does."""
        return self.configuration.edit(edits)

    # parts

    def _build_tracker(self, part: Part) -> Tracker:
        return trackers.build(part.name, part.params, self._kernel, self.features)

    def _build_watcher(self, part: Part) -> Watcher:
        return watchers.build(part.name, part.params, self.roots, own_pid=os.getpid())

    @staticmethod
    def _chosen(name: str | None, what: str) -> str:
        if name is None:
            raise MemtierdError(f"no {what}, create one with: {what} -create NAME")
        return name


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
