"""Supervision of a daemon that is made of values, by a clock that stands still."""

import itertools
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs
import pytest

from memtierd import policies
from memtierd.conditions import Held
from memtierd.errors import MemtierdError
from memtierd.linux.sd_notify import Notifier
from memtierd.policies.age import AgeParams
from memtierd.reconcile import Reconciler
from memtierd.supervision import Facts, Supervision, status_line

T = TypeVar("T")
SECOND = 10**9
CALM = Facts(policy="age", dry_run=False, processes=2, regions=1, plan="", problems=())


@attrs.define
class Loop:
    """A control loop that beats when it is told to."""

    last_beat_ns: int = 0


@attrs.define
class Daemon:
    """A daemon that answers, unless it is stuck."""

    control: Loop = attrs.field(factory=Loop)
    dry_run: bool = False
    policy_name: str | None = "age"
    policy_running: bool = True
    is_stuck: bool = False
    held: tuple[Held, ...] = ()
    reconciler: Reconciler = attrs.field(factory=lambda: Reconciler(policies.build(AgeParams()), (0,), 0))

    def call(self, function: Callable[[Reconciler], T], timeout_s: float) -> T:
        """Answer."""
        if self.is_stuck:
            raise MemtierdError(f"ask the control thread: no answer within {timeout_s:g} s; try again")
        return function(self.reconciler)

    def conditions(self) -> tuple[Held, ...]:
        """Return what holds."""
        return self.held


@attrs.define
class Clock:
    """A clock that is set."""

    now_ns: int = 1000 * SECOND

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ns


@attrs.define
class Stage:
    """Supervision, all that is around it, and what was sent."""

    supervision: Supervision
    daemon: Daemon
    clock: Clock
    receiver: socket.socket

    def sent(self) -> list[str]:
        """Return what was sent since the last call."""
        lines: list[str] = []
        while True:
            try:
                lines += self.receiver.recv(4096, socket.MSG_DONTWAIT).decode().split("\n")
            except BlockingIOError:
                return lines

    def after(self, seconds: float, *, beats: bool = True) -> list[str]:
        """Let time pass, with beats of the loop or without, and return what is sent then."""
        self.clock.now_ns += round(seconds * SECOND)
        if beats:
            self.daemon.control.last_beat_ns = self.clock.now_ns - SECOND // 2
        self.supervision.look()
        return self.sent()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    daemon, clock = Daemon(), Clock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"{tmp_path}/notify")
        supervision = Supervision(Notifier(f"{tmp_path}/notify"), daemon, interval_s=60, clock_ns=clock)
        yield Stage(supervision, daemon, clock, receiver)


def test_a_loop_that_turns_feeds_the_watchdog(stage: Stage) -> None:
    for _ in range(10):
        assert "WATCHDOG=1" in stage.after(15)


def test_a_loop_that_is_stuck_does_not(stage: Stage) -> None:
    assert "WATCHDOG=1" in stage.after(15)
    stage.daemon.is_stuck = True
    for _ in range(10):
        assert "WATCHDOG=1" not in stage.after(15, beats=False)


def test_a_long_turn_is_no_stuck_loop(stage: Stage) -> None:
    """A turn of 40 s: nothing is sent in it, and the watchdog hears of the next beat before its 60 s are over."""
    sent_s = [passed_s for passed_s in range(15, 300, 15) if "WATCHDOG=1" in stage.after(15, beats=passed_s % 45 == 0)]
    assert max(later - earlier for earlier, later in itertools.pairwise(sent_s)) < 60


def test_silence_is_warned_of_once_and_its_end_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("memtierd")
    propagates, level = log.propagate, log.level
    log.propagate = True
    log.setLevel(logging.INFO)
    try:
        stage.after(15)
        for _ in range(4):
            stage.after(15, beats=False)
        stage.after(15)
    finally:
        log.propagate = propagates
        log.setLevel(level)
    assert [record.getMessage() for record in caplog.records] == [
        "control loop: it has not turned for 45 s; systemd restarts memtierd after 60 s",
        "control loop: it turns again",
    ]


def test_status_is_sent_when_it_changes_and_not_more_often_than_every_five_seconds(stage: Stage) -> None:
    assert "STATUS=policy age, 0 processes, 0 regions; plan: nothing to move" in stage.after(15)
    assert stage.after(15) == ["WATCHDOG=1"]
    stage.daemon.dry_run = True
    assert stage.after(1) == ["WATCHDOG=1"]
    assert "STATUS=policy age (dry run), 0 processes, 0 regions; plan: nothing to move" in stage.after(15)


def test_a_wrong_configuration_file_comes_first(stage: Stage) -> None:
    stage.daemon.held = (
        Held("configuration", "memtierd.yaml:3:5: wrong", 0),
        Held("configuration", "memtierd.yaml:4:5: wrong", 0),
        Held("scan", "something else", 0),
    )
    (status,) = (line for line in stage.after(15) if line.startswith("STATUS="))
    assert status.startswith("STATUS=configuration error: memtierd.yaml:3:5: wrong (and 1 more); policy age, ")
    stage.daemon.held = ()
    (status,) = (line for line in stage.after(15) if line.startswith("STATUS="))
    assert status.startswith("STATUS=policy age, ")


def test_a_loop_that_does_not_answer_is_the_status(stage: Stage) -> None:
    stage.daemon.is_stuck = True
    assert "STATUS=ask the control thread: no answer within 1 s; try again" in stage.after(15)


def test_reloads_are_told_of_with_the_time_at_which_they_began(stage: Stage) -> None:
    stage.supervision.began()
    assert stage.sent() == ["RELOADING=1", "MONOTONIC_USEC=1000000000"]
    stage.supervision.ended("2 values changed")
    assert stage.sent() == ["READY=1", "STATUS=2 values changed"]
    assert "STATUS=policy age, 0 processes, 0 regions; plan: nothing to move" in stage.after(15)


def test_from_start_to_stop(stage: Stage) -> None:
    stage.supervision.start()
    stage.supervision.start()
    stage.supervision.stop()
    stage.supervision.stop()
    sent = stage.sent()
    assert sent[:2] == ["READY=1", "STATUS=policy age, 0 processes, 0 regions; plan: nothing to move"]
    assert sent[-2:] == ["STOPPING=1", "STATUS=stopping"]
    assert sent.count("READY=1") == sent.count("STOPPING=1") == 1


def test_the_thread_feeds_a_quick_watchdog(tmp_path: Path) -> None:
    daemon = Daemon()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"{tmp_path}/notify")
        receiver.settimeout(30)
        supervision = Supervision(Notifier(f"{tmp_path}/notify"), daemon, interval_s=0.04)
        supervision.start()
        try:
            fed = 0
            while fed < 3:
                daemon.control.last_beat_ns = time.monotonic_ns()
                fed += receiver.recv(4096) == b"WATCHDOG=1"
        finally:
            supervision.stop()


def test_nobody_listens() -> None:
    supervision = Supervision(Notifier(None), Daemon(), interval_s=None)
    supervision.start()
    supervision.began()
    supervision.ended("2 values changed")
    supervision.stop()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (CALM, "policy age, 2 processes, 1 region; plan: nothing to move"),
        (attrs.evolve(CALM, policy=""), "no policy, 2 processes, 1 region; plan: nothing to move"),
        (
            attrs.evolve(CALM, processes=1, dry_run=True, plan="1 GB to swap"),
            "policy age (dry run), 1 process, 1 region; plan: 1 GB to swap",
        ),
        (
            attrs.evolve(CALM, problems=("memtierd.yaml is missing",)),
            "configuration error: memtierd.yaml is missing; policy age, 2 processes, 1 region; plan: nothing to move",
        ),
    ],
)
def test_the_status_line(facts: Facts, expected: str) -> None:
    assert status_line(facts) == expected
