"""The guards in a configuration: off when missing, with defaults when empty, and checked like everything else."""

import pytest

from memtierd import config
from memtierd.errors import ConfigError
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams, PolicyParams


def params_of(guards: str, policy: str = "age") -> PolicyParams:
    """Return the parameters of a policy with these further keys."""
    params: PolicyParams = config.structure("policy", policy, f"{{pids: [1], {guards}}}", "x")
    return params


def test_guards_are_off_when_they_are_missing() -> None:
    for text in ("", "maxpressure: null, maxrefault: "):
        params = params_of(text)
        assert (params.max_pressure, params.max_refault) == (None, None)
    assert "MaxPressure" not in config.dump_json(params)


@pytest.mark.parametrize("policy", ["age", "heat"])
def test_empty_guards_have_defaults(policy: str) -> None:
    params = params_of("maxpressure: {}, MaxRefault: {}", policy)
    assert (params.max_pressure, params.max_refault) == (MaxPressureParams(), MaxRefaultParams())


def test_guards_are_dumped_as_they_are_read() -> None:
    text = "maxpressure: {memory: 0, io: 12.5}, maxrefault: {percent: 100, windowms: 5, dampms: 7, damp_max_ms: 7}"
    params = params_of(text)
    assert params.max_pressure == MaxPressureParams(memory=0, io=12.5)
    assert params.max_refault == MaxRefaultParams(percent=100, window_ms=5, damp_ms=7, damp_max_ms=7)
    dumped = config.dump_json(params)
    assert '"MaxPressure":{"Memory":0' in dumped
    assert config.structure("policy", "age", dumped, "x") == params


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("maxpressure: 10", "maxpressure: got the integer 10, expected a mapping with memory, io, resumems"),
        ("maxpressure: {memory: 101}", "from 0 to 100 (%)"),
        ("maxpressure: {io: -1}", "from 0 to 100 (%)"),
        ("maxpressure: {cpu: 10}", "unknown key"),
        ("maxpressure: {resumems: -1}", "resumems"),
        ("maxrefault: {percent: yes}", "percent"),
        ("maxrefault: {windowms: 0}", "windowms"),
        ("maxrefault: {dampms: 10, dampmaxms: 9}", "expected 10 or more, which is dampms"),
        ("maxrefault: {dampms: 3600001}", "3600001 or more"),
    ],
)
def test_wrong_guards_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        params_of(text)
    assert said in "\n".join(raised.value.problems)


@pytest.mark.parametrize(
    ("text", "directories"),
    [
        ("{pids: [1]}", ()),
        ("{cgroups: [/a, /b]}", ("/a", "/b")),
        (
            "{pidwatcher: {name: filter, config: {source: {name: cgroups, config: {cgroups: [/a]}}, filters:"
            " [{minvmrsskb: 1}]}}}",
            ("/a",),
        ),
        ("{pidwatcher: {name: proc}}", ()),
    ],
)
def test_the_groups_that_are_watched_are_known(text: str, directories: tuple[str, ...]) -> None:
    params: PolicyParams = config.structure("policy", "age", text, "x")
    assert params.watched_cgroups == directories
