"""config: what is in force, setting values, comparing with the file, and saving."""

import json
from pathlib import Path

import pytest

from memtierd import config
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.completion import complete
from memtierd.prompt.known_values import known_values
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt

TEXT = """\
policy:
  name: age
  config:
    pids: [7]
    idledurationms: 15000
"""


@pytest.fixture
def file(daemon: FakeDaemon, tmp_path: Path) -> Path:
    """Load a file into the daemon, as -config does."""
    path = tmp_path / "memtierd.yaml"
    path.write_text(TEXT)
    daemon.config_file = config.read_file(str(path))
    policy = daemon.config_file.config.policy
    assert policy is not None
    daemon.policy_name, daemon.policy_params = policy.name, policy.params
    return path


def test_every_value_is_listed_with_its_origin(prompt: Prompt, file: Path) -> None:
    title, heading, *rows = prompt.good("config").splitlines()
    assert title == "table: config"
    assert heading.split() == ["path", "value", "origin"]
    assert rows[0].split() == ["policy.name", "age", f"{file}:2:9"]
    assert [row.split() for row in rows if "idledurationms" in row] == [
        ["policy.idledurationms", "15000", f"{file}:5:21"]
    ]
    assert all(row.split()[-1] in {"default"} or f"{file}:" in row for row in rows)


def test_only_what_is_at_a_path_in_three_formats(prompt: Prompt, file: Path) -> None:
    rows = json.loads(prompt.good("config -path Policy.Pid_Watcher -f json"))
    assert [row["path"] for row in rows] == [
        "policy.pidwatcher.name",
        "policy.pidwatcher.intervalms",
        "policy.pidwatcher.pids",
    ]
    assert rows[2] == {"path": "policy.pidwatcher.pids", "value": "[7]", "origin": f"{file}:4:11"}
    assert prompt.good("config -path policy.idlenumas -f csv") == (
        "table: config\npath,value,origin\npolicy.idlenumas,[],default\n"
    )
    assert prompt.bad("config -path policy.pid") == (
        "config: nothing is set at 'policy.pid'; config lists what there is"
    )


def test_what_was_made_at_the_prompt_comes_from_there(prompt: Prompt) -> None:
    prompt.good("policy -create age -config {pids: [7], swapoutms: 5}")
    rows = json.loads(prompt.good("config -f json"))
    assert {row["path"] for row in rows if row["origin"] == "prompt"} == {
        "policy.name",
        "policy.pidwatcher.name",
        "policy.pidwatcher.pids",
        "policy.swapoutms",
    }


def test_values_are_set_and_each_change_is_told(prompt: Prompt, daemon: FakeDaemon, file: Path) -> None:
    out = prompt.good("config -set policy.idledurationms=30000,policy.idlenumas=[2,3] -set 'policy.pids=[8, 9]'")
    assert out.splitlines() == [
        "policy.pidwatcher.pids [7] → [8, 9]",
        "policy.idledurationms 15000 → 30000",
        "policy.idlenumas [] → [2, 3]",
    ]
    assert daemon.policy_params is not None
    assert daemon.policy_params.pidwatcher is not None
    assert daemon.policy_params.pidwatcher.params.pids == (8, 9)
    assert prompt.good("config -path policy.idledurationms -f csv").endswith("policy.idledurationms,30000,prompt\n")
    assert prompt.good("config -set policy.idledurationms=30000") == "nothing changed\n"
    assert json.loads(prompt.good("config -set policy.idledurationms=5 -f json")) == [
        {"path": "policy.idledurationms", "running": "30000", "file": "5"}
    ]


def test_wrong_values_change_nothing_and_are_all_told(prompt: Prompt, daemon: FakeDaemon, file: Path) -> None:
    before = daemon.policy_params
    status, out, err = prompt.run("config -set policy.idledurationms=x,policy.bogus=1,policy.swapoutms=5")
    assert (status, out) == (1, "")
    assert err.splitlines() == [
        "config: policy.bogus: unknown key 'bogus', expected one of activedurationms, activenumas, batchmb, cgroups,"
        " idledurationms, idlenumas, intervalms, maxpressure, maxrefault, mover, pids, pidwatcher, reservepercent,"
        " retrymaxms, retryms, swapoutms, tracker",
        "config: policy.idledurationms: got the text 'x', expected an integer from 0 to 1000000000000 (ms)",
    ]
    assert daemon.policy_params is before
    assert "expected PATH=VALUE" in prompt.bad("config -set nonsense")


def test_the_file_is_compared_with_what_runs_and_read_again(prompt: Prompt, daemon: FakeDaemon, file: Path) -> None:
    assert prompt.good("config -diff") == f"what runs is what {file} says\n"
    file.write_text(TEXT.replace("15000", "20000"))
    assert prompt.good("config -diff") == "policy.idledurationms 15000 → 20000\n"
    assert prompt.good("config -diff -path policy.mover") == f"what runs is what {file} says\n"
    assert prompt.good("config -diff -f csv") == (
        "table: changes\npath,running,file\npolicy.idledurationms,15000,20000\n"
    )
    assert prompt.good("config -reload -diff").splitlines() == [
        "policy.idledurationms 15000 → 20000",
        f"what runs is what {file} says",
    ]
    file.write_text(TEXT.replace("15000", "x") + "    bogus: 1\n")
    before = daemon.policy_params
    for command in ("config -diff", "config -reload"):
        status, out, err = prompt.run(command)
        assert (status, out) == (1, "")
        assert [line.split(" ")[1] for line in err.splitlines()] == [f"{file}:5:21:", f"{file}:6:5:"]
    assert daemon.policy_params is before


def test_without_a_file_there_is_nothing_to_compare_with(prompt: Prompt) -> None:
    assert prompt.bad("config -diff") == (
        "config: no configuration file was loaded; start memtierd with: memtierd -config FILE"
    )


def test_what_is_saved_loads_to_what_runs(prompt: Prompt, daemon: FakeDaemon, tmp_path: Path) -> None:
    assert prompt.bad("config -save x.yaml") == "config: nothing to save: there is neither a policy nor a routine"
    prompt.good("policy -create age")
    assert prompt.bad("config -save x.yaml").endswith("configure it with: policy -config CONFIG")
    prompt.good("policy -config {pids: [7], swapoutms: 5}")
    saved = tmp_path / "saved.yaml"
    assert prompt.good(f"config -save {saved}") == f"saved to {saved}\n"
    few = saved.read_text()
    loaded = config.load_file(str(saved)).policy
    assert loaded is not None
    assert loaded.params == daemon.policy_params
    assert "bandwidth" not in few
    assert prompt.bad(f"config -save {saved} -all").endswith("the file exists; -force overwrites it")
    assert saved.read_text() == few
    prompt.good(f"config -save {saved} -all -force")
    assert "bandwidth: 100" in saved.read_text()
    again = config.load_file(str(saved)).policy
    assert again is not None
    assert again.params == daemon.policy_params


@pytest.mark.parametrize("flag", ["force", "all"])
def test_flags_of_save_alone_are_refused(prompt: Prompt, flag: str) -> None:
    assert prompt.bad(f"config -{flag}", status=2) == f"config: flag -{flag}: only together with -save"


def test_control_characters_of_a_value_are_not_printed(prompt: Prompt) -> None:
    prompt.good('routines -create statactions -config {intervalms: 5, intervalcommand: ["a\\u001bb"]}')
    out = prompt.good("config -path routines")
    assert "\x1b" not in out


def test_paths_are_completed(daemon: FakeDaemon, file: Path) -> None:
    known = known_values(daemon)

    def texts(before: str) -> list[str]:
        return [candidate.text for candidate in complete(before, COMMANDS, known)]

    assert texts("config -path policy.idle") == ["policy.idledurationms", "policy.idlenumas"]
    assert texts("config -set policy.retryms=5,policy.idled") == ["policy.retryms=5,policy.idledurationms"]
