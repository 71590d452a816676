"""Supervision of a real daemon: the watchdog is fed while it works, and not while its control loop is stuck."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtierd.daemon import Daemon
from memtierd.linux.sd_notify import Notifier
from memtierd.supervision import Supervision

PATIENCE_S = 60


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"{tmp_path}/notify")
        yield bound


def is_fed(supervision: Supervision, receiver: socket.socket) -> bool:
    """Let supervision look and return whether it feeds the watchdog."""
    supervision.look()
    fed = False
    while True:
        try:
            fed |= receiver.recv(4096, socket.MSG_DONTWAIT) == b"WATCHDOG=1"
        except BlockingIOError:
            return fed


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_stuck_control_loop_starves_the_watchdog(daemon: Daemon, receiver: socket.socket, tmp_path: Path) -> None:
    supervision = Supervision(Notifier(f"{tmp_path}/notify"), daemon, interval_s=60)
    assert soon(lambda: is_fed(supervision, receiver))
    assert soon(lambda: is_fed(supervision, receiver)), "an idle loop turns, too"
    is_stuck, goes_on = threading.Event(), threading.Event()

    def block() -> None:
        is_stuck.set()
        goes_on.wait(PATIENCE_S)

    stuck = threading.Thread(target=daemon.call, args=(lambda _: block(), PATIENCE_S))
    stuck.start()
    try:
        assert is_stuck.wait(PATIENCE_S)
        is_fed(supervision, receiver)  # it may have turned since the last look
        assert not any(is_fed(supervision, receiver) for _ in range(3))
    finally:
        goes_on.set()
        stuck.join()
    assert soon(lambda: is_fed(supervision, receiver))
