"""The two connections that need no program: what they make of what the kernel says."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memtierd.linux.damon_setup import Setup, Target
from memtierd.trackers.damon.connection import Monitor
from memtierd.trackers.damon.snapshots import SysfsConnection
from memtierd.trackers.damon.tracefs import TracefsConnection
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.damon.damon_fakes import FakeMachine
from tests.unit.trackers.damon.test_damon_events import TRACE_6_12

PATIENCE_S = 10


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Snapshots:
    """A kdamond that lists regions of two processes, and a connection to it."""

    def __init__(self, directory: Path) -> None:
        self.machine = FakeMachine.make(directory, 1)
        for pid in (7, 8):
            self.machine.process(pid)
        setup = Setup(5000, 100_000, 1_000_000, 10, 1000, (Target(7), Target(8)), schemes=True)
        self.machine.sysfs.configure(0, setup)
        self.monitor = Monitor(0, self.machine.sysfs.start(0), 2)
        self.connection = SysfsConnection(self.machine.sysfs, 1000, clock=lambda: 12345)

    def listed(self, scheme: int, *regions: tuple[int, int, int]) -> None:
        """Let a scheme list (first page, page behind, nr_accesses)."""
        for number, (first, end, accesses) in enumerate(regions):
            directory = f"0/contexts/0/schemes/{scheme}/tried_regions/{number}"
            values = {"start": first * PAGE_BYTES, "end": end * PAGE_BYTES, "nr_accesses": accesses, "age": 1}
            self.machine.files.values.update((f"{directory}/{name}", str(value)) for name, value in values.items())


def test_a_snapshot_is_one_aggregation_of_every_process(tmp_path: Path) -> None:
    scene = Snapshots(tmp_path)
    scene.listed(0, (0, 4, 3), (4, 8, 0))
    scene.listed(1, (0, 2, 20))
    scene.connection.follow([scene.monitor])
    scene.connection.ask()
    records = scene.connection.take()
    assert records.target.tolist() == [0, 0, 1]
    assert records.nr_regions.tolist() == [2, 2, 1]
    assert records.nr_accesses.tolist() == [3, 0, 20]
    assert (records.end // PAGE_BYTES).tolist() == [4, 8, 2]
    assert set(records.thread.tolist()) == {scene.monitor.thread}
    assert set(records.time_ns.tolist()) == {12345}
    assert len(scene.connection.take()) == 0
    assert scene.connection.conditions() == ()


def test_a_kdamond_that_has_ended_is_normal(tmp_path: Path) -> None:
    scene = Snapshots(tmp_path)
    scene.listed(0, (0, 4, 3))
    scene.connection.follow([scene.monitor])
    scene.machine.files.end(0)
    scene.connection.ask()
    assert len(scene.connection.take()) == 0
    assert scene.connection.conditions() == ()


def test_what_the_kernel_refuses_is_a_condition_while_it_lasts(tmp_path: Path) -> None:
    scene = Snapshots(tmp_path)
    scene.connection.follow([scene.monitor])
    scene.machine.files.refuse[("0/state", "update_schemes_tried_regions")] = errno.EBUSY
    scene.connection.ask()
    (condition,) = scene.connection.conditions()
    assert "EBUSY" in condition
    scene.machine.files.refuse.clear()
    scene.connection.ask()
    assert scene.connection.conditions() == ()


def test_snapshots_are_taken_in_the_background_until_it_is_closed(tmp_path: Path) -> None:
    scene = Snapshots(tmp_path)
    scene.listed(0, (0, 4, 3))
    connection = SysfsConnection(scene.machine.sysfs, 1)
    connection.follow([scene.monitor])
    connection.open()
    until(lambda: len(connection.take()) > 0)
    connection.close()
    scene.machine.files.written.clear()
    connection.take()
    assert scene.machine.files.written == []
    assert len(connection.take()) == 0


class Pipe:
    """A trace_pipe that a test writes into, and a connection that reads it."""

    def __init__(self) -> None:
        self.connection = TracefsConnection("memtierd-1-1", 100_000)
        read_fd, self.write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        self.connection._pipe = read_fd

    def close(self) -> None:
        """Close both ends."""
        os.close(self.connection._pipe)
        os.close(self.write_fd)


def test_the_trace_pipe_is_read_until_it_is_empty() -> None:
    pipe = Pipe()
    os.write(pipe.write_fd, TRACE_6_12 * 50 + TRACE_6_12[:30])
    pipe.connection._drain()
    assert len(pipe.connection.take()) == 100
    os.write(pipe.write_fd, TRACE_6_12[30:])
    pipe.connection._drain()
    assert len(pipe.connection.take()) == 2
    assert pipe.connection.conditions() == ()
    pipe.close()


def test_lost_events_are_a_condition_until_none_is_lost_for_a_while() -> None:
    pipe = Pipe()
    os.write(pipe.write_fd, b"CPU:1 [LOST 12 EVENTS]\n" + TRACE_6_12)
    pipe.connection._drain()
    assert pipe.connection.lost == 12
    pipe.connection.take()
    (condition,) = pipe.connection.conditions()
    assert "raise aggregationus" in condition
    for _ in range(12):
        pipe.connection.take()
    assert pipe.connection.conditions() == ()
    pipe.close()


def test_a_pipe_that_fails_is_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe()

    def fails() -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(pipe.connection, "_drain", fails)
    pipe.connection._pause_s = 0
    pipe.connection._run()
    (condition,) = pipe.connection.conditions()
    assert "trace_pipe" in condition
    pipe.close()


def test_closing_what_is_not_open_has_no_effect() -> None:
    TracefsConnection("memtierd-1-1", 100_000).close()
