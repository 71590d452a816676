"""What is sent to systemd, on real sockets."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd.linux.sd_notify import Notifier, watchdog_interval_s


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.settimeout(10)
        yield bound


def received(receiver: socket.socket) -> list[str]:
    return receiver.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def notifier(request: pytest.FixtureRequest, receiver: socket.socket, tmp_path: Path) -> Notifier:
    """Return a notifier of `receiver`, at a path or at an abstract address."""
    name = f"{tmp_path}/notify"
    receiver.bind(name if request.param == "path" else f"\0{name}")
    return Notifier.from_environment({"NOTIFY_SOCKET": name if request.param == "path" else f"@{name}"})


def test_every_message(notifier: Notifier, receiver: socket.socket) -> None:
    assert notifier.is_active
    assert notifier.ready("policy age")
    assert received(receiver) == ["READY=1", "STATUS=policy age"]
    assert notifier.ready()
    assert received(receiver) == ["READY=1"]
    assert notifier.reloading(12_345_678_901)
    assert received(receiver) == ["RELOADING=1", "MONOTONIC_USEC=12345678"]
    assert notifier.watchdog()
    assert received(receiver) == ["WATCHDOG=1"]
    assert notifier.status("two\nlines of \x1b[31m\nREADY=1")
    assert received(receiver) == ["STATUS=two\\nlines of \\x1b[31m\\nREADY=1"]
    assert notifier.stopping("stopping")
    assert received(receiver) == ["STOPPING=1", "STATUS=stopping"]


def test_a_long_status_is_cut(notifier: Notifier, receiver: socket.socket) -> None:
    assert notifier.status("x" * 100_000)
    (line,) = received(receiver)
    assert len(line) < 1000
    assert line.endswith("(100000 characters)")


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_a_service_manager_nothing_is_sent(environment: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environment)
    assert not notifier.is_active
    assert not notifier.ready("policy age")
    assert not notifier.watchdog()


def test_a_socket_that_is_gone_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("memtierd")
    before, log.propagate = log.propagate, True
    try:
        notifier = Notifier(f"{tmp_path}/none")
        assert not notifier.ready()
        assert not notifier.watchdog()
    finally:
        log.propagate = before
    (record,) = caplog.records
    assert record.getMessage().endswith("no such file or directory (ENOENT); memtierd goes on")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_the_watchdogs_interval(environment: dict[str, str], expected: float | None) -> None:
    assert watchdog_interval_s(environment, os.getpid()) == expected
