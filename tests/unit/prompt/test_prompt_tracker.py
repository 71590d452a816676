"""tracker: steering one by hand, and its counts."""

from pathlib import Path

import pytest

from memtierd.model import ProcessKey
from memtierd.trackers import SoftDirtyParams
from tests.unit.prompt.prompt_fakes import BASE, KEY, REGION_BYTES, FakeDaemon, Prompt, process_scan, scan

NONE = "tracker: no tracker, create one with: tracker -create NAME [-config CONFIG]"


@pytest.mark.parametrize("flags", ["-start 42", "-counters", "-config {}", "-config-dump", "-stop", "-heat", "-reset"])
def test_nothing_works_without_a_tracker(prompt: Prompt, flags: str) -> None:
    assert prompt.bad(f"tracker {flags}") == NONE


def test_list(prompt: Prompt) -> None:
    assert set(prompt.good("tracker -ls").split()) >= {"auto", "idlepage", "softdirty"}


def test_no_flag_is_wrong_usage(prompt: Prompt) -> None:
    assert prompt.bad("tracker", status=2) == "tracker: nothing to do; tracker -h lists the flags"


def test_create_configure_and_start_in_one_command(prompt: Prompt, daemon: FakeDaemon) -> None:
    out = prompt.good('tracker -create softdirty -config {"PagesInRegion":256} -start 42,43')
    assert out == "tracker created\ntracker configured successfully\ntracker started\n"
    assert daemon.tracker_params == SoftDirtyParams(pages_in_region=256)
    assert daemon.asked == [("start_tracker", [42, 43])]
    assert prompt.good("tracker -config-dump").startswith('{"PagesInRegion":256,')


def test_starting_a_running_tracker_stops_it_first(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("tracker -create softdirty -start 42")
    assert prompt.good("tracker -start 43") == "tracker started\n"
    assert daemon.asked == [("start_tracker", [42]), ("stop_tracker",), ("start_tracker", [43])]
    assert prompt.good("tracker -stop") == "tracker stopped\n"


@pytest.mark.parametrize("flags", ["-start 42", "-stop", "-create idlepage"])
def test_a_running_policy_keeps_its_tracker(prompt: Prompt, daemon: FakeDaemon, flags: str) -> None:
    prompt.good("tracker -create softdirty")
    daemon.policy_running = True
    assert prompt.bad(f"tracker {flags}") == (
        "tracker: a policy is running and needs its tracker; stop the policy first with: policy -stop"
    )
    assert (daemon.tracker_name, daemon.asked) == ("softdirty", [])


def test_configuration_from_a_file(prompt: Prompt, daemon: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "softdirty.yaml"
    file.write_text("pagesinregion: 1024\n")
    prompt.good(f"tracker -create softdirty -config-file {file}")
    assert daemon.tracker_params.pages_in_region == 1024
    assert "missing.yaml': no such file or directory" in prompt.bad(f"tracker -config-file {tmp_path}/missing.yaml")


def test_wrong_configurations_change_nothing(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("tracker -create softdirty")
    said = prompt.bad('tracker -config {"PagesInRegion":"many"}')
    assert said.startswith("tracker: -config:1:18: ")
    assert daemon.tracker_params is None


def test_an_unknown_tracker(prompt: Prompt, daemon: FakeDaemon) -> None:
    assert prompt.bad("tracker -create bogus") == "tracker: invalid tracker name 'bogus'"
    assert daemon.tracker_name is None


@pytest.mark.parametrize("flags", ["-start abc", "-start", "-dump cooked new"])
def test_wrong_usage(prompt: Prompt, flags: str) -> None:
    prompt.bad(f"tracker {flags}", status=2)


def test_counters_and_heat(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("tracker -create softdirty")
    assert prompt.good("tracker -counters -heat") == "no counter entries\n"
    daemon.reconciler.observe(scan(process_scan([5, 5, 2], 1, written=[4, 0, 2])))
    assert prompt.good("tracker -counters") == (
        "a=0 r=0 w=2 AddrRanges{pid=42 ranges=7f0000400000-7f0000600000 (2097152 B)}\n"
        "a=1 r=0 w=4 AddrRanges{pid=42 ranges=7f0000000000-7f0000200000 (2097152 B)}\n"
        "a=5 r=0 w=0 AddrRanges{pid=42 ranges=7f0000200000-7f0000400000 (2097152 B)}\n"
    )
    assert prompt.good("tracker -heat") == (
        f"{BASE:x}-{BASE + 2 * REGION_BYTES:x} (4194304 B) 5\n"
        f"{BASE + 2 * REGION_BYTES:x}-{BASE + 3 * REGION_BYTES:x} (2097152 B) 2\n"
    )
    assert prompt.good("tracker -reset") == "tracker counters reset\n"
    assert "a=0 r=0 w=0" in prompt.good("tracker -counters | head -1")


def test_heat_of_several_processes_names_them(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("tracker -create softdirty")
    daemon.reconciler.observe(scan(process_scan([5], 1, ProcessKey(50, 1)), process_scan([5], 1, KEY)))
    lines = prompt.good("tracker -heat").splitlines()
    assert [line for line in lines if line.startswith("pid")] == ["pid: 42", "pid: 50"]
