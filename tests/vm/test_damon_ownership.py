"""DAMON that is somebody else's is left alone to the last file; what is ours is stopped, also after a crash."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from tests.vm.scenes import PATIENCE_S, ROOT, Memtierd, meme, memtierd, until

T = TypeVar("T")
KDAMONDS = Path("/sys/kernel/mm/damon/admin/kdamonds")
INSTANCES = Path("/sys/kernel/tracing/instances")
NOTES = Path("/run/memtierd")

HEAT = """
policy:
  name: heat
  config:
    pids: [{pid}]
    tracker:
      name: damon
      config: {{connection: {connection}, {kdamonds}, scanintervalms: 1000, samplingus: 20000, aggregationus: 200000}}
"""


def patiently(access: Callable[[], T]) -> T:
    """Return what an access returns: all files of DAMON share a lock, and say EBUSY while memtierd has it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return access()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def write(name: str, value: object) -> None:
    """Write one of DAMON's files."""
    patiently(lambda: (KDAMONDS / name).write_text(f"{value}\n"))


def read(name: str) -> str:
    """Read one of DAMON's files."""
    return patiently((KDAMONDS / name).read_text).strip()


def files(kdamond: int) -> dict[str, str]:
    """Return everything that sysfs says of a kdamond."""
    paths = sorted((KDAMONDS / str(kdamond)).rglob("*"))
    return {str(path): patiently(path.read_text) for path in paths if path.is_file()}


def instances() -> list[str]:
    """Return the names of all trace instances."""
    return sorted(path.name for path in INSTANCES.iterdir())


@contextmanager
def kdamonds(count: int) -> Iterator[None]:
    """Have so many kdamonds until the block ends."""
    write("nr_kdamonds", count)
    try:
        yield
    finally:
        for number in range(count):
            with suppress(PermissionError):  # it has ended with its last process
                if read(f"{number}/state") == "on":
                    write(f"{number}/state", "off")
        write("nr_kdamonds", 0)


def set_up(kdamond: int, pid: int) -> None:
    """Set a kdamond up for a process, as another user of DAMON does."""
    write(f"{kdamond}/contexts/nr_contexts", 1)
    write(f"{kdamond}/contexts/0/operations", "vaddr")
    write(f"{kdamond}/contexts/0/targets/nr_targets", 1)
    write(f"{kdamond}/contexts/0/targets/0/pid_target", pid)


def monitors(kdamond: int, pid: int) -> bool:
    """Return whether a kdamond runs for this process."""
    target = f"{kdamond}/contexts/0/targets/0/pid_target"
    with suppress(OSError):  # what is made anew meanwhile is gone for a moment
        return read(f"{kdamond}/state") == "on" and read(target) == str(pid)
    return False


def kill(daemon: Memtierd) -> None:
    """End memtierd without giving it time for anything."""
    daemon.process.kill()
    daemon.process.wait()
    daemon.was_terminated = True


def test_others_are_left_alone_and_leftovers_are_recovered(tmp_path: Path) -> None:
    with kdamonds(3), meme("-bs", "8M") as theirs, meme("-bs", "8M") as ours:
        set_up(0, theirs.pid)
        write("0/state", "on")
        set_up(2, theirs.pid)
        before = files(0), files(2)
        config = HEAT.format(pid=ours.pid, connection="tracefs", kdamonds="kdamondslist: [1]")
        with memtierd(tmp_path, config) as daemon:
            until("ours is monitored", lambda: monitors(1, ours.pid), daemon.tail)
            until("a trace instance is there", lambda: len(instances()) == 1, instances)
            left, thread = instances(), read("1/pid")
            kill(daemon)
        assert monitors(1, ours.pid)
        assert instances() == left
        assert (files(0), files(2)) == before
        with memtierd(tmp_path, config) as daemon:
            until(
                "another thread monitors ours", lambda: monitors(1, ours.pid) and read("1/pid") != thread, daemon.tail
            )
            until("reports arrive", lambda: "heat_0" in daemon.ask("regions"), daemon.tail)
            assert len(instances()) == 1
            assert instances() != left
        assert (read("1/state"), read("1/contexts/nr_contexts")) == ("off", "0")
        assert (files(0), files(2)) == before
        assert read("nr_kdamonds") == "3"
        assert instances() == []
        assert list(NOTES.glob("*.json")) == []


def test_kdamonds_that_memtierd_makes_are_removed_also_after_a_crash(tmp_path: Path) -> None:
    with meme("-bs", "8M") as first, meme("-bs", "8M") as second:
        config = HEAT.format(pid=f"{first.pid}, {second.pid}", connection="sysfs", kdamonds="nrkdamonds: 1")

        def are_judged() -> bool:
            return all("heat_" in daemon.ask(f"regions -pid {one.pid}") for one in (first, second))

        with memtierd(tmp_path, config) as daemon:
            until("kdamonds are made", lambda: read("nr_kdamonds") == "1" and monitors(0, first.pid), daemon.tail)
            kill(daemon)
        assert monitors(0, first.pid)
        with memtierd(tmp_path, config) as daemon:
            until("DAMON tells of both processes", are_judged, daemon.tail)
            thread = read("0/pid")
            first.process.kill()
            first.process.wait()
            until("the other one is monitored alone", lambda: monitors(0, second.pid), daemon.tail)
            assert read("0/contexts/0/targets/nr_targets") == "1"
            assert read("0/pid") == thread
    assert read("nr_kdamonds") == "0"


@pytest.mark.parametrize(
    ("count", "option", "say"),
    [
        (0, "nrkdamonds: 0", ["nrkdamonds: 1", "kdamondslist: [0]", "nr_kdamonds"]),
        (2, "nrkdamonds: 2", ["kdamondslist: [1]", "somebody else manages them", "not in use now: 1"]),
        (2, "kdamondslist: [0, 1]", ["kdamond 0 runs", "by somebody else", "not in use now: 1"]),
    ],
)
def test_what_to_write_is_said(count: int, option: str, say: list[str], tmp_path: Path) -> None:
    with kdamonds(count), meme("-bs", "1M") as busy:
        if count:
            set_up(0, busy.pid)
            write("0/state", "on")
        before = files(0) if count else {}
        config = tmp_path / "memtierd.yaml"
        config.write_text(HEAT.format(pid=busy.pid, connection="auto", kdamonds=option))
        command = [sys.executable, "-m", "memtierd", "-config", str(config)]
        ended = subprocess.run(
            command, check=False, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 1
        assert [part for part in say if part not in ended.stderr] == [], ended.stderr
        assert (files(0) if count else {}) == before
