"""What a service manager is told: the control loop is alive, what the daemon does, and that it reloads."""

import faulthandler
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import attrs

from memtierd.conditions import Held
from memtierd.errors import MemtierdError
from memtierd.linux.sd_notify import Notifier
from memtierd.placement.text import describe_plan
from memtierd.reconcile import Reconciler

LOG = logging.getLogger("memtierd")
T = TypeVar("T")
_STATUS_INTERVAL_S = 5.0
_CHECKS = 4
"""How often within the watchdog's interval the loop is looked at; systemd wants to hear of it twice."""
_PATIENCE_S = 1.0
"""How long the control loop may take to tell its status; a loop that is busy tells it next time."""


class Beating(Protocol):
    """What is needed of the control loop."""

    last_beat_ns: int
    """When it last began a turn, by the monotonic clock; it does so every second at least, when it is not busy."""


class Supervised(Protocol):
    """What is needed of the daemon."""

    @property
    def control(self) -> Beating:
        """Return the control loop."""

    @property
    def dry_run(self) -> bool:
        """Return whether nothing is moved."""

    @property
    def policy_name(self) -> str | None:
        """Return the name of the policy that was chosen."""

    @property
    def policy_running(self) -> bool:
        """Return whether it runs."""

    def call(self, function: Callable[[Reconciler], T], timeout_s: float) -> T:
        """Return `function(reconciler)`, run by the control loop.  Raises MemtierdError when it takes too long."""

    def conditions(self) -> tuple[Held, ...]:
        """Return what keeps the daemon from doing all it should."""


@attrs.frozen(kw_only=True)
class Facts:
    """What the status line tells."""

    policy: str
    """Its name; empty when none runs."""
    dry_run: bool
    processes: int
    regions: int
    plan: str
    """The last plan in words; empty when there is nothing to move."""
    problems: tuple[str, ...]
    """What is wrong with the configuration file."""


def status_line(facts: Facts) -> str:
    """Return the line of `systemctl status`; what an operator has to mend comes first."""
    parts = []
    if facts.problems:
        more = f" (and {len(facts.problems) - 1} more)" if len(facts.problems) > 1 else ""
        parts.append(f"configuration error: {facts.problems[0]}{more}")
    policy = f"policy {facts.policy}" if facts.policy else "no policy"
    counts = f"{_count(facts.processes, 'process', 'es')}, {_count(facts.regions, 'region', 's')}"
    parts.append(f"{policy}{' (dry run)' if facts.dry_run else ''}, {counts}")
    parts.append(f"plan: {facts.plan or 'nothing to move'}")
    return "; ".join(parts)


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"


class Pulse:
    """Whether the control loop has turned since it was last asked about."""

    def __init__(self, now_ns: int) -> None:
        self._seen_ns = 0
        self._alive_ns = now_ns
        """When it was last found to have turned."""

    def has_beaten(self, last_beat_ns: int, now_ns: int) -> bool:
        """Return whether there is a beat that was not seen before."""
        if last_beat_ns <= self._seen_ns:
            return False
        self._seen_ns, self._alive_ns = last_beat_ns, now_ns
        return True

    def silent_s(self, now_ns: int) -> float:
        """Return for how long there was none."""
        return (now_ns - self._alive_ns) / 1e9


class Supervision:
    """Tells systemd that the service is ready, alive, reloading and stopping; does nothing where nobody listens.

    The watchdog is fed by the control loop: without a new beat nothing is sent, and systemd restarts the service
    after `interval_s`, what it wants to hear within (None: it does not watch).  A listener of reloads, too.
    """

    def __init__(
        self,
        notifier: Notifier,
        daemon: Supervised,
        *,
        interval_s: float | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._notifier = notifier
        self._daemon = daemon
        self._interval_s = interval_s
        self._clock_ns = clock_ns
        self._pulse = Pulse(clock_ns())
        self._is_silent = False
        self._shown = ""
        self._status_due_ns = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Say that the service is ready, and begin to tell of it."""
        if self._thread is not None or not self._notifier.is_active:
            return
        if self._interval_s is not None:
            faulthandler.enable()  # the watchdog ends the process with SIGABRT: say then where each thread was
        self._shown = self._status()
        self._notifier.ready(self._shown)
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="supervision", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Say that the service stops; from then on systemd waits for its end, not for signs of life."""
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        self._thread = None
        self._notifier.stopping("stopping")

    def began(self) -> None:
        """Say that a reload has begun.  Each has to end, also one that changes nothing: systemd waits for it."""
        self._notifier.reloading(self._clock_ns())

    def ended(self, summary: str) -> None:
        """Say that the reload is over, and what came of it."""
        self._notifier.ready(summary)
        self._shown = summary

    def look(self) -> None:
        """Tell what there is to tell now; the thread does this several times within the watchdog's interval."""
        now_ns = self._clock_ns()
        if self._interval_s is not None:
            self._feed(self._interval_s, now_ns)
        if now_ns >= self._status_due_ns:
            self._status_due_ns = now_ns + round(_STATUS_INTERVAL_S * 1e9)
            self._show(self._status())

    def _run(self) -> None:
        while not self._ended.wait(self._period_s()):
            self.look()

    def _period_s(self) -> float:
        return min(_STATUS_INTERVAL_S, (self._interval_s or _STATUS_INTERVAL_S * _CHECKS) / _CHECKS)

    def _feed(self, interval_s: float, now_ns: int) -> None:
        if self._pulse.has_beaten(self._daemon.control.last_beat_ns, now_ns):
            if self._is_silent:
                LOG.info("control loop: it turns again")
            self._is_silent = False
            self._notifier.watchdog()
        elif not self._is_silent and self._pulse.silent_s(now_ns) > interval_s / 2:
            self._is_silent = True
            LOG.warning(
                "control loop: it has not turned for %.0f s; systemd restarts memtierd after %.0f s",
                self._pulse.silent_s(now_ns),
                interval_s,
            )

    def _show(self, status: str) -> None:
        if status != self._shown:
            self._shown = status
            self._notifier.status(status)

    def _status(self) -> str:
        try:
            return status_line(self._facts())
        except MemtierdError as error:
            return str(error)

    def _facts(self) -> Facts:
        daemon = self._daemon

        def counts(reconciler: Reconciler) -> tuple[int, int, str]:
            plan = describe_plan(reconciler.plan) if len(reconciler.plan) else ""
            return len(reconciler.processes), len(reconciler.table), plan

        processes, regions, plan = daemon.call(counts, _PATIENCE_S)
        return Facts(
            policy=(daemon.policy_name or "") if daemon.policy_running else "",
            dry_run=daemon.dry_run,
            processes=processes,
            regions=regions,
            plan=plan,
            problems=tuple(held.text for held in daemon.conditions() if held.source == "configuration"),
        )
