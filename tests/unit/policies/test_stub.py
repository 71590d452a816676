"""The stub policy: valid without any parameter, and it decides nothing."""

import json

import numpy as np
import pytest

from memtierd.config import dump_json, load_text, structure
from memtierd.errors import ConfigError
from memtierd.model import MachineFacts
from memtierd.policies import build
from memtierd.policies.common import ANYWHERE_PLACE
from memtierd.policies.stub import StubPolicyParams
from tests.unit.policies.policy_samples import history_with


def test_regions_stay_unknown_and_may_be_anywhere() -> None:
    policy = build(StubPolicyParams())
    history = history_with(3, accesses=[0, 5, 9])
    unknown = np.zeros(3, np.uint8)
    after = policy.activity.step(unknown, policy.events(history))
    assert after.tolist() == [0, 0, 0]
    assert [policy.places[code] for code in policy.place_of_state[after]] == [ANYWHERE_PLACE] * 3
    assert policy.measure(history, after).tolist() == [0, 0, 0]
    assert policy.urgency(after, policy.measure(history, after)).tolist() == [0, 0, 0]
    assert policy.explain(0, 0.0) == "the stub policy decides nothing: stays where it is"
    assert policy.adapt(MachineFacts((), 0, 0)) is policy


@pytest.mark.parametrize("text", ["policy:\n  name: stub\n", "policy:\n  name: stub\n  config: {}\n"])
def test_a_file_needs_no_more_than_its_name(text: str) -> None:
    policy = load_text(text, "stub.yaml").policy
    assert policy is not None
    params = policy.params
    assert (params.pidwatcher, params.tracker) == (None, None)
    assert set(json.loads(dump_json(params))) >= {"IntervalMs", "Mover"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("pids", "[1]"), ("cgroups", "[/a]"), ("pidwatcher", "{name: proc}"), ("tracker", "{name: softdirty}")],
)
def test_what_would_have_no_effect_is_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: the stub policy watches no processes and has no tracker"):
        structure("policy", "stub", f"{key}: {value}", "-config")
