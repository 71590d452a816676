"""The daemon's tracker, started and stopped as the prompt and the policy do."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from memtierd.daemon import Daemon
from memtierd.errors import NotConfiguredError
from memtierd.linux.probe import probe

FEATURES = probe()
NAMES = [name for name in ("idlepage", "softdirty", "referenced") if FEATURES.works(name)]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon(features=FEATURES)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def pid() -> Iterator[int]:
    program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("name", NAMES)
def test_a_tracker_can_be_started_again_while_it_runs(name: str, daemon: Daemon, pid: int) -> None:
    daemon.create_tracker(name)
    daemon.start_tracker([pid])
    daemon.start_tracker([pid])
    assert daemon.tracker_running
    daemon.stop_tracker()
    assert not daemon.tracker_running
    daemon.start_tracker([pid])
    assert daemon.tracker_running


@pytest.mark.parametrize("name", NAMES)
def test_trackers_that_are_replaced_leave_no_open_files(name: str, daemon: Daemon, pid: int) -> None:
    daemon.create_tracker(name)
    before = open_files()
    daemon.create_tracker(name)
    daemon.configure_tracker(daemon.tracker_params)
    assert open_files() == before
    daemon.start_tracker([pid])
    daemon.stop_tracker()
    daemon.create_tracker(name)
    daemon.control.watch(frozenset())
    assert open_files() == before


def test_the_stub_policy_starts_without_a_configuration_and_stops_what_was_tracked(daemon: Daemon, pid: int) -> None:
    daemon.create_tracker(NAMES[0])
    daemon.start_tracker([pid])
    daemon.create_policy("stub")
    daemon.start_policy()
    assert daemon.policy_running
    assert not daemon.tracker_running
    daemon.stop_policy()
    assert not daemon.policy_running


@pytest.mark.skipif(not FEATURES.works("damon_sysfs"), reason=FEATURES.get("damon_sysfs").detail)
def test_a_tracker_that_needs_parameters_can_be_chosen_before_it_gets_them(daemon: Daemon, pid: int) -> None:
    daemon.create_tracker("damon")
    with pytest.raises(NotConfiguredError, match=r"kdamondslist: \[\d+\]"):
        daemon.start_tracker([pid])
    assert not daemon.tracker_running
