"""The heat policy: classes of heat, their nodes, and the order in which they move."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import F32, SWAP_NODE
from memtierd.policies import build
from memtierd.policies.common import ANYWHERE_PLACE, History, PolicyParams
from memtierd.policies.heat import HeatmapParams, HeatParams, HeatPolicy, heat_classes
from memtierd.regions.history import HeatDecay
from tests.unit.policies.policy_samples import history_with


def heats(*values: float) -> F32:
    """Return a column of heats."""
    return np.array(values, np.float32)


def policy_of(classes: int, heat_max: float = 1.0, **params: Any) -> HeatPolicy:
    """Return a policy with so many classes."""
    return HeatPolicy(HeatParams(heatmap=HeatmapParams(heat_max=heat_max, heat_classes=classes), **params))


def history_of(heat: F32, judged: bool = True) -> History:
    """Return regions with these heats."""
    return history_with(len(heat), heat=heat, judged=[judged] * len(heat))


@pytest.mark.parametrize(
    ("heat", "heat_class"),
    [(0.0, 0), (0.2499, 0), (0.25, 1), (0.4999, 1), (0.5, 2), (0.75, 3), (0.9999, 3), (1.0, 3), (1.5, 3), (1e9, 3)],
)
def test_classes_are_equal_parts_with_the_top_in_the_last(heat: float, heat_class: int) -> None:
    assert heat_classes(heats(heat), HeatmapParams(heat_max=1.0, heat_classes=4)).tolist() == [heat_class]


@pytest.mark.parametrize(("classes", "heat_max"), [(1, 1.0), (1, 0.01), (4, 0.01), (10, 0.3), (240, 1.0), (7, 1000.0)])
def test_edges_of_any_number_of_classes(classes: int, heat_max: float) -> None:
    heatmap = HeatmapParams(heat_max=heat_max, heat_classes=classes)
    just_below = np.nextafter(np.float32(heat_max), np.float32(0))
    middles = heats(*((i + 0.5) * heat_max / classes for i in range(classes)))
    assert heat_classes(heats(0, heat_max), heatmap).tolist() == [0, classes - 1]
    assert heat_classes(heats(just_below), heatmap).tolist() == [classes - 1]
    assert heat_classes(middles, heatmap).tolist() == list(range(classes))


@given(st.lists(st.floats(0, 10, width=32), min_size=2), st.integers(1, 240))
def test_hotter_is_never_in_a_colder_class(values: list[float], classes: int) -> None:
    found = heat_classes(heats(*sorted(values)), HeatmapParams(heat_max=2.0, heat_classes=classes)).tolist()
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < classes


def test_events_name_the_class() -> None:
    policy = policy_of(4)
    names = [policy.activity.declaration.events[code] for code in policy.events(history_of(heats(0, 0.3, 0.6, 1)))]
    assert names == ["class_0", "class_1", "class_2", "class_3"]


def test_what_no_scan_could_judge_meets_nothing() -> None:
    assert policy_of(4).events(history_of(heats(0, 1), judged=False)).tolist() == [0, 0]


def test_events_lead_to_the_state_of_the_class() -> None:
    policy = policy_of(10)
    heat = heats(*((i + 0.5) / 10 for i in range(10)))
    after = policy.activity.step(np.zeros(10, np.uint8), policy.events(history_of(heat)))
    assert [policy.activity.declaration.states[code] for code in after] == [f"heat_{i}" for i in range(10)]


def test_classes_have_their_nodes_and_missing_ones_may_be_anywhere() -> None:
    policy = policy_of(4, heat_numas={0: (SWAP_NODE,), 1: (2, 3), 3: (0, 1)})
    place = {
        state: policy.places[code]
        for state, code in zip(policy.activity.declaration.states, policy.place_of_state.tolist(), strict=True)
    }
    assert [place[f"heat_{i}"].nodes for i in range(4)] == [(SWAP_NODE,), (2, 3), (), (0, 1)]
    assert place["unknown"] == place["gone"] == ANYWHERE_PLACE


def test_measure_is_the_heat() -> None:
    history = history_of(heats(0.25, 0.5))
    assert policy_of(4).measure(history, np.zeros(2, np.uint8)).tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("classes", "order"),
    [
        (1, [0]),
        (2, [1, 0]),
        (4, [3, 2, 0, 1]),
        (5, [4, 3, 2, 0, 1]),
        (10, [9, 8, 7, 6, 5, 0, 1, 2, 3, 4]),
    ],
)
def test_hot_classes_move_first_the_hottest_at_the_head_then_cold_ones_the_coldest_at_the_head(
    classes: int, order: list[int]
) -> None:
    policy = policy_of(classes)
    turns = [int(policy.turn_of_state[policy.activity.state(f"heat_{i}")]) for i in range(classes)]
    assert sorted(range(classes), key=turns.__getitem__) == order


def test_in_a_hot_class_the_hottest_is_urgent_and_in_a_cold_class_the_coldest() -> None:
    policy = policy_of(4)
    cold, hot = (policy.activity.state(name) for name in ("heat_1", "heat_2"))
    urgency = policy.urgency(np.array([hot, hot, cold, cold], np.uint8), heats(0.6, 0.7, 0.3, 0.4)).tolist()
    assert urgency[1] > urgency[0]
    assert urgency[2] > urgency[3]


def test_an_explanation_has_heat_class_and_number_of_classes() -> None:
    policy = policy_of(4)
    text = policy.explain(policy.activity.state("heat_3"), 0.8125)
    assert all(part in text for part in ("0.8125", "3", "4"))
    assert "unknown" in policy.explain(policy.activity.state("unknown"), 0.0)


def test_heat_is_kept_as_the_parameters_say() -> None:
    policy = HeatPolicy(HeatParams(heatmap=HeatmapParams(heat_max=0.01, heat_retention=0.8), numa_size={1: "2G"}))
    assert policy.heat == HeatDecay(0.01, 0.8)
    assert policy.node_limits == {1: "2G"}


def test_build_refuses_parameters_of_no_policy() -> None:
    with pytest.raises(TypeError, match="PolicyParams"):
        build(PolicyParams())
