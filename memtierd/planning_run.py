"""Observing for a while as a dry run, to print the plan and end."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import attrs
import numpy as np

from memtierd.conditions import Held
from memtierd.errors import MemtierdError
from memtierd.placement.plan import Plan
from memtierd.policies import PolicyParams
from memtierd.prompt.output import Writer
from memtierd.prompt.plan_report import Report, report_on, write_report
from memtierd.reconcile import Reconciler
from memtierd.regions.history import is_judged
from memtierd.text import printable
from memtierd.units import PAGE_BYTES, format_bytes

T = TypeVar("T")
DEFAULT_S = 30.0
_LOOK_S = 0.2
_PATIENCE_S = 60.0
_ROUNDS = 2
"""Rounds of the tracker that it takes at least: the first one only begins to observe."""
_EXTRA_S = 30.0
"""How much longer than that the first rounds may take."""
_DURATIONS = (("idle_duration_ms", "idle_numas"), ("active_duration_ms", "active_numas"), ("swap_out_ms", "swap"))
"""Parameters of policies that say how long something must last before memory is to go where the second says."""


class DaemonPort(Protocol):
    """What it needs of the daemon, which runs and is a dry run."""

    @property
    def control(self) -> Any:
        """Return the control loop; its `shows_moves` is set."""

    @property
    def dry_run(self) -> bool:
        """Return whether nothing is moved."""

    @property
    def mover(self) -> Any:
        """Return the mover: its bandwidth counts."""

    @property
    def policy_params(self) -> PolicyParams | None:
        """Return the parameters of the policy."""

    @property
    def policy_running(self) -> bool:
        """Return whether it runs."""

    @property
    def tracker_name(self) -> str | None:
        """Return the name of the tracker."""

    def call(self, function: Callable[[Reconciler], T], timeout_s: float = 10) -> T:
        """Return `function(reconciler)`, run by the control thread."""

    def tick_now(self) -> Plan:
        """Decide at once and return the plan."""

    def conditions(self) -> tuple[Held, ...]:
        """Return what keeps the daemon from doing all it should."""


@attrs.frozen
class Progress:
    """How far the observation has come."""

    rounds: int
    """Rounds of the tracker that were taken in."""
    processes: int
    judged: int
    """Processes of which a scan could tell what is used."""


def run(
    daemon: DaemonPort,
    out: Writer,
    for_s: float = DEFAULT_S,
    style: str = "txt",
    clock_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Observe for so many seconds, or until SIGINT, print the plan in a format of the prompt, and return 0.

    It takes longer when the tracker has not scanned twice by then.  Raises MemtierdError when there is no policy
    that watches processes, or the daemon is no dry run.
    """
    params = daemon.policy_params
    if not daemon.dry_run:
        raise MemtierdError("plan: memory would be moved meanwhile; this needs a dry run")
    if not daemon.policy_running or params is None or not params.watches:
        raise MemtierdError("plan: the configuration has no policy that manages processes")
    daemon.control.shows_moves = False  # the plan will show them
    began_ns = clock_ns()
    with contextlib.suppress(KeyboardInterrupt):  # what is known by then is wanted
        _observe(daemon, params, for_s, clock_ns, sleep)
    daemon.tick_now()
    observed_s = (clock_ns() - began_ns) / 1e9
    write_report(out, _report(daemon, params, observed_s), style)
    return 0


def _observe(
    daemon: DaemonPort,
    params: PolicyParams,
    for_s: float,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], None],
) -> None:
    until_ns = clock_ns() + round(for_s * 1e9)
    latest_ns = until_ns + round((_EXTRA_S + _ROUNDS * scan_interval_s(params)) * 1e9)
    while (now_ns := clock_ns()) < latest_ns:
        if now_ns >= until_ns and is_enough(daemon.call(_progress, _PATIENCE_S)):
            return
        left_s = (until_ns - now_ns) / 1e9
        sleep(min(left_s, _LOOK_S) if left_s > 0 else _LOOK_S)


def is_enough(progress: Progress) -> bool:
    """Return whether there is something to decide by."""
    return progress.rounds >= _ROUNDS and (progress.judged > 0 or not progress.processes)


def scan_interval_s(params: PolicyParams) -> float:
    """Return how long the policy's tracker takes for a round; of several together, the slowest."""
    tracker = params.tracker
    parts = getattr(tracker.params, "trackers", (tracker,)) if tracker is not None else ()
    intervals = [getattr(part.params, "scan_interval_ms", 0) for part in parts]
    return max(intervals, default=0) / 1000


def _progress(reconciler: Reconciler) -> Progress:
    table = reconciler.table
    judged = np.unique(table.process[is_judged(table.flags)])
    events = reconciler.statistics.events.items()
    rounds = [event.count for name, event in events if name.startswith("tracker.") and name.endswith(".scan")]
    return Progress(sum(rounds), len(reconciler.processes), len(judged))


def _report(daemon: DaemonPort, params: PolicyParams, observed_s: float) -> Report:
    bandwidth = daemon.mover.params.bandwidth
    found = daemon.call(lambda reconciler: report_on(reconciler, bandwidth), _PATIENCE_S)
    return attrs.evolve(
        found,
        tracker=daemon.tracker_name or "",
        is_dry_run=True,
        observed_s=observed_s,
        notes=(
            *notes(found, params, observed_s),
            *(printable(held.text) for held in daemon.conditions() if held.source != "plan"),  # the plan has these
        ),
    )


def notes(report: Report, params: PolicyParams, observed_s: float) -> Iterator[str]:
    """Yield what keeps the plan from telling all: who was not found, not observed for long enough, or not judged."""
    if not report.shown.processes:
        yield "no process was found to manage"
    for name, place in _DURATIONS:
        duration_ms = getattr(params, name, 0)
        has_place = getattr(params, place, True)  # without nodes memory goes nowhere, however long it is observed
        if has_place and duration_ms > observed_s * 1000:
            key, target = name.replace("_", ""), place.replace("_", "")
            yield (
                f"{key} is {duration_ms / 1000:g} s, longer than was observed: nothing can be due for {target} yet;"
                f" take -for {duration_ms // 1000 + 1 + round(2 * scan_interval_s(params))}s or more"
            )
    if report.totals.undecided:
        undecided = format_bytes(report.totals.undecided * PAGE_BYTES)
        yield f"{undecided} could not be judged: no scan could tell yet whether it is used"
