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

from memtierd import policies, trackers, watchers
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
from memtierd.reconcile import Reconciler
from memtierd.routines import Console, Ports, Routines
from memtierd.text import printable
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
        self.dry_run = dry_run
        self.features = probe(roots) if features is None else features
        self._lock = threading.RLock()
        machine = machine_facts(roots)
        self._reconciler = Reconciler(policies.build(AgeParams()), machine.node_ids, time.monotonic_ns())
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
        self.config_file: ConfigFile | None = None
        """The configuration file as it was loaded last."""
        self._applying = threading.RLock()
        """One change of the configuration at a time; taken before the other lock."""
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
        self._policy = PolicyRunner(workers, dry_run=dry_run)

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
            policy = self._effective_policy()
            if self.policy_running and policy is not None and policy.params.watches:
                self._policy.run(policy.name, attrs.evolve(policy.params, tracker=part))
            else:
                self._use_tracker(part)

    def _use_tracker(self, part: Part) -> None:
        running = self._tracking.is_running
        self._tracking.choose(part, self._build_tracker(part))
        if running:
            self._tracking.start()

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
            policy = self._effective_policy()
            if self.policy_running and policy is not None:
                self._policy.run(policy.name, attrs.evolve(policy.params, mover=params))
            else:
                self.mover.reconfigure(params)

    # everything at once

    def effective(self) -> Effective:
        """Return what is set up to run, with the parameters that are in force."""
        with self._lock:
            policy, own, loose = self._effective_policy(), self.policy_params, self.pidwatcher
            pidwatcher = Part(loose.name, loose.params) if loose.name is not None else None
            tracker, mover = self._tracking.part, self.mover.params
            return Effective(
                policy=policy,
                routines=tuple(Part(one.name, one.params) for one in self.routines.views() if one.params is not None),
                tracker=None if own is not None and own.tracker == tracker else tracker,
                pidwatcher=None if own is not None and own.pidwatcher == pidwatcher else pidwatcher,
                mover=None if policy is not None and getattr(policy.params, "mover", None) == mover else mover,
            )

    def _effective_policy(self) -> Part | None:
        if self.policy_name is None:
            return None
        params = self.policy_params
        if params is not None:
            mover = self.mover.params if self.policy_running else params.mover or MoverParams()
            params = attrs.evolve(params, mover=mover)
        return Part(self.policy_name, params)

    def apply(self, wanted: "Config | Effective", *, start: bool = True) -> "list[Change]":
        """Change over to a configuration with the smallest change, and return what has changed.

        Without `start` nothing is started that does not run.  Raises MemtierdError when a part can't work here;
        everything goes on as before then.
        """
        from memtierd.config import changes  # noqa: PLC0415  reading YAML costs start-up time that few runs need

        with self._applying:
            with self._lock:
                before = self.effective()
                if isinstance(wanted, Effective):
                    self._apply_loose_parts(before, wanted)
                    after = wanted
                else:
                    after = attrs.evolve(before, policy=wanted.policy, routines=wanted.routines)
                self._apply_policy(before.policy, wanted.policy, start=start)
            # Without this lock: a command of a routine that is stopped may wait for it.
            self.routines.become(wanted.routines, start=start and not self.dry_run)
            return changes(before, after)

    def load(self, file: "ConfigFile") -> "list[Change]":
        """Change over to the configuration in a file that was read."""
        with self._applying:
            changed = self.apply(file.config)
            self.config_file = file
            return changed

    def reload(self) -> "list[Change]":
        """Read the configuration file again and change over to it.

        Raises ConfigError with everything that is wrong with it, MemtierdError when a part can't work here; all goes
        on as before then.
        """
        from memtierd.config import read_file  # noqa: PLC0415

        if self.config_file is None:
            raise MemtierdError("no configuration file was loaded; start memtierd with: memtierd -config FILE")
        began_ns = time.monotonic_ns()
        with self._applying:
            file = read_file(self.config_file.path)
            changed = self.load(file)
        _log_changes(changed)
        LOG.info("%s taken over in %.1f ms", file.path, (time.monotonic_ns() - began_ns) / 1e6)
        return changed

    def edit(self, edits: "Sequence[Edit]") -> "list[Change]":
        """Set single values of what is effective, checked as a whole like a file; raises what `reload` does."""
        from memtierd.config import with_edits  # noqa: PLC0415

        with self._applying:
            changed = self.apply(with_edits(self.effective(), edits), start=False)
        _log_changes(changed)
        return changed

    def _apply_policy(self, before: Part | None, wanted: Part | None, *, start: bool) -> None:
        runs_already = self.policy_running or not start
        if wanted is None and before is not None:
            self._policy.remove()
        if wanted is None or (wanted == before and runs_already):
            return
        if self.policy_running or start:
            self._policy.run(wanted.name, wanted.params)
        else:
            self._policy.choose(wanted.name, wanted.params)

    def _apply_loose_parts(self, before: Effective, wanted: Effective) -> None:
        """Change the parts that belong to no policy."""
        if wanted.tracker != before.tracker and wanted.tracker is not None:
            self._use_tracker(wanted.tracker)
        if wanted.pidwatcher != before.pidwatcher and wanted.pidwatcher is not None:
            if wanted.pidwatcher.name != self.pidwatcher.name:
                self.pidwatcher.select(wanted.pidwatcher.name, None)
            self.pidwatcher.configure(wanted.pidwatcher.params)
        if wanted.mover != before.mover and wanted.mover is not None:
            self.mover.reconfigure(wanted.mover)

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


def _log_changes(changed: "Sequence[Change]") -> None:
    for change in changed:
        LOG.info("configuration: %s", printable(str(change)))


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
