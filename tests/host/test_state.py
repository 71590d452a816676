"""What was learned of processes outlives the daemon, however it ends, and never comes to the wrong one."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from memtierd.daemon import Daemon
from memtierd.linux.probe import probe
from memtierd.linux.proc import process_key
from memtierd.model import ProcessKey
from memtierd.parameters import Part
from memtierd.policies.age import AgeParams
from memtierd.reconcile import Reconciler
from memtierd.state import Keeper
from memtierd.state.encoding import decode, encode
from memtierd.trackers.params import ReferencedParams
from memtierd.watchers.params import PidlistParams

FEATURES = probe()
PATIENCE_S = 60

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("referenced"), reason=FEATURES.get("referenced").detail),
]

CONFIG = """
policy:
  name: age
  config:
    pids: [PID]
    intervalms: 3600000
    idledurationms: 3600000
    tracker: {name: referenced, config: {scanintervalms: INTERVAL}}
"""
SLEEPER = """
import os, sys
x = bytearray(range(256)) * 65536
sys.stdin.readline()
os.execv(sys.executable, [sys.executable, "-c", "x = bytearray(range(256)) * 65536; import sys; sys.stdin.read()"])
"""
NEVER_AGAIN_MS = 3_600_000
"""With this scan interval there is one scan, which proves nothing, so ages stay as they were restored."""


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing, and runs a program anew when it is told to."""
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def other() -> Iterator[int]:
    """Another process."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def wait_for(what: Callable[[], Any]) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := what()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return answer


class Running:
    """A daemon of its own process."""

    def __init__(self, directory: Path, pid: int, interval_ms: int) -> None:
        config = directory / "memtierd.yaml"
        config.write_text(CONFIG.replace("PID", str(pid)).replace("INTERVAL", str(interval_ms)))
        command = [sys.executable, "-m", "tests.host.state_daemon", str(config), str(directory)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command: str) -> str:
        """Return the output of a prompt command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(command, file=self.process.stdin, flush=True)
        return str(json.loads(self.process.stdout.readline()))

    def regions(self) -> dict[str, Any]:
        """Return all regions by address."""
        return {region["start"]: region for region in json.loads(self.ask("regions -f json"))}

    def written(self) -> int:
        """Return how often the state was written."""
        lines = [line for line in self.ask("stats -t events -f csv").splitlines() if "state written" in line]
        return int(lines[0].split(",")[0]) if lines else 0

    def end(self, number: int) -> None:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def running(directory: Path, pid: int, interval_ms: int) -> Iterator[Running]:
    """Give a daemon, which is killed when it still runs at the end."""
    made = Running(directory, pid, interval_ms)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ages_are_kept_when_the_daemon_is_started_again(
    number: signal.Signals, sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    with running(tmp_path, sleeper.pid, 50) as first:
        wait_for(lambda: any(region["idle_s"] >= 0.5 for region in first.regions().values()))
        before = first.regions()
        if number == signal.SIGKILL:
            written = first.written()
            wait_for(lambda: first.written() >= written + 2)  # one of them was begun since
        first.end(number)
    with running(tmp_path, sleeper.pid, NEVER_AGAIN_MS) as second:
        after = wait_for(second.regions)
    kept = [start for start in before if start in after and after[start]["pages"] == before[start]["pages"]]
    assert len(kept) >= len(before) / 2
    assert all(after[start]["idle_s"] >= before[start]["idle_s"] for start in kept)
    assert max(after[start]["idle_s"] for start in kept) >= 0.5
    assert all(after[start]["accesses"] >= before[start]["accesses"] for start in kept)


@contextmanager
def kept_daemon(directory: Path, pid: int, interval_ms: int = 50) -> Iterator[tuple[Daemon, Keeper]]:
    """Give a daemon of this process that tracks one process and keeps its state."""
    daemon = Daemon(features=FEATURES)
    daemon.start()
    keeper = Keeper(daemon, str(directory))
    try:
        keeper.start()
        daemon.create_policy("age")
        daemon.configure_policy(
            AgeParams(
                pidwatcher=Part("pidlist", PidlistParams(pids=(pid,))),
                tracker=Part("referenced", ReferencedParams(scan_interval_ms=interval_ms)),
            )
        )
        daemon.start_policy()
        wait_for(lambda: daemon.call(lambda reconciler: len(reconciler.table)))
        yield daemon, keeper
    finally:
        keeper.stop()
        daemon.stop()


def most_idle_s(daemon: Daemon) -> float:
    def ask(reconciler: Reconciler) -> float:
        seen = reconciler.history()
        return float((seen.observed_ms - seen.last_access_ms).max(initial=0)) / 1000

    return daemon.call(ask)


def events(daemon: Daemon) -> dict[str, int]:
    counted = daemon.call(lambda reconciler: dict(reconciler.statistics.events))
    return {name: event.count for name, event in counted.items() if "state" in name}


def learn(directory: Path, pid: int) -> None:
    with kept_daemon(directory, pid) as (daemon, _):
        wait_for(lambda: most_idle_s(daemon) >= 0.3)


def test_a_program_that_was_run_in_its_place_begins_anew(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    learn(tmp_path, sleeper.pid)
    before = os.readlink(f"/proc/{sleeper.pid}/exe"), process_key(sleeper.pid)
    image = Path(f"/proc/{sleeper.pid}/auxv").read_bytes()
    assert sleeper.stdin is not None
    sleeper.stdin.write(b"\n")
    sleeper.stdin.flush()
    wait_for(lambda: Path(f"/proc/{sleeper.pid}/auxv").read_bytes() != image)
    assert (os.readlink(f"/proc/{sleeper.pid}/exe"), process_key(sleeper.pid)) == before
    with kept_daemon(tmp_path, sleeper.pid, NEVER_AGAIN_MS) as (daemon, _):
        assert most_idle_s(daemon) == 0
        assert events(daemon) == {"state not used: another program runs": 1}


def altered(directory: Path, **changes: Any) -> None:
    """Change the state file, as if it were of another process or boot."""
    file = directory / "learned"
    state = decode(file.read_bytes())
    if "boot" in changes:
        state = attrs.evolve(state, boot=changes["boot"])
    if "key" in changes:
        state = attrs.evolve(
            state, histories=tuple(attrs.evolve(history, key=changes["key"]) for history in state.histories)
        )
    file.write_bytes(b"".join(encode(state)))


def test_a_process_with_a_pid_that_was_used_before_begins_anew(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    learn(tmp_path, sleeper.pid)
    key = process_key(sleeper.pid)
    altered(tmp_path, key=ProcessKey(key.pid, key.start_ticks - 1))
    with kept_daemon(tmp_path, sleeper.pid, NEVER_AGAIN_MS) as (daemon, _):
        assert most_idle_s(daemon) == 0
        assert daemon.call(lambda reconciler: reconciler.recollection) is None


def test_state_of_another_boot_is_not_used_and_nothing_is_wrong(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    learn(tmp_path, sleeper.pid)
    altered(tmp_path, boot="another")
    with kept_daemon(tmp_path, sleeper.pid, NEVER_AGAIN_MS) as (daemon, _):
        assert most_idle_s(daemon) == 0
        assert daemon.conditions() == ()
    assert [path.name for path in tmp_path.iterdir()] == ["learned"]


def test_a_process_that_is_not_seen_yet_is_remembered_over_two_restarts(
    sleeper: "subprocess.Popen[bytes]", other: int, tmp_path: Path
) -> None:
    learn(tmp_path, sleeper.pid)
    with kept_daemon(tmp_path, other, NEVER_AGAIN_MS):
        pass
    with kept_daemon(tmp_path, sleeper.pid, NEVER_AGAIN_MS) as (daemon, _):
        assert most_idle_s(daemon) >= 0.3
        assert events(daemon) == {"state used": 1}


def test_a_process_that_has_ended_is_forgotten(sleeper: "subprocess.Popen[bytes]", other: int, tmp_path: Path) -> None:
    learn(tmp_path, sleeper.pid)
    with kept_daemon(tmp_path, other, NEVER_AGAIN_MS) as (daemon, keeper):
        assert daemon.call(lambda reconciler: bool(reconciler.recollection))
        sleeper.kill()
        sleeper.wait()
        keeper.write()
        assert not daemon.call(lambda reconciler: bool(reconciler.recollection))


@pytest.mark.parametrize("damage", [b"", b"nonsense", None], ids=["empty", "nonsense", "cut"])
def test_a_damaged_file_is_set_aside_and_the_daemon_starts(
    damage: bytes | None, sleeper: "subprocess.Popen[bytes]", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learn(tmp_path, sleeper.pid)
    file = tmp_path / "learned"
    file.write_bytes(file.read_bytes()[:-1] if damage is None else damage)
    with kept_daemon(tmp_path, sleeper.pid, NEVER_AGAIN_MS) as (daemon, _):
        assert most_idle_s(daemon) == 0
        assert events(daemon) == {"state set aside": 1}
    said = [record.getMessage() for record in caplog.records if "set aside" in record.getMessage()]
    assert len(said) == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert names[0] == "learned"
    assert names[1].startswith("learned.damaged-")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_directory_that_is_missing_is_a_condition_until_it_is_there(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    directory = tmp_path / "state"
    daemon = Daemon(features=FEATURES)
    daemon.start()
    keeper = Keeper(daemon, str(directory), interval_s=0.05)
    try:
        keeper.start()
        held = wait_for(daemon.conditions)
        assert "no such file or directory (ENOENT)" in held[0].text
        directory.mkdir()
        wait_for((directory / "learned").exists)
        wait_for(lambda: events(daemon).get("state written", 0) >= 1)
        wait_for(lambda: daemon.conditions() == ())
    finally:
        keeper.stop()
        daemon.stop()


def test_two_daemons_do_not_share_a_directory(tmp_path: Path) -> None:
    first, second = Daemon(features=FEATURES), Daemon(features=FEATURES)
    keepers = [Keeper(daemon, str(tmp_path)) for daemon in (first, second)]
    try:
        for daemon, keeper in zip((first, second), keepers, strict=True):
            daemon.start()
            keeper.start()
        assert first.conditions() == ()
        assert "in use by another memtierd" in wait_for(second.conditions)[0].text
    finally:
        for daemon, keeper in zip((first, second), keepers, strict=True):
            keeper.stop()
            daemon.stop()
