"""When guards hold demotion back and when they let go, from measured values and a fake clock."""

from collections.abc import Mapping

import attrs
import numpy as np
import pytest

from memtierd.model import GroupStall, Pressure, Stall
from memtierd.placement.guards import Guards, GuardState
from memtierd.placement.plan import Obstacle, Plan, empty_plan
from memtierd.policies.age import AgeParams
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams, PolicyParams
from memtierd.regions.geometry import follow
from memtierd.regions.table import RegionTable
from tests.unit.regions.region_samples import MS, cut

LIMITS = MaxPressureParams(memory=10, io=20, resume_ms=2000)
GUARDED = AgeParams(max_pressure=LIMITS)
TABLE = follow(RegionTable(4), [cut(0, [(0, 8), (8, 8)]), cut(1, [(0, 8)]), cut(2, [(0, 8)])])[0]
PIDS = np.array([100, 200, 300, 0], np.uint64)
NONE, PRESSURE, REFAULT, DAMPED = Obstacle.NONE, Obstacle.PRESSURE, Obstacle.REFAULT, Obstacle.DAMPED


def pressure_of(memory: float | None = 0, io: float | None = 0, **groups: float) -> Pressure:
    """Return pressure of the system, and memory pressure of groups: a has pid 200, b has pid 300."""
    members = {"a": frozenset({200, 999}), "b": frozenset({300})}
    told = tuple(GroupStall(f"/{name}", Stall(percent, 0), members[name]) for name, percent in groups.items())
    return Pressure(Stall(memory, io), told)


class Watch:
    """Guards and the times of a test."""

    def __init__(self, params: PolicyParams = GUARDED) -> None:
        self.guards, self.params = Guards(), params

    def see(self, at_ms: int, pressure: Pressure | None) -> list[int]:
        """Return the obstacles of all rows after a measurement."""
        self.guards.judge(self.params, pressure, at_ms * MS, at_ms)
        rows = np.arange(len(TABLE), dtype=np.int64)
        return [int(code) for code in self.guards.obstacles(TABLE, rows, PIDS, at_ms)]

    def state(self, guard: str, scope: str = "system") -> GuardState:
        """Return the state of one guard."""
        (found,) = [state for state in self.guards.states if (state.guard, state.scope) == (guard, scope)]
        return found


@pytest.mark.parametrize(
    ("pressure", "held"),
    [
        ({}, [NONE] * 4),
        ({"memory": 10, "io": 20}, [NONE] * 4),
        ({"memory": 10.01}, [PRESSURE] * 4),
        ({"io": 20.01}, [PRESSURE] * 4),
        ({"memory": None, "io": None}, [NONE] * 4),
        ({"memory": None, "io": 50}, [PRESSURE] * 4),
        ({"a": 11}, [NONE, NONE, PRESSURE, NONE]),
        ({"a": 11, "b": 12}, [NONE, NONE, PRESSURE, PRESSURE]),
        ({"a": 11, "memory": 11}, [PRESSURE] * 4),
    ],
)
def test_pressure_above_a_limit_holds_its_processes(pressure: Mapping[str, float], held: list[int]) -> None:
    assert Watch().see(1000, pressure_of(**pressure)) == held


def test_without_parameters_nothing_is_held_and_nothing_told() -> None:
    watch = Watch(AgeParams())
    assert watch.see(1000, pressure_of(100, 100)) == [NONE] * 4
    assert (watch.guards.states, watch.guards.conditions) == ((), ())


def test_a_limit_of_zero_holds_at_any_pressure_and_one_of_a_hundred_never() -> None:
    watch = Watch(AgeParams(max_pressure=MaxPressureParams(memory=0, io=100)))
    assert watch.see(1000, pressure_of(0, 100)) == [NONE] * 4
    assert watch.see(2000, pressure_of(0.01, 100)) == [PRESSURE] * 4
    assert len(watch.guards.conditions) == 1


def test_demotion_goes_on_when_pressure_was_low_for_long_enough() -> None:
    watch = Watch()
    measured = [(1, 5), (2, 15), (3, 9), (4, 8), (5, 11), (6, 10), (7, 1), (8, 1), (9, 50)]
    held = [watch.see(at_s * 1000, pressure_of(percent))[0] == PRESSURE for at_s, percent in measured]
    assert held == [False, True, True, False, True, True, False, False, True]
    state = watch.state("maxpressure.memory")
    assert (state.pauses, state.since_ns, state.percent, state.max_percent) == (3, 9000 * MS, 50, 10)
    assert watch.state("maxpressure.io").pauses == 0


def test_only_what_holds_tells_how_much_it_holds() -> None:
    watch = Watch()
    watch.see(1000, pressure_of(50))
    blocked = attrs.evolve(demotions_of(0, 1, 2), obstacle=np.array([PRESSURE, PRESSURE, Obstacle.NO_ROOM], np.uint8))
    watch.guards.learn(None, blocked, TABLE, 1000 * MS, 1000)
    assert [watch.state(f"maxpressure.{kind}").held_regions for kind in ("memory", "io")] == [2, 0]


def test_what_can_be_told_no_longer_holds_nothing() -> None:
    watch = Watch()
    assert watch.see(1000, pressure_of(50, a=50))[0] == PRESSURE
    problem = "maxpressure: no pressure"
    assert watch.see(1001, attrs.evolve(pressure_of(None), problems=(problem,))) == [NONE] * 4
    assert watch.guards.conditions == (problem,)
    assert [state.scope for state in watch.guards.states] == ["system", "system"], "the group has gone"


def test_conditions_are_the_same_sentences_as_long_as_they_last() -> None:
    watch = Watch()
    watch.see(1000, pressure_of(50, a=70))
    told = watch.guards.conditions
    assert told == (
        "demotion is paused: memory pressure of the system is above 10 % (maxpressure.memory)",
        "demotion is paused: memory pressure of /a is above 10 % (maxpressure.memory)",
    )
    watch.see(2000, pressure_of(12.5, a=11))
    assert watch.guards.conditions == told
    watch.see(9000, pressure_of())
    assert not watch.guards.conditions


REFAULTS = MaxRefaultParams(percent=40, window_ms=1000, damp_ms=3000)


def demotions_of(*rows: int) -> Plan:
    """Return a plan that demotes rows of TABLE from node 0 to node 2."""
    count = len(rows)
    plan = empty_plan()
    columns = {
        field.name: np.zeros(count, getattr(plan, field.name).dtype)
        for field in attrs.fields(Plan)
        if field.name != "made_ms"
    }
    columns["row"][:], columns["target"][:], columns["direction"][:] = rows, 2, 1
    return Plan(made_ms=0, **columns)


def promotions_of(*rows: int) -> Plan:
    """Return a plan that wants rows of TABLE back."""
    plan = demotions_of(*rows)
    return attrs.evolve(plan, direction=np.full(len(rows), -1, np.int8))


def demote(watch: Watch, at_ms: int, *rows: int) -> None:
    """Let the mover move 8 pages of each of these rows of TABLE to slower memory."""
    numbers = np.array(rows, np.int64)
    watch.guards.begin(REFAULTS, demotions_of(*rows), numbers, TABLE)
    for row in rows:
        one = slice(row, row + 1)
        watch.guards.end(int(TABLE.process[row]), TABLE.start[one], np.array([8], np.uint64), at_ms)


def test_too_much_that_comes_back_holds_all_demotion_for_the_window() -> None:
    watch = Watch(AgeParams(max_refault=REFAULTS))
    assert watch.see(100, None) == [NONE] * 4
    demote(watch, 200, 0, 1)
    watch.guards.learn(REFAULTS, promotions_of(1), TABLE, 300 * MS, 300)
    assert watch.see(400, None) == [REFAULT] * 4
    state = watch.state("maxrefault")
    assert (state.is_paused, state.percent, state.max_percent, state.pauses) == (True, 50, 40, 1)
    (condition,) = watch.guards.conditions
    assert condition == "demotion is paused: more than 40 % of what was demoted came back soon (maxrefault)"
    assert watch.see(1201, None) == [NONE, DAMPED, NONE, NONE]
    assert watch.see(3300, None) == [NONE] * 4
    assert not watch.guards.conditions


def test_a_little_that_comes_back_is_damped_and_no_more() -> None:
    watch = Watch(AgeParams(max_refault=REFAULTS))
    demote(watch, 200, 0, 1, 2)
    watch.guards.learn(REFAULTS, promotions_of(2), TABLE, 300 * MS, 300)
    assert watch.see(400, None) == [NONE, NONE, DAMPED, NONE]
    blocked = attrs.evolve(demotions_of(2), obstacle=np.array([DAMPED], np.uint8))
    watch.guards.learn(REFAULTS, blocked, TABLE, 500 * MS, 500)
    damping = watch.state("maxrefault.damping", "regions")
    assert (damping.is_paused, damping.since_ns, damping.pauses, damping.held_regions) == (True, 300 * MS, 1, 1)
    assert watch.state("maxrefault").held_regions == 0
    assert not watch.guards.conditions, "it is the rule, no condition"
    watch.guards.learn(REFAULTS, empty_plan(), TABLE, 3300 * MS, 3300)
    assert not watch.state("maxrefault.damping", "regions").is_paused


def test_only_demotions_that_the_mover_got_count() -> None:
    watch = Watch(AgeParams(max_refault=REFAULTS))
    watch.guards.begin(REFAULTS, demotions_of(0, 1), np.array([1], np.int64), TABLE)
    watch.guards.begin(REFAULTS, promotions_of(2), np.array([2], np.int64), TABLE)
    for row in range(3):
        one = slice(row, row + 1)
        watch.guards.end(int(TABLE.process[row]), TABLE.start[one], np.array([8], np.uint64), 200)
    watch.guards.learn(REFAULTS, promotions_of(0, 2), TABLE, 300 * MS, 300)
    assert watch.see(400, None) == [NONE] * 4
    watch.guards.learn(REFAULTS, promotions_of(1), TABLE, 500 * MS, 500)
    assert watch.see(600, None) == [REFAULT] * 4


def test_a_guard_that_is_turned_off_forgets() -> None:
    watch = Watch(AgeParams(max_refault=REFAULTS))
    demote(watch, 200, 0)
    watch.guards.learn(REFAULTS, promotions_of(0), TABLE, 300 * MS, 300)
    watch.params = AgeParams()
    assert watch.see(400, None) == [NONE] * 4
    watch.guards.learn(None, empty_plan(), TABLE, 400 * MS, 400)
    assert watch.guards.states == ()
    watch.params = AgeParams(max_refault=REFAULTS)
    assert watch.see(500, None) == [NONE] * 4


def test_pressure_goes_before_refaults_and_these_before_damping() -> None:
    watch = Watch(AgeParams(max_pressure=LIMITS, max_refault=REFAULTS))
    demote(watch, 200, 1)
    watch.guards.learn(REFAULTS, promotions_of(1), TABLE, 300 * MS, 300)
    assert watch.see(400, pressure_of(a=50)) == [REFAULT, REFAULT, PRESSURE, REFAULT]
    assert watch.see(1300, pressure_of(a=50)) == [NONE, DAMPED, PRESSURE, NONE]
    assert watch.see(1400, pressure_of(50)) == [PRESSURE] * 4
