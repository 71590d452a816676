"""pidwatcher: choosing and running one by hand, and what it found."""

import time
from pathlib import Path

import pytest

from memtierd.watchers import PidlistParams
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt

NONE = "pidwatcher: no pidwatcher, create one with: pidwatcher -create NAME [-config CONFIG]"
UNCONFIGURED = "pidwatcher: start pidwatcher pidlist: it has no configuration; give one with: pidwatcher -config CONFIG"


@pytest.mark.parametrize("flags", ["-config {}", "-config-dump", "-listener log", "-start", "-stop", "-poll", "-dump"])
def test_nothing_works_without_a_pidwatcher(prompt: Prompt, flags: str) -> None:
    assert prompt.bad(f"pidwatcher {flags}") == NONE


def test_list(prompt: Prompt) -> None:
    assert prompt.good("pidwatcher -ls").split() == ["cgroups", "filter", "pidlist", "proc", "stub"]


@pytest.mark.parametrize(
    "line", ["pidwatcher", "pidwatcher -listener everybody", "pidwatcher -create", "pidwatcher -x"]
)
def test_wrong_usage(prompt: Prompt, line: str) -> None:
    prompt.bad(line, status=2)


def test_an_unknown_pidwatcher(prompt: Prompt, daemon: FakeDaemon) -> None:
    assert prompt.bad("pidwatcher -create bogus") == "pidwatcher: invalid pidwatcher name 'bogus'"
    assert daemon.pidwatcher.name is None


def test_one_look_and_what_it_found(prompt: Prompt, daemon: FakeDaemon) -> None:
    out = prompt.good('pidwatcher -create pidlist -config {"Pids":[7,5]} -config-dump')
    assert out == 'pidwatcher created\npidwatcher configured successfully\n{"IntervalMs":5000,"Pids":[7,5]}\n'
    assert daemon.pidwatcher.params == PidlistParams(pids=(7, 5))
    assert prompt.bad("pidwatcher -dump").startswith("pidwatcher: nothing was looked for yet; ")
    assert prompt.good("pidwatcher -poll -dump") == "processes: 2\npid: 5\npid: 7\ncondition: it rains\n"
    assert daemon.asked == [("build", "pidlist"), ("track", [5, 7])]


def test_the_log_as_listener_hears_of_changes_only(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good('pidwatcher -create pidlist -config {"Pids":[7]} -listener log -poll -poll')
    prompt.good('pidwatcher -config {"Pids":[8,9]} -poll')
    assert daemon.asked_to_log == [
        "pidwatcher: AddPids([7])",
        "pidwatcher: AddPids([8 9])",
        "pidwatcher: RemovePids([7])",
    ]
    assert ("track", [7]) not in daemon.asked


@pytest.mark.parametrize("flags", ["-start", "-poll", "-create pidlist -start"])
def test_one_without_configuration_does_not_start(prompt: Prompt, flags: str) -> None:
    prompt.good("pidwatcher -create pidlist")
    assert prompt.bad(f"pidwatcher {flags}") == UNCONFIGURED


def test_there_is_nothing_to_dump_without_configuration(prompt: Prompt) -> None:
    prompt.good("pidwatcher -create pidlist")
    assert prompt.bad("pidwatcher -config-dump").startswith("pidwatcher: the pidwatcher pidlist is not configured")


def test_starting_and_stopping_twice_is_harmless(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("pidwatcher -create proc")
    for _ in range(2):
        assert prompt.good("pidwatcher -start") == "pidwatcher started\n"
    assert daemon.asked.count(("build", "proc")) == 1
    deadline = time.monotonic() + 20
    while ("track", [42]) not in daemon.asked:
        assert time.monotonic() < deadline
    for _ in range(2):
        assert prompt.good("pidwatcher -stop") == "pidwatcher stopped\n"
    assert not daemon.pidwatcher.is_running


def test_configuration_from_a_file(prompt: Prompt, daemon: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "pidlist.yaml"
    file.write_text("pids: [1024]\n")
    out = prompt.good(f"pidwatcher -create pidlist -config-file {file}")
    assert out == f'pidwatcher created\npidwatcher configured successfully from "{file}"\n'
    assert daemon.pidwatcher.params.pids == (1024,)
    assert "missing.yaml': no such file or directory" in prompt.bad(f"pidwatcher -config-file {tmp_path}/missing.yaml")


def test_wrong_configurations_change_nothing(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("pidwatcher -create pidlist")
    assert prompt.bad('pidwatcher -config {"Pids":[-1]}').startswith("pidwatcher: -config:1:")
    assert daemon.pidwatcher.params is None


@pytest.mark.parametrize(
    "flags", ["-create proc", '-config {"Pids":[1]}', "-listener log", "-start", "-stop", "-config-file x"]
)
def test_a_running_policy_keeps_its_pidwatcher(prompt: Prompt, daemon: FakeDaemon, flags: str) -> None:
    prompt.good('pidwatcher -create pidlist -config {"Pids":[7]}')
    daemon.policy_running = True
    assert prompt.bad(f"pidwatcher {flags}") == (
        "pidwatcher: a policy is running and needs its pidwatcher; stop the policy first with: policy -stop"
    )
    assert (daemon.pidwatcher.name, daemon.pidwatcher.listener) == ("pidlist", "tracker")
    assert daemon.pidwatcher.params == PidlistParams(pids=(7,))
    assert "pid: 7" in prompt.good("pidwatcher -poll -dump")
