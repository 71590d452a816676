"""Routines in a configuration file: alone, beside a policy, and with everything that is wrong."""

import pytest

from memtierd.config import dump_json, load_text
from memtierd.errors import ConfigError
from memtierd.routines import StatActionsParams

ALONE = """
routines:
- name: statactions
  config: |
    IntervalMs: 1000
    interval-command: [date]
- {name: statactions, config: '{"IntervalMs": 7, "PageOutMB": 3, "PageOutCommand": ["date"]}'}
"""
STUB = "policy: {name: stub}\n"


@pytest.mark.parametrize("policy", ["", "policy:\n", STUB])
def test_routines_need_no_policy(policy: str) -> None:
    config = load_text(policy + ALONE, "x")
    assert [part.params for part in config.routines] == [
        StatActionsParams(interval_ms=1000, interval_command=("date",)),
        StatActionsParams(interval_ms=7, page_out_mb=3, page_out_command=("date",)),
    ]
    assert (config.policy is not None) == (policy == STUB)
    assert load_text(dump_json(config), "dump") == config


def test_a_policy_needs_no_routines() -> None:
    assert load_text(f"{STUB}routines: []\n", "x") == load_text(STUB, "x")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("routines: []\n", ["1:1: policy: missing key"]),
        ("policy:\nroutines: []\n", ["1:1: policy: missing key"]),
        (f"{STUB}routines: {{name: statactions}}\n", ["2:11: routines: got a mapping, expected a list"]),
        (f"{STUB}routines: [statactions]\n", ["2:12: routines.0: got the text 'statactions'"]),
        (f"{STUB}routines: [{{name: x}}, {{}}]\n", ["2:19: routines.0.name: unknown rout", "2:23: routines.1.name: m"]),
        (
            "routines:\n- name: statactions\n  config: {intervalms: 1, intervalcommand: [1]}\n"
            "- name: statactions\n  config: |\n    intervalms: 0\n    intervalcommand: [x]\n",
            ["3:45: routines.0.config.intervalcommand.0: got the int", "6:17: routines.1.config.intervalms: got the i"],
        ),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(text: str, places: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(text, "x")
    assert len(raised.value.problems) == len(places)
    for problem, place in zip(raised.value.problems, places, strict=True):
        assert problem.startswith(f"x:{place}")
