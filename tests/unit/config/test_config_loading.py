"""What a right configuration becomes: defaults, short forms, parts at the prompt, dumps; and unreadable files."""

import json
from pathlib import Path
from typing import Any

import pytest

from memtierd.config.dump import dump_json
from memtierd.config.loader import Loader
from memtierd.errors import ConfigError

AGE = "policy:\n  name: age\n  config:\n    pids: [5]\n"
AGE_JSON = (
    r'{"Tracker":{"Name":"grid","Config":"{\"PagesInRegion\":256,\"ScanIntervalMs\":4000}"},'
    r'"Mover":{"IntervalMs":20,"Bandwidth":200},"Cgroups":["/sys/fs/cgroup/foobar"],"IntervalMs":5000,'
    r'"IdleDurationMs":15000,"IdleNumas":[2,3],"ActiveDurationMs":10000,"ActiveNumas":[0,1]}'
)


def policy_params(loader: Loader, text: str) -> Any:
    policy = loader.load_text(text, "x").policy
    assert policy is not None
    return policy.params


def test_what_is_missing_gets_its_default_beside_what_is_given(loader: Loader) -> None:
    params = policy_params(loader, f"{AGE}    tracker: {{name: grid, config: {{scanintervalms: 7}}}}\n")
    assert (params.tracker.params.scan_interval_ms, params.tracker.params.pages_in_region) == (7, 512)
    assert (params.mover.bandwidth, params.mover.interval_ms, params.interval_ms) == (100, 10, 5000)


@pytest.mark.parametrize("config", ["", "    tracker:\n    mover:\n", "    tracker: ~\n    pidwatcher: null\n"])
def test_parts_that_are_missing_or_empty(loader: Loader, config: str) -> None:
    params = policy_params(loader, AGE + config)
    assert params.tracker == policy_params(loader, AGE).tracker
    assert (params.tracker.name, params.mover.bandwidth) == ("auto", 100)


@pytest.mark.parametrize(
    "config", ["", ", config: ", ", config: {}", ", config: ''", ", config: '{}'", ", config: '# none'"]
)
def test_a_part_without_config_has_all_defaults(loader: Loader, config: str) -> None:
    params = policy_params(loader, f"{AGE}    tracker: {{name: grid{config}}}\n")
    assert params.tracker.params.pages_in_region == 512


def test_short_forms_become_pidwatchers(loader: Loader) -> None:
    by_pids = policy_params(loader, AGE)
    assert (by_pids.pidwatcher.name, by_pids.pidwatcher.params.pids, by_pids.pids) == ("pidlist", (5,), ())
    by_cgroups = loader.structure("policy", "age", '{"Cgroups": ["/a", "/b"]}', "x")
    assert (by_cgroups.pidwatcher.name, by_cgroups.pidwatcher.params.cgroups) == ("cgroups", ("/a", "/b"))
    assert by_cgroups.cgroups == ()


def test_policy_at_the_prompt(loader: Loader) -> None:
    params = loader.structure("policy", "age", AGE_JSON, "-config")
    assert (params.idle_numas, params.active_numas) == ((2, 3), (0, 1))
    assert (params.tracker.name, params.tracker.params.scan_interval_ms, params.mover.bandwidth) == ("grid", 4000, 200)
    dumped = json.loads(dump_json(params))
    given = json.loads(AGE_JSON)
    for key in given.keys() - {"Tracker", "Cgroups"}:
        assert dumped[key] == given[key]
    assert dumped["Tracker"] == {
        "Name": "grid",
        "Config": {**json.loads(given["Tracker"]["Config"]), "Reads": False, "Mode": "exact"},
    }
    assert dumped["PidWatcher"]["Config"]["Cgroups"] == given["Cgroups"]
    assert loader.structure("policy", "age", json.dumps(dumped), "-config") == params


def test_heat_policy_at_the_prompt(loader: Loader) -> None:
    text = (
        '{"Heatmap":{"HeatMax":0.01,"HeatRetention":0.8,"HeatClasses":4},"Cgroups":["/f"],'
        '"HeatNumas":{"0":[-1],"3":[0,1]},"NumaSize":{"2":"30%"}}'
    )
    params = loader.structure("policy", "heat", text, "-config")
    assert (params.heatmap.heat_max, params.heatmap.heat_classes) == (0.01, 4)
    assert (params.heat_numas, params.numa_size) == ({0: (-1,), 3: (0, 1)}, {2: "30%"})
    assert loader.structure("policy", "heat", dump_json(params), "-config") == params


def test_filter_rules(loader: Loader) -> None:
    text = "source: {name: proc}\nfilters:\n- {ProcExeRegexp: meme, And: [{MinVmRSSKb: 5}], Not: {procexeregexp: x}}\n"
    params = loader.structure("pidwatcher", "filter", text, "x")
    (rule,) = params.filters
    assert (rule.proc_exe_regexp, rule.and_[0].min_vm_rss_kb, rule.not_.proc_exe_regexp) == ("meme", 5, "x")
    dumped = json.loads(dump_json(params))["Filters"][0]
    assert (dumped["ProcExeRegexp"], dumped["And"][0]["MinVmRSSKb"], "Not" in dumped) == ("meme", 5, True)
    assert loader.structure("pidwatcher", "filter", dump_json(params), "x") == params


def test_parts_at_the_prompt(loader: Loader) -> None:
    assert loader.structure("mover", "", '{"IntervalMs":10,"Bandwidth":7}', "-config").bandwidth == 7
    assert dump_json(loader.structure("mover", "", "", "-config")) == '{"IntervalMs":10,"Bandwidth":100}'
    assert loader.structure("tracker", "grid", "", "-config").pages_in_region == 512
    for kind, name, text in [
        ("tracker", "gird", ""),
        ("tracker", "", ""),
        ("mover", "", "5"),
        ("pidwatcher", "cgroups", ""),
    ]:
        with pytest.raises(ConfigError):
            loader.structure(kind, name, text, "-config")


def test_machine_without_the_node_is_no_matter_of_the_file(loader: Loader) -> None:
    assert policy_params(loader, f"{AGE}    idlenumas: [1023]\n").idle_numas == (1023,)


def test_byte_order_mark_and_other_line_ends(loader: Loader, tmp_path: Path) -> None:
    for number, text in enumerate(["\ufeff" + AGE, AGE.replace("\n", "\r\n"), AGE.replace("\n", "\r")]):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(text.encode())
        assert loader.load_file(str(path)) == loader.load_text(AGE, "x")


@pytest.mark.parametrize("make", ["missing", "directory", "loop", "nul"])
def test_files_that_can_not_be_read(loader: Loader, tmp_path: Path, make: str) -> None:
    path = tmp_path / "x.yaml"
    if make == "directory":
        path.mkdir()
    if make == "loop":
        path.symlink_to(path)
    with pytest.raises(ConfigError) as raised:
        loader.load_file(f"{path}\0" if make == "nul" else str(path))
    (problem,) = raised.value.problems
    assert str(path) in problem
    assert "\n" not in problem


def test_messages_are_one_printable_line_whatever_was_written(loader: Loader) -> None:
    keys = ['"a\\nb"', '"\\e[31m"', '"\\u202e"', "x" * 900, '""', '" "', '"\\ud800"']
    text = "".join(f"{key}: 1\n" for key in keys) + 'policy: "a\\nb"\n'
    with pytest.raises(ConfigError) as raised:
        loader.load_text(text, "file\nname")
    assert len(raised.value.problems) == len(keys) + 1
    assert all(problem.isprintable() and len(problem) < 250 for problem in raised.value.problems)
    assert str(raised.value).count("\n") == len(keys)


def test_nearest_name_is_suggested(loader: Loader) -> None:
    with pytest.raises(ConfigError) as raised:
        loader.load_text(f"{AGE}    tracker: {{name: grdi}}\n    idle-duration: 5\n", "x")
    tracker, key = raised.value.problems
    assert "perhaps grid" in tracker
    assert "perhaps idledurationms" in key
