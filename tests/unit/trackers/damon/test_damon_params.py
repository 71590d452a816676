"""The damon tracker's parameters: defaults, zeros, and what doesn't fit together."""

import attrs
import pytest

from memtierd.config import load_text
from memtierd.errors import ConfigError
from memtierd.trackers.damon.params import DamonParams

DEFAULTS = {
    "connection": "auto",
    "kdamonds_list": (),
    "nr_kdamonds": 0,
    "interface": 0,
    "filter_address_range_size_max": 33554432,
    "sampling_us": 5000,
    "aggregation_us": 100000,
    "regions_update_us": 1000000,
    "min_target_regions": 10,
    "max_target_regions": 1000,
    "sysfs_regions_manager": 0,
    "scan_interval_ms": 5000,
}
CONFIG = "policy:\n  name: {policy}\n  config:\n    pids: [1]\n    tracker: {tracker}\n"


def test_the_defaults_are_those_that_users_know() -> None:
    params = attrs.asdict(DamonParams())
    assert {name: params[name] for name in DEFAULTS} == DEFAULTS


def test_zero_stands_for_the_default() -> None:
    zeros = DamonParams(
        sampling_us=0,
        aggregation_us=0,
        regions_update_us=0,
        min_target_regions=0,
        max_target_regions=0,
        filter_address_range_size_max=0,
    )
    assert zeros.resolved() == DamonParams()
    assert not list(zeros.problems())


def test_unlimited_is_no_zero() -> None:
    assert DamonParams(filter_address_range_size_max=-1).resolved().filter_address_range_size_max == -1


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (DamonParams(min_target_regions=2), ["min_target_regions"]),
        (DamonParams(min_target_regions=200, max_target_regions=100), ["max_target_regions"]),
        (DamonParams(min_target_regions=2000), ["max_target_regions"]),
        (DamonParams(sampling_us=200_000), ["aggregation_us"]),
        (DamonParams(sampling_us=5000, regions_update_us=4000), ["regions_update_us"]),
        (DamonParams(interface=2, connection="sysfs"), ["connection"]),
        (DamonParams(nr_kdamonds=2, kdamonds_list=(1, 2)), ["kdamonds_list"]),
        (DamonParams(nr_kdamonds=2, kdamonds_list=(0, 1)), []),
        (DamonParams(kdamonds_list=(7,)), []),
        (DamonParams(interface=2, connection="tracefs"), []),
    ],
)
def test_what_does_not_fit_together_is_found(params: DamonParams, fields: list[str]) -> None:
    assert [problem.field for problem in params.problems()] == fields


@pytest.mark.parametrize("connection", ["auto", "bpftrace", "perf", "perf -m 4M --no-inherit", "tracefs", "sysfs"])
def test_connections(connection: str) -> None:
    tracker = f"{{name: damon, config: {{connection: {connection}}}}}"
    loaded = load_text(CONFIG.format(policy="heat", tracker=tracker), "x.yaml")
    assert loaded.policy is not None
    assert loaded.policy.params.tracker.params.connection == connection


@pytest.mark.parametrize("connection", ["bpf", "tracefs -m 4M", "''", "perf2"])
def test_other_connections_are_refused(connection: str) -> None:
    tracker = f"{{name: damon, config: {{connection: {connection}}}}}"
    with pytest.raises(ConfigError, match="one of auto, bpftrace, perf, tracefs, sysfs"):
        load_text(CONFIG.format(policy="heat", tracker=tracker), "x.yaml")


@pytest.mark.parametrize(
    "tracker",
    [
        "{name: damon, config: {nrkdamonds: 1}}",
        "{name: multi, config: {trackers: [{name: damon, config: {nrkdamonds: 1}}]}}",
    ],
)
def test_the_age_policy_refuses_it_with_the_reason(tracker: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(CONFIG.format(policy="age", tracker=tracker), "x.yaml")
    (problem,) = raised.value.problems
    assert problem.startswith("x.yaml:5:")
    assert "how long it was idle" in problem
    assert "policy heat" in problem
    load_text(CONFIG.format(policy="heat", tracker=tracker), "x.yaml")


def test_the_age_policy_takes_it_beside_a_tracker_that_proves_idleness() -> None:
    both = "{name: multi, config: {trackers: [{name: damon, config: {nrkdamonds: 1}}, {name: softdirty}]}}"
    load_text(CONFIG.format(policy="age", tracker=both), "x.yaml")
