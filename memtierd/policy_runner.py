"""The policy that runs: starts it with its parts, stops it, and changes over to another without losing anything."""

import os
import time
from collections.abc import Callable

import attrs

from memtierd import forecasters, policies, watchers
from memtierd.control import PATIENCE_S, Control
from memtierd.errors import MemtierdError
from memtierd.forecasters import ForecastThread
from memtierd.linux.roots import Roots
from memtierd.model import MachineFacts
from memtierd.mover import Mover, MoverParams
from memtierd.parameters import Part
from memtierd.policies import Policy, PolicyParams
from memtierd.policies.common import decide_alike
from memtierd.reconcile import Reconciler
from memtierd.trackers.limits import Limits
from memtierd.tracking import Tracking
from memtierd.watchers import Watcher
from memtierd.watchers.pages_of_interest import PagesOfInterestWatcher
from memtierd.watchers.poller import Membership
from memtierd.watchers.selected import SelectedWatcher

_MOVER_PATIENCE_S = 0.2
"""How long a change waits for the end of the system call with which the mover is busy."""


@attrs.frozen(eq=False, kw_only=True)
class Workers:
    """What a policy works with; they are there without one, too."""

    control: Control
    mover: Mover
    tracking: Tracking
    pidwatcher: SelectedWatcher
    limits: Limits
    machine: Callable[[], MachineFacts]
    roots: Roots


@attrs.frozen
class _Watching:
    """Everything on which it depends how processes are found."""

    part: Part | None
    pages_of_interest: str | None
    interval_ms: int
    """How often pages of interest are looked for; 0 without such."""


class PolicyRunner:
    """Runs at most one policy.  Called from one thread at a time."""

    def __init__(self, workers: Workers) -> None:
        self.name: str | None = None
        self.params: PolicyParams | None = None
        """None before it was configured, when it needs to be."""
        self.is_running = False
        self._workers = workers
        self._watching: _Watching | None = None
        """What the policy's pidwatcher was made for, None when there is none."""
        self._forecasting: Part | None = None
        self._forecaster: ForecastThread | None = None

    def choose(self, name: str, params: PolicyParams | None) -> None:
        """Use another policy, which does not run; what is tracked is tracked on."""
        self._stop_deciding()
        self.name, self.params = name, params

    def run(self, name: str, params: PolicyParams | None) -> None:
        """Let this policy run in place of what runs; what both have goes on undisturbed, and nothing learned is lost.

        Everything that may be refused comes first, the control thread that is too busy to change over as the last:
        MemtierdError is raised, and nothing has changed.
        """
        if params is None or (params.watches and not _is_complete(params)):
            raise MemtierdError(f"start policy {name}: it has no configuration; give one with: policy -config CONFIG")
        tracking = self._workers.tracking
        watching, is_fresh = _watching_by(params), self._watching is None
        finds_alike = not is_fresh and watching == self._watching
        watcher = None if finds_alike or watching is None else self._watcher_for(watching)
        tracks_alike = tracking.is_running and params.tracker == tracking.part
        tracker = None if tracks_alike or params.tracker is None else tracking.build(params.tracker)
        try:
            self._change_over(params)
        except MemtierdError:
            if tracker is not None:
                tracker.close()
            raise
        if not finds_alike:
            self._stop_watching()
        if tracker is not None:
            tracking.choose(params.tracker, tracker)
        if watching is None:
            self._workers.limits.lift()
            tracking.stop()
        else:
            self._observe(watching, watcher, is_fresh=is_fresh)
        self.name, self.params, self.is_running = name, params, True

    def set_dry_run(self, on: bool) -> None:
        """Move nothing from now on, or what is planned; the mover drops what it has not begun."""
        self._workers.control.set_dry_run(on)
        if on:
            self._workers.mover.stop()
        elif self._watching is not None:
            self._start_mover()

    def _start_mover(self) -> None:
        if not self._workers.control.dry_run:
            self._workers.mover.start()

    def stop(self) -> None:
        """Stop watching, tracking and deciding; the mover drops what the policy planned."""
        self._stop_deciding()
        self._workers.tracking.stop()
        self._workers.mover.replace(())

    def remove(self) -> None:
        """Stop the policy and forget it, its parts and its processes."""
        self.stop()
        self._workers.tracking.choose(None)
        self._workers.pidwatcher.forget()
        self._workers.control.post(Membership(frozenset(), ()))
        self.name = self.params = None

    def _change_over(self, params: PolicyParams) -> None:
        """Decide by other parameters, and by what another forecaster says, from the next moment on.

        Raises MemtierdError when the control thread is too busy; nothing has changed then.
        """
        policy = policies.build(params).adapt(self._workers.machine())
        part: Part | None = getattr(params, "forecaster", None)
        forecaster = self._forecaster if part == self._forecasting else self._forecaster_for(part)
        self._take_back_moves(params)
        try:
            self._workers.control.call(lambda reconciler: self._decide_by(policy, forecaster, reconciler), PATIENCE_S)
        except MemtierdError:
            if forecaster is not None and forecaster is not self._forecaster:
                forecaster.stop()
            raise
        self._forecast_with(part, forecaster)

    def _decide_by(self, policy: Policy, forecaster: ForecastThread | None, reconciler: Reconciler) -> None:
        """Change over between two ticks of the control thread; what is to be decided anew is so at once."""
        control, mover = self._workers.control, self._workers.mover
        is_new = reconciler.set_policy(policy)
        if forecaster is not self._forecaster:
            control.forecast_with(forecaster)
        mover.reconfigure(policy.params.mover or MoverParams())
        interval_ms = _interval_ms(policy.params)
        if not self.is_running or interval_ms != _interval_ms(self.params):
            control.tick_every(interval_ms)
        if self.is_running and policy.params.watches and is_new:
            control.tick_now()

    def _take_back_moves(self, params: PolicyParams) -> None:
        """Let the mover end what the policy before has planned, unless the next one decides alike.

        The control thread hears of all that was taken back before it decides anew, if the system call under way
        ends in time; what comes later is planned again at the next tick.
        """
        if self.is_running and self.params is not None and decide_alike(params, self.params):
            return
        self._workers.mover.replace(())
        self._workers.mover.wait(_MOVER_PATIENCE_S)

    def _observe(self, watching: _Watching, watcher: Watcher | None, *, is_fresh: bool) -> None:
        """Start what does not run yet."""
        if is_fresh:
            self._start_mover()
        if self._watching is None:  # before the tracker: it limits what is tracked
            self._watch(watching, watcher, is_fresh=is_fresh)
        self._workers.tracking.start()

    def _watch(self, watching: _Watching, watcher: Watcher | None, *, is_fresh: bool) -> None:
        limits, directory = self._workers.limits, watching.pages_of_interest
        if directory is None:
            limits.lift()
        else:
            # What a running policy tracks is tracked until the first poll: a scan without it would forget it.
            tell = limits.begin(keep=not is_fresh)
            roots, interval_ms = self._workers.roots, watching.interval_ms
            watcher = PagesOfInterestWatcher(directory, interval_ms, roots, os.getpid(), watcher, tell)
        if watcher is not None:
            self._workers.pidwatcher.start_with(watcher, watching.part)
        self._watching = watching

    def _watcher_for(self, watching: _Watching) -> Watcher | None:
        part = watching.part
        return watchers.build(part.name, part.params, self._workers.roots, own_pid=os.getpid()) if part else None

    def _stop_watching(self) -> None:
        self._workers.pidwatcher.stop()
        self._watching = None

    def _stop_deciding(self) -> None:
        if self.is_running:
            self._workers.control.tick_every(0)
        self._stop_watching()
        self._workers.limits.lift()
        self._workers.control.forecast_with(None)
        self._forecast_with(None, None)
        self.is_running = False

    def _forecaster_for(self, part: Part | None) -> ForecastThread | None:
        """Return the thread that asks the forecaster of a part, started."""
        if part is None:
            return None
        thread = ForecastThread(forecasters.build(part, time.monotonic_ns), self._workers.control.post)
        thread.start()
        return thread

    def _forecast_with(self, part: Part | None, forecaster: ForecastThread | None) -> None:
        """Keep the forecaster that is asked now, and end the one that was asked before."""
        before, self._forecaster, self._forecasting = self._forecaster, forecaster, part
        if before is not None and before is not forecaster:
            before.stop()


def _interval_ms(params: PolicyParams | None) -> int:
    """Return how often the policy decides, 0: never."""
    return params.interval_ms if params is not None and params.watches else 0


def _watching_by(params: PolicyParams) -> _Watching | None:
    if not params.watches:
        return None
    directory = params.pages_of_interest
    return _Watching(params.pidwatcher, directory, params.interval_ms if directory is not None else 0)


def _is_complete(params: PolicyParams) -> bool:
    """Return whether a policy that watches processes knows which, and how to track them."""
    return params.tracker is not None and any(
        getattr(params, name) is not None for name in ("pidwatcher", *params.finders)
    )
