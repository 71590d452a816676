"""The age policy: which event a region gets for its times, and where its states should be."""

import attrs
import numpy as np
import pytest

from memtierd.model import SWAP_NODE, Auto, MachineFacts
from memtierd.policies.age import AgeParams, AgePolicy
from memtierd.policies.common import ANYWHERE_PLACE, History, Place
from memtierd.regions.columns import NEVER_MS
from tests.unit.policies.policy_samples import history_with
from tests.unit.regions.region_samples import machine_of

NOW = 1_000_000


def history_of(idle_ms: int | None, active_ms: int | None, *, judged: bool = True) -> History:
    """Return one region last used `idle_ms` before the last scan, or in use for `active_ms` up to it."""
    last = NOW - (idle_ms or 0)
    since = NEVER_MS if active_ms is None else last - active_ms
    return history_with(1, last_access_ms=[last], active_since_ms=[since], observed_ms=[NOW], judged=[judged])


def event_of(policy: AgePolicy, history: History) -> str:
    """Return the name of the event of the one region."""
    code = int(policy.events(history)[0])
    return policy.activity.declaration.events[code]


ALL = AgePolicy(
    AgeParams(
        idle_duration_ms=15_000,
        idle_numas=(2, 3),
        active_duration_ms=10_000,
        active_numas=(0, 1),
        swap_out_ms=60_000,
    )
)


@pytest.mark.parametrize(
    ("idle_ms", "active_ms", "event"),
    [
        (0, 0, "seen"),
        (0, 9_999, "seen"),
        (0, 10_000, "steady"),
        (0, 10_001, "steady"),
        (0, 900_000, "steady"),
        (0, None, "quiet"),
        (1, None, "quiet"),
        (14_999, None, "quiet"),
        (15_000, None, "idle_due"),
        (15_001, None, "idle_due"),
        (59_999, None, "idle_due"),
        (60_000, None, "cold_due"),
        (999_999, None, "cold_due"),
    ],
)
def test_durations_hold_from_their_last_millisecond_on(idle_ms: int, active_ms: int | None, event: str) -> None:
    assert event_of(ALL, history_of(idle_ms, active_ms)) == event


@pytest.mark.parametrize(
    ("params", "idle_ms", "active_ms", "event"),
    [
        (AgeParams(), 999_999, None, "quiet"),
        (AgeParams(), 0, 999_999, "seen"),
        (AgeParams(idle_duration_ms=1, idle_numas=(1,)), 0, None, "quiet"),
        (AgeParams(idle_duration_ms=1, idle_numas=(1,)), 1, None, "idle_due"),
        (AgeParams(active_duration_ms=1, active_numas=(1,)), 0, 0, "seen"),
        (AgeParams(active_duration_ms=1, active_numas=(1,)), 0, 1, "steady"),
        (AgeParams(swap_out_ms=5_000, idle_duration_ms=15_000), 4_999, None, "quiet"),
        (AgeParams(swap_out_ms=5_000, idle_duration_ms=15_000), 5_000, None, "cold_due"),
        (AgeParams(swap_out_ms=5_000, idle_duration_ms=15_000), 15_000, None, "cold_due"),
        (AgeParams(swap_out_ms=5_000), 4_999, None, "quiet"),
        (AgeParams(swap_out_ms=5_000), 5_000, None, "cold_due"),
        (AgeParams(idle_duration_ms=1_000_000_000_000, idle_numas=(1,)), 999_999, None, "quiet"),
    ],
)
def test_a_duration_of_zero_is_off_and_swap_wins_over_idle(
    params: AgeParams, idle_ms: int, active_ms: int | None, event: str
) -> None:
    assert event_of(AgePolicy(params), history_of(idle_ms, active_ms)) == event


@pytest.mark.parametrize(("idle_ms", "active_ms"), [(0, None), (999_999, None), (0, 999_999)])
def test_what_no_scan_could_judge_meets_nothing(idle_ms: int, active_ms: int | None) -> None:
    assert event_of(ALL, history_of(idle_ms, active_ms, judged=False)) == "nothing"


def test_events_fit_every_state() -> None:
    living = np.array([ALL.activity.state(s) for s in ("unknown", "warm", "active", "idle", "cold")], np.uint8)
    for event in ("seen", "quiet", "steady", "idle_due", "cold_due", "nothing"):
        ALL.activity.step(living, np.full(len(living), ALL.activity.event(event), np.uint8))


def places_of(policy: AgePolicy) -> dict[str, Place]:
    """Return the place of every state."""
    codes = policy.place_of_state.tolist()
    return {state: policy.places[code] for state, code in zip(policy.activity.declaration.states, codes, strict=True)}


def test_states_have_their_nodes() -> None:
    places = places_of(ALL)
    assert places["idle"].nodes == (2, 3)
    assert places["active"].nodes == (0, 1)
    assert places["cold"].nodes == (SWAP_NODE,)
    assert {state for state, place in places.items() if place == ANYWHERE_PLACE} == {"unknown", "warm", "gone"}
    assert ALL.places[0] == ANYWHERE_PLACE


def test_without_nodes_a_state_may_be_anywhere() -> None:
    places = places_of(AgePolicy(AgeParams(idle_duration_ms=1, active_duration_ms=1, swap_out_ms=1)))
    assert {state for state, place in places.items() if place != ANYWHERE_PLACE} == {"cold"}


def test_equal_nodes_are_one_place() -> None:
    policy = AgePolicy(
        AgeParams(idle_numas=(1,), idle_duration_ms=1, active_numas=(1,), active_duration_ms=1, swap_out_ms=1)
    )
    assert [place.nodes for place in policy.places] == [(), (1,), (SWAP_NODE,)]


def test_a_state_whose_duration_is_off_has_no_place() -> None:
    assert AgePolicy(AgeParams(idle_numas=(1,), active_numas=(1,))).places == (ANYWHERE_PLACE,)


def tiered(*tiers: int) -> MachineFacts:
    """Return a machine whose nodes 0, 1, … are in these tiers."""
    machine = machine_of()
    return attrs.evolve(
        machine, nodes=tuple(attrs.evolve(facts, tier=tier) for facts, tier in zip(machine.nodes, tiers, strict=True))
    )


def test_auto_stands_for_the_nodes_of_the_fastest_tier_and_of_all_others() -> None:
    params = AgeParams(idle_duration_ms=1, idle_numas=Auto.AUTO, active_duration_ms=1, active_numas=Auto.AUTO)
    before = AgePolicy(params)
    assert before.places == (ANYWHERE_PLACE,)
    policy = before.adapt(tiered(0, 0, 1, 2))
    assert policy.places == (ANYWHERE_PLACE, Place((2, 3)), Place((0, 1)))
    assert policy.conditions == ()
    assert policy.adapt(tiered(0, 0, 1, 2)) is policy
    assert policy.adapt(tiered(0, 1, 1, 1)).places == (ANYWHERE_PLACE, Place((1, 2, 3)), Place((0,)))


def test_auto_says_when_all_nodes_are_alike() -> None:
    policy = AgePolicy(AgeParams(idle_duration_ms=1, idle_numas=Auto.AUTO)).adapt(tiered(0, 0, 0, 0))
    assert policy.places == (ANYWHERE_PLACE,)
    assert len(policy.conditions) == 1


def test_named_nodes_do_not_depend_on_the_machine() -> None:
    assert ALL.adapt(tiered(1, 0, 0, 0)) is ALL


def test_measure_is_seconds_of_use_for_active_regions_and_seconds_without_use_for_others() -> None:
    state = ALL.activity.state
    activity = np.array([state("active"), state("warm"), state("idle"), state("cold"), state("unknown")], np.uint8)
    history = history_with(
        5,
        last_access_ms=[NOW, NOW - 500, NOW - 20_000, NOW - 61_250, NOW],
        active_since_ms=[NOW - 12_500, NOW - 700, NEVER_MS, NEVER_MS, NEVER_MS],
        observed_ms=[NOW] * 5,
    )
    value = ALL.measure(history, activity)
    assert value.tolist() == [12.5, 0.5, 20.0, 61.25, 0.0]
    assert ALL.urgency(activity, value).tolist() == value.tolist()


def test_promotions_come_before_demotions() -> None:
    turns = dict(zip(ALL.activity.declaration.states, ALL.turn_of_state.tolist(), strict=True))
    assert turns["active"] < turns["idle"] < turns["cold"]


@pytest.mark.parametrize(
    ("state", "value", "told"),
    [
        ("active", 12.5, ["12.5", "10 s"]),
        ("idle", 20.0, ["20.0", "15 s"]),
        ("cold", 61.25, ["61.2", "60 s"]),
        ("warm", 3.0, ["warm", "3.0"]),
        ("unknown", 0.0, ["unknown"]),
    ],
)
def test_an_explanation_has_the_value_and_the_limit(state: str, value: float, told: list[str]) -> None:
    text = ALL.explain(ALL.activity.state(state), value)
    assert all(part in text for part in told)
