"""Guards that do no harm: demotion pauses under pressure, and when what was demoted comes back too soon."""

from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import I64, SWAP_NODE, U8, U64, Pressure, Stall
from memtierd.placement.damping import Damping
from memtierd.placement.plan import Direction, Obstacle, Plan
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams, PolicyParams
from memtierd.regions.lifecycle import QUEUED, UNSEEN
from memtierd.regions.table import RegionTable

_SYSTEM, _REGIONS = "system", "regions"
_REFAULT, _DAMPING = "maxrefault", "maxrefault.damping"
_NS_PER_MS = 1_000_000


@attrs.frozen
class GuardState:
    """How a guard stands; what `stats -t guards` shows."""

    guard: str
    """"maxpressure.memory", "maxpressure.io", "maxrefault", or "maxrefault.damping"."""
    scope: str
    """"system", the directory of a control group, or "regions" for damping."""
    is_paused: bool = False
    """Demotion is held back now."""
    percent: float | None = None
    """As measured last; None: it can't be told, or is no portion."""
    max_percent: float | None = None
    since_ns: int | None = None
    """When it came to be paused or not paused as it is; None: it was never otherwise."""
    pauses: int = 0
    """How often it began to hold back; for damping, how often a region came back soon."""
    above_ns: int = 0
    """When the limit was last exceeded."""
    held_regions: int = 0
    """Regions that guards of its kind, whatever their scope, kept from being demoted in the latest plan."""

    def judged(self, percent: float | None, max_percent: float, resume_ns: int, now_ns: int) -> "GuardState":
        """Return the state after a measurement: paused above the limit, and until it was kept for `resume_ns`."""
        is_above = percent is not None and percent > max_percent
        above_ns = now_ns if is_above else self.above_ns
        lasts = self.is_paused and percent is not None and now_ns - above_ns < resume_ns
        measured = attrs.evolve(self, percent=percent, max_percent=max_percent, above_ns=above_ns)
        return measured.turned(is_above or lasts, now_ns)

    def turned(self, is_paused: bool, now_ns: int) -> "GuardState":
        """Return the state when it is paused or not paused from now on."""
        if is_paused == self.is_paused:
            return self
        return attrs.evolve(self, is_paused=is_paused, since_ns=now_ns, pauses=self.pauses + is_paused)


class Guards:
    """The state of all guards.  Times in nanoseconds are the monotonic clock's, in milliseconds the region table's."""

    def __init__(self) -> None:
        self._damping = Damping()
        self._states: dict[tuple[str, str], GuardState] = {}
        self._groups: dict[str, frozenset[int]] = {}
        self._problems: tuple[str, ...] = ()

    @property
    def states(self) -> tuple[GuardState, ...]:
        """Return the state of every guard that is on."""
        return tuple(self._states.values())

    @property
    def conditions(self) -> tuple[str, ...]:
        """Return lasting conditions worth a warning: what is paused, and what can't be guarded."""
        paused = (state for state in self.states if state.is_paused and state.guard != _DAMPING)
        return (*self._problems, *map(_sentence, paused))

    # before the plan

    def judge(self, params: PolicyParams, pressure: Pressure | None, now_ns: int, now_ms: int) -> None:
        """Take in what was measured, and turn guards on and off as the parameters say."""
        states: dict[tuple[str, str], GuardState] = {}
        self._problems, self._groups = (), {}
        if params.max_pressure is not None and pressure is not None:
            self._problems = pressure.problems
            self._groups = {group.directory: group.pids for group in pressure.groups}
            for state in self._under_pressure(params.max_pressure, pressure, now_ns):
                states[state.guard, state.scope] = state
        if params.max_refault is None:
            self._damping.clear()
        else:
            percent = self._damping.percent(params.max_refault, now_ms)
            refault = self._state(_REFAULT, _SYSTEM).judged(percent, params.max_refault.percent, 0, now_ns)
            damping = self._state(_DAMPING, _REGIONS)
            states |= {(state.guard, state.scope): state for state in (refault, damping)}
        self._states = states

    def _under_pressure(self, limits: MaxPressureParams, pressure: Pressure, now_ns: int) -> Iterator[GuardState]:
        stalls = {_SYSTEM: pressure.system} | {group.directory: group.stall for group in pressure.groups}
        for scope, stall in stalls.items():
            for name, percent, most in _measured(stall, limits):
                state = self._state(f"maxpressure.{name}", scope)
                yield state.judged(percent, most, limits.resume_ms * _NS_PER_MS, now_ns)

    def _state(self, guard: str, scope: str) -> GuardState:
        return self._states.get((guard, scope), GuardState(guard, scope))

    def obstacles(self, table: RegionTable, rows: I64, pids: U64, now_ms: int) -> U8:
        """Return for table rows, ascending, the obstacle that a guard puts in the way of their demotion, or NONE.

        `pids` has the pid of every process row.
        """
        obstacles = np.zeros(len(table), np.uint8)
        obstacles[self._damping.damped(table, now_ms)] = Obstacle.DAMPED
        if self._state(_REFAULT, _SYSTEM).is_paused:
            obstacles[:] = Obstacle.REFAULT
        paused = {state.scope for state in self.states if state.is_paused and state.guard.startswith("maxpressure.")}
        if _SYSTEM in paused:
            obstacles[:] = Obstacle.PRESSURE
        elif paused:
            members = np.array([pid for scope in paused for pid in self._groups[scope]], np.uint64)
            obstacles[np.isin(pids, members)[table.process]] = Obstacle.PRESSURE
        return obstacles[rows]

    # after the plan

    def learn(self, params: MaxRefaultParams | None, plan: Plan, table: RegionTable, now_ns: int, now_ms: int) -> None:
        """Take in what a new plan tells: what is wanted back, and what the guards held."""
        if params is not None:
            wanted_back = np.zeros(len(table), np.bool_)
            wanted_back[plan.row[plan.direction == Direction.PROMOTION]] = True
            seen = (table.placement != UNSEEN) & (table.placement != QUEUED)
            self._damping.learn(table, wanted_back, seen, params, now_ms)
            self._count_damped(table, now_ns, now_ms)
        held = np.bincount(plan.obstacle, minlength=len(Obstacle)).tolist()
        self._states = {
            key: attrs.evolve(state, held_regions=held[_OBSTACLE_OF[state.guard]] if state.is_paused else 0)
            for key, state in self._states.items()
        }

    def _count_damped(self, table: RegionTable, now_ns: int, now_ms: int) -> None:
        key = _DAMPING, _REGIONS
        turned = self._state(*key).turned(len(self._damping.damped(table, now_ms)) > 0, now_ns)
        self._states[key] = attrs.evolve(turned, pauses=self._damping.returns)

    def begin(self, params: MaxRefaultParams | None, plan: Plan, rows: I64, table: RegionTable) -> None:
        """Note that the mover has got these table rows of the plan."""
        if params is None:
            return
        demoted = np.isin(plan.row, rows) & (plan.direction == Direction.DEMOTION) & (plan.obstacle == Obstacle.NONE)
        self._damping.begin(table, plan.row[demoted], plan.target[demoted] == SWAP_NODE)

    def end(self, process: int, start: U64, moved_pages: U64, now_ms: int) -> None:
        """Note how many pages the mover has moved of regions of a process."""
        self._damping.end(process, start, moved_pages, now_ms)

    def forget(self, processes: list[int]) -> None:
        """Drop what is known of the processes in these rows."""
        self._damping.forget(processes)

    def shift_times(self, ms: int) -> None:
        """Move the epoch of the region table's times forward by `ms`."""
        self._damping.shift_times(ms)


_OBSTACLE_OF = {
    "maxpressure.memory": Obstacle.PRESSURE,
    "maxpressure.io": Obstacle.PRESSURE,
    _REFAULT: Obstacle.REFAULT,
    _DAMPING: Obstacle.DAMPED,
}


def _measured(stall: Stall, limits: MaxPressureParams) -> tuple[tuple[str, float | None, float], ...]:
    """Return name, measurement and limit of each kind of pressure."""
    return (("memory", stall.memory, limits.memory), ("io", stall.io, limits.io))


def _sentence(state: GuardState) -> str:
    if state.guard == _REFAULT:
        return f"demotion is paused: more than {state.max_percent:g} % of what was demoted came back soon (maxrefault)"
    kind = state.guard.removeprefix("maxpressure.")
    where = "the system" if state.scope == _SYSTEM else state.scope
    return f"demotion is paused: {kind} pressure of {where} is above {state.max_percent:g} % ({state.guard})"
