"""The control thread: the only one that touches the reconciler, fed by messages and by the clock."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import attrs

from memtierd import telling
from memtierd.conditions import Conditions
from memtierd.errors import MemtierdError
from memtierd.forecasters import Forecast, ForecastDesk, ForecastPort
from memtierd.linux.inbox import Inbox
from memtierd.linux.roots import Roots
from memtierd.model import CallReport, MachineFacts, MoveReport, ProcessKey, Scan
from memtierd.mover import MoverParams
from memtierd.mover.port import MoverPort, batch_of
from memtierd.placement.batches import batches, within_reach
from memtierd.placement.plan import Plan
from memtierd.placement.text import describe_plan
from memtierd.reconcile import Reconciler
from memtierd.units import MIB, PAGE_BYTES
from memtierd.watchers.poller import Membership
from memtierd.watchers.watched import Watched

LOG = logging.getLogger("memtierd")
T = TypeVar("T")
PATIENCE_S = 60.0
"""How long the daemon itself waits for the control thread; a person at the prompt gives up sooner."""
_LOOK_NS = 1_000_000_000
"""How often processes are looked at whether they have ended when the kernel tells of no end."""
_PAUSE_NS = 20_000_000
_LOOKS_PER_LOOK = 4
"""After an end those that follow are taken together: for this long, and for so many times as long as it took."""


@attrs.frozen
class _Call:
    function: Callable[[Reconciler], Any]
    answer: "Future[Any]"


@attrs.frozen
class _Told:
    function: Callable[[Reconciler], object]


@attrs.frozen
class _Counted:
    name: str
    at_ns: int
    times: int


@attrs.frozen
class _Lasting:
    source: str
    texts: tuple[str, ...]


@attrs.frozen
class _Stop:
    pass


Posted = Scan | Membership | MoveReport | CallReport | Forecast
Message = Posted | _Counted | _Lasting | _Told | _Call | _Stop


class Control:
    """Runs the loop: take in messages, and tick when it is time.

    Other threads only post.  `call` is the one way to look at the reconciler from outside.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        mover: MoverPort,
        machine: Callable[[], MachineFacts],
        clock_ns: Callable[[], int],
        roots: Roots,
        *,
        dry_run: bool,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.conditions = Conditions(clock_ns)
        self.dry_run = dry_run
        """Whether plans are shown and not carried out; to be changed by `set_dry_run`."""
        self.shows_moves = True
        """Whether a dry run logs the moves that it would make."""
        self.last_beat_ns = clock_ns()
        """When the loop last went round; it does so every second when nothing else keeps it busy."""
        self.on_targets: Callable[[tuple[ProcessKey, ...]], None] = lambda _keys: None
        """Called in the control thread with the processes to track, when they change."""
        self._reconciler = reconciler
        self._mover = mover
        self._machine = machine
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._watched = Watched(roots)
        self._inbox: Inbox[Message] = Inbox()
        self._waiting: deque[Message] = deque()
        """Taken out of the inbox during a tick, to be taken in after it."""
        self._messages_first = 0
        """How many messages are taken in before the next tick: those that came during the last one.

        Without this a tick that takes longer than its interval would let in one message at a time.
        """
        self._interval_ns = 0
        self._due_ns = 0
        self._look_due_ns = 0
        self._hears_ends = False
        """Whether the end of a process wakes the loop, which is so except in the pause after another one."""
        self._handed_over = False
        self._desk = ForecastDesk(lambda event: reconciler.statistics.event(event, clock_ns()))
        self._forecast_came = False
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    # called from any thread

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop after the messages that are waiting; no effect when it has ended."""
        if self._thread.is_alive():
            self._inbox.put(_Stop())
            self._thread.join()

    def post(self, message: Posted) -> None:
        """Give the loop something to take in."""
        self._inbox.put(message)

    def count(self, event: str, times: int = 1) -> None:
        """Count a named event so many times."""
        self._inbox.put(_Counted(event, self._clock_ns(), times))

    def hold(self, source: str, texts: Sequence[str]) -> None:
        """Take these as all lasting conditions of a source."""
        self._inbox.put(_Lasting(source, tuple(texts)))

    def call(self, function: Callable[[Reconciler], T], timeout_s: float = 10) -> T:
        """Return `function(reconciler)`, run by the loop between two messages.

        Raises MemtierdError when the loop does not begin with it in time; then it never will.
        """
        if threading.current_thread() is self._thread:
            return function(self._reconciler)
        answer: Future[T] = Future()
        self._inbox.put(_Call(function, answer))
        try:
            return answer.result(timeout_s)
        except TimeoutError:
            if not answer.cancel():
                return answer.result()  # it has begun, and so it ends
            raise MemtierdError(f"ask the control thread: no answer within {timeout_s:g} s; try again") from None

    def tell(self, function: Callable[[Reconciler], object]) -> None:
        """Let the loop run this after all that was posted before; nobody waits for it."""
        if threading.current_thread() is self._thread:
            function(self._reconciler)
        else:
            self._inbox.put(_Told(function))

    def tick_every(self, interval_ms: int) -> None:
        """Decide and plan every so many milliseconds from now on; 0: not by itself."""

        def change(_: Reconciler) -> None:
            self._interval_ns = interval_ms * 1_000_000
            self._due_ns = self._clock_ns() + self._interval_ns

        self.call(change, PATIENCE_S)

    def tick_now(self) -> Plan:
        """Decide at once and return the plan."""
        return self.call(lambda _: self._tick())

    def set_dry_run(self, on: bool) -> None:
        """Hand over nothing from now on and show every move instead, or the other way round."""

        def change(reconciler: Reconciler) -> None:
            if on != self.dry_run:
                self.dry_run = on
                reconciler.show_again()

        self.call(change, PATIENCE_S)

    def watch(self, keys: frozenset[ProcessKey]) -> None:
        """Manage exactly these processes from now on."""
        self.call(lambda _: self._take_membership(Membership(keys, ())), PATIENCE_S)

    def forecast_with(self, port: ForecastPort | None) -> None:
        """Decide by what this one forecasts from now on, None: by observed heat."""

        def change(_: Reconciler) -> None:
            self._desk.use(port)
            self.conditions.hold("forecaster", ())

        self.tell(change)

    def announce_targets(self) -> None:
        """Tell `on_targets` of the processes that are managed already."""
        self.tell(lambda _: self.on_targets(self._watched.keys))

    # the control thread

    def _run(self) -> None:
        while True:
            self.last_beat_ns = self._clock_ns()
            message = self._next_message()
            if isinstance(message, _Stop):
                self._watched.drop(frozenset(self._watched.keys))
                return
            if message is not None:
                self._messages_first -= 1
                self._guarded(partial(self._take, message))
            if self._clock_ns() >= self._look_due_ns:
                self._guarded(self._look_for_ends)
            if (self._forecast_came or self._is_due()) and (message is None or self._messages_first <= 0):
                self._guarded(self._tick_on_time)
                self._messages_first = len(self._waiting) + self._inbox.qsize()

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run one step; a bug in it is logged and counted, and the loop lives on."""
        try:
            step()
        except Exception as error:
            LOG.exception("control loop: unexpected %s; this is a bug, report it", type(error).__name__)
            self._reconciler.statistics.event(f"control error: {type(error).__name__}", self._clock_ns())

    def _is_due(self) -> bool:
        return bool(self._interval_ns) and self._clock_ns() >= self._due_ns

    def _wait_s(self) -> float:
        due_ns = min(self._look_due_ns, self._due_ns) if self._interval_ns else self._look_due_ns
        return max(0.0, (due_ns - self._clock_ns()) / 1e9)

    def _look_for_ends(self) -> None:
        began_ns = self._clock_ns()
        self._look_due_ns, self._hears_ends = began_ns + _LOOK_NS, False
        self.conditions.settle()
        before = self._watched.keys
        over = self._watched.take_ended()
        self._hears_ends = not over
        if over:
            self._forget(over)
            self._announce(before)
            now_ns = self._clock_ns()
            self._look_due_ns = now_ns + max(_PAUSE_NS, _LOOKS_PER_LOOK * (now_ns - began_ns))

    def _tick_on_time(self) -> None:
        """Decide, if no forecast is asked for first: then decide when it comes."""
        if self._forecast_came:
            self._forecast_came = False
            self._tick()
            return
        self._due_ns = max(self._due_ns + self._interval_ns, self._clock_ns())
        self._look_for_ends()
        reconciler = self._reconciler
        now_ms = reconciler.at_ms(self._clock_ns())
        if not self._desk.asks(reconciler.table, reconciler.processes, now_ms, self._wall_ns()):
            self._tick()

    def _take(self, message: Message) -> None:
        match message:
            case Scan():
                self._take_scan(message)
            case Membership():
                self._take_membership(message)
            case MoveReport():
                self._reconciler.report(message, self._clock_ns())
            case CallReport():
                self._reconciler.statistics.call(message)
            case Forecast():
                self._forecast_came |= self._desk.takes(message)
            case _Counted(name, at_ns, times):
                self._reconciler.statistics.event(name, at_ns, times)
            case _Lasting(source, texts):
                self.conditions.hold(source, texts)
            case _Told(function):
                function(self._reconciler)
            case _Call(function, answer):
                _answer(answer, lambda: function(self._reconciler))

    def _take_scan(self, scan: Scan) -> None:
        """Take in a round, without the processes that have left meanwhile."""
        watched = frozenset(self._watched.keys)
        kept = tuple(process for process in scan.processes if process.key in watched)
        self._reconciler.observe(attrs.evolve(scan, processes=kept))
        self._drop(frozenset(scan.gone))
        self.conditions.hold("scan", {*scan.conditions, *telling.failures(scan)})

    def _take_membership(self, membership: Membership) -> None:
        before = self._watched.keys
        left, problems = self._watched.become(membership.keys)
        self._forget(left)
        self.conditions.hold("pidwatcher", {*membership.conditions, *problems})
        self._announce(before)

    def _drop(self, keys: frozenset[ProcessKey]) -> None:
        before = self._watched.keys
        self._forget(self._watched.drop(keys))
        self._announce(before)

    def _forget(self, keys: frozenset[ProcessKey]) -> None:
        self._reconciler.forget(keys, self._clock_ns())
        for key in keys:
            self._mover.forget(key)

    def _announce(self, before: tuple[ProcessKey, ...]) -> None:
        now = self._watched.keys
        if now == before:
            return
        telling.log_processes("tracking", set(now) - set(before))
        telling.log_processes("no longer tracking", set(before) - set(now))
        self.on_targets(now)

    def _tick(self) -> Plan:
        """Take back what the mover has not begun, decide on everything anew, and hand the new plan over."""
        began_ns = self._clock_ns()
        if self._handed_over:
            self._mover.replace(())
            self._take_reports()
        machine, unknown = telling.known_nodes(self._machine(), self._reconciler.node_ids)
        heat = self._desk.column(self._reconciler.table, self._reconciler.processes, self._reconciler.policy.heat)
        plan = self._reconciler.decide(self._clock_ns(), machine, heat)
        self.conditions.hold("forecaster", self._desk.problems)
        self.conditions.hold("nodes", unknown)
        self.conditions.hold("policy", self._reconciler.policy.conditions)
        self.conditions.hold("guards", self._reconciler.guards.conditions)
        self.conditions.hold("plan", telling.obstacles(self._reconciler))
        self.conditions.hold("mover", self._mover.conditions())
        if self.dry_run:
            self._show(plan.intended, "would move", logging.INFO)
        else:
            self._hand_over(plan.moves)
        ended_ns = self._clock_ns()
        self._reconciler.statistics.totals.ticks.add(ended_ns - began_ns, ended_ns)
        return plan

    def _take_reports(self) -> None:
        """Take in the reports that are waiting, so that what was taken back counts in this tick.

        Everything else waits in its order until the tick is over: it could want a tick itself.
        """
        for _ in range(self._inbox.qsize()):
            message = self._inbox.get()
            if isinstance(message, MoveReport | CallReport):
                self._take(message)
            else:
                self._waiting.append(message)

    def _next_message(self) -> Message | None:
        """Return the next message, None when none has come in time."""
        if self._waiting:
            return self._waiting.popleft()
        message, has_end = self._inbox.wait(self._wait_s(), self._watched.fileno() if self._hears_ends else None)
        if has_end:
            self._look_due_ns = self._clock_ns()
        return message

    def _hand_over(self, moves: Plan) -> None:
        """Queue what the mover can do until the tick after the next; the rest is planned again then."""
        params = self._reconciler.policy.params
        bandwidth = (params.mover or MoverParams()).bandwidth
        reach = moves.choose(slice(0, within_reach(moves, bandwidth, params.interval_ms)))
        self._handed_over = bool(len(reach))
        if not len(reach):
            return
        LOG.info("moving %s", describe_plan(reach))
        self._show(reach, "move", logging.DEBUG)
        limit_pages = params.batch_mb * MIB // PAGE_BYTES
        facts = self._reconciler.processes.facts
        pieces = [
            batch_of(reach, entries, facts(int(reach.process[entries[0]])).key)
            for entries in batches(reach, limit_pages)
        ]
        self._reconciler.enqueue(reach.row, self._clock_ns())
        self._mover.replace(pieces)

    def _show(self, moves: Plan, verb: str, level: int) -> None:
        """Log every move of the plan that was not logged yet."""
        if self.shows_moves and LOG.isEnabledFor(level):
            telling.log_moves(level, verb, self._reconciler.unshown(moves), self._reconciler)


def _answer(answer: "Future[Any]", ask: Callable[[], Any]) -> None:
    """Give a caller the result or the exception of what it asked for, if it still waits for it."""
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(ask())
    except Exception as error:  # noqa: BLE001  it is the caller's
        answer.set_exception(error)
