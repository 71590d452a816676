"""The demote-idle policy: what one scan without any use means, and that it means it again every time."""

from typing import Any

import attrs
import pytest

from memtierd import config
from memtierd.errors import ConfigError
from memtierd.model import Auto, MachineFacts
from memtierd.parameters import Part
from memtierd.policies.common import ANYWHERE_PLACE, Place
from memtierd.policies.demote_idle import DemoteIdleParams, DemoteIdlePolicy
from memtierd.trackers import IdlePageParams, SoftDirtyParams
from memtierd.watchers import PidlistParams
from tests.unit.policies.policy_samples import history_with
from tests.unit.reconcile_samples import Life, targets_of
from tests.unit.regions.region_samples import facts_of, machine_of, scan_of

NOW = 1_000_000
FACTS = facts_of()
TWO = [(0, 512), (512, 512)]
POLICY = DemoteIdlePolicy(DemoteIdleParams(interval_ms=1000, idle_numas=(2, 3), reserve_percent=0))


@pytest.mark.parametrize(
    ("idle_ms", "judged", "event"),
    [(0, True, "seen"), (1, True, "idle_due"), (99_999, True, "idle_due"), (99_999, False, "nothing")],
)
def test_one_judged_scan_without_use_makes_idle(idle_ms: int, judged: bool, event: str) -> None:
    history = history_with(1, last_access_ms=[NOW - idle_ms], observed_ms=[NOW], judged=[judged])
    code = int(POLICY.events(history)[0])
    assert POLICY.activity.declaration.events[code] == event


def test_only_idle_memory_has_a_place() -> None:
    states = POLICY.activity.declaration.states
    places = {state: POLICY.places[code] for state, code in zip(states, POLICY.place_of_state.tolist(), strict=True)}
    assert {state for state, place in places.items() if place != ANYWHERE_PLACE} == {"idle"}
    assert places["idle"] == Place((2, 3))
    assert set(POLICY.turn_of_state.tolist()) == {0}


def test_what_is_not_used_for_one_interval_is_demoted_and_the_first_look_proves_nothing() -> None:
    life = Life(POLICY)
    life.scan(scan_of(FACTS, 1000, TWO, primed=False))
    assert len(life.decide(1100)) == 0
    life.scan(scan_of(FACTS, 2000, TWO, accessed=(1, 0)))
    assert targets_of(life.decide(2100)) == [(1, 2)]
    assert life.activity == ["warm", "idle"]


def test_any_of_the_nodes_is_right() -> None:
    life = Life(POLICY)
    life.scan(scan_of(FACTS, 1000, TWO, primed=False))
    life.scan(scan_of(FACTS, 2000, TWO, node=(2, 3)))
    assert len(life.decide(2100)) == 0


def test_memory_that_comes_back_is_left_alone_while_it_is_used_and_demoted_again_after_that() -> None:
    life = Life(POLICY)
    life.scan(scan_of(FACTS, 1000, TWO, primed=False))
    for round_ms in (2000, 12_000, 22_000):
        life.scan(scan_of(FACTS, round_ms, TWO))
        moves = life.hand_over(round_ms + 100)
        assert targets_of(moves) == [(0, 2), (1, 2)]
        life.report(moves, round_ms + 500)
        life.scan(scan_of(FACTS, round_ms + 1000, TWO, node=2))
        assert len(life.decide(round_ms + 1100)) == 0
        for used_ms in (round_ms + 2000, round_ms + 3000):
            life.scan(scan_of(FACTS, used_ms, TWO, accessed=1))  # somebody promoted it
            assert len(life.decide(used_ms + 100)) == 0


def test_auto_stands_for_all_tiers_but_the_fastest() -> None:
    policy = DemoteIdlePolicy(DemoteIdleParams(idle_numas=Auto.AUTO))
    assert policy.places == (ANYWHERE_PLACE,)
    adapted = policy.adapt(_tiered(0, 1, 1, 2))
    assert adapted.places == (ANYWHERE_PLACE, Place((1, 2, 3)))
    assert adapted.conditions == ()
    assert adapted.adapt(_tiered(0, 1, 1, 2)) is adapted
    alike = policy.adapt(_tiered(0, 0, 0, 0))
    assert (alike.places, len(alike.conditions)) == ((ANYWHERE_PLACE,), 1)
    assert POLICY.adapt(_tiered(0, 0, 0, 0)) is POLICY


def _tiered(*tiers: int) -> MachineFacts:
    machine = machine_of()
    nodes = (attrs.evolve(facts, tier=tier) for facts, tier in zip(machine.nodes, tiers, strict=True))
    return attrs.evolve(machine, nodes=tuple(nodes))


def test_an_explanation_tells_for_how_long() -> None:
    state = POLICY.activity.state
    assert POLICY.explain(state("idle"), 5.04) == "not used between two scans, idle 5.0 s"
    assert POLICY.explain(state("warm"), 0.0).startswith("warm")


# parameters


def _params(text: str) -> Any:
    return config.structure("policy", "demote-idle", text, "x")


def test_the_tracker_that_is_not_configured_is_idlepage_at_the_pace_of_the_policy() -> None:
    tracker = _params("{intervalms: 4000, idlenumas: [3], pids: [7]}").tracker
    assert tracker == Part("idlepage", IdlePageParams(scan_interval_ms=4000, regions_update_ms=0))


def test_scans_are_at_most_a_day_apart() -> None:
    tracker = _params("{intervalms: 1000000000, idlenumas: [3], pids: [7]}").tracker
    assert tracker.params.scan_interval_ms == 86_400_000


def test_a_tracker_that_is_configured_stays_as_it_is() -> None:
    text = "{intervalms: 4000, idlenumas: [3], pids: [7], tracker: {name: softdirty}}"
    assert _params(text).tracker == Part("softdirty", SoftDirtyParams())


def test_pages_of_interest_are_enough_and_go_with_a_pidwatcher() -> None:
    alone = _params("{idlenumas: [3], pagesofinterestdir: /run/poi}")
    assert (alone.pidwatcher, alone.pages_of_interest) == (None, "/run/poi")
    assert config.structure("policy", "demote-idle", config.dump_json(alone), "x") == alone
    both = _params("{idlenumas: [3], PagesOfInterestDir: /run/poi, pids: [7]}")
    assert both.pidwatcher == Part("pidlist", PidlistParams(pids=(7,)))
    assert both.pages_of_interest == "/run/poi"


def test_auto_is_a_choice_of_nodes() -> None:
    assert _params("{idlenumas: auto, pids: [7]}").idle_numas is Auto.AUTO


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{pids: [7]}", "idlenumas"),
        ("{idlenumas: [], pids: [7]}", "idlenumas"),
        ("{idlenumas: [3]}", "pidwatcher"),
        ("{idlenumas: [3], pagesofinterestdir: poi}", "pagesofinterestdir"),
        ("{idlenumas: [3], pagesofinterestdir: ''}", "pagesofinterestdir"),
        ("{idlenumas: [3], pagesofinterestdir: /poi, pids: [7], cgroups: [/a]}", "pids"),
        ("{idlenumas: [3], pids: [7], tracker: {name: damon}}", "tracker"),
        ("{idlenumas: [3], pagesofinterestdir: null}", "pidwatcher"),
    ],
)
def test_wrong_parameters(text: str, path: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _params(text)
    assert [problem.split(": ")[1] for problem in raised.value.problems] == [path]
