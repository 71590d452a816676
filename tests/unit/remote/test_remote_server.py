"""The server against clients that are clumsy, slow, greedy or hostile."""

import logging
import os
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command
from memtierd.remote import server as server_module
from memtierd.remote.access import Peer
from memtierd.remote.frames import MAX_GREETING_BYTES, VERSION
from memtierd.remote.server import Limits, Refusals, Server
from tests.unit.remote.remote_fakes import WAIT_S, Daemon, Raw


def attached(path: str) -> Raw:
    one = Raw(path)
    assert one.greet()["type"] == "welcome"
    return one


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a command that prints without an end."""

    def run(context: Context, _options: Any) -> None:
        while True:
            context.line("x" * 1000)

    monkeypatch.setitem(COMMANDS, "flood", Command("flood", "print without an end", run, changes=False))


def test_the_greeting_tells_whom_one_has_attached_to(path: str) -> None:
    welcome = Raw(path).greet()
    assert (welcome["type"], welcome["version"], welcome["pid"]) == ("welcome", VERSION, os.getpid())
    assert (welcome["dry_run"], welcome["config"], welcome["may_change"]) == (False, None, True)


def test_a_command_is_begun_printed_and_ended(path: str) -> None:
    one = attached(path)
    one.run("nop", "-h")
    kinds = [message["type"] for message in one.until("end")]
    assert kinds == ["begin", "out", "end"]
    one.run("nop", "-x")
    (end,) = one.until("end")
    assert (end["status"], end["speaker"], end["message"]) == (2, "nop", "unknown flag -x; nop -h lists the flags")


@pytest.mark.parametrize(
    "data", [b"help\n", b"GET / HTTP/1.1\r\n", struct.pack(">I", 0), struct.pack(">I", 5) + b"nope!"]
)
def test_what_is_no_message_ends_that_client_only(path: str, data: bytes, daemon: Daemon) -> None:
    good, bad = attached(path), Raw(path)
    bad.socket.sendall(data)
    assert bad.hear() == {}
    good.run("nop")
    assert good.until("end")[-1]["status"] == 0
    assert daemon.control.counted["control socket: protocol error"] == 1


def test_before_the_greeting_only_little_may_be_sent(path: str) -> None:
    bad = Raw(path)
    bad.socket.sendall(struct.pack(">I", MAX_GREETING_BYTES + 1))
    assert bad.hear() == {}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("run", {"id": 1, "words": [], "columns": None, "colours": False, "screen": False}),
        ("run", {"id": 1, "words": [1], "columns": None, "colours": False, "screen": False}),
        ("run", {"id": "1", "words": ["nop"], "columns": None, "colours": False, "screen": False}),
        ("run", {"id": 1, "words": ["nop"], "columns": "80", "colours": False, "screen": False}),
        ("run", {"id": 1, "words": "nop", "columns": None, "colours": False, "screen": False}),
        ("run", {}),
        ("complete", {"id": 1}),
        ("interrupt", {}),
        ("size", {"id": 1, "columns": None}),
        ("hello", {"version": 1}),
        ("reboot", {}),
    ],
)
def test_a_wrong_message_is_told_and_ends_the_client(path: str, kind: str, fields: dict[str, Any]) -> None:
    bad = attached(path)
    if kind == "size":
        bad.run("time", "-sleep", "1h")
        bad.until("begin")
    bad.say(kind, **fields)
    assert "it got" in bad.until("bye")[-1]["message"]
    assert bad.hear() == {}


def test_a_number_twice_is_refused(path: str) -> None:
    bad = attached(path)
    bad.run("time", "-sleep", "1h")
    bad.run("nop")
    assert "in use" in bad.until("bye")[-1]["message"]


def test_another_version_is_told_ours(path: str) -> None:
    refused = Raw(path).greet(VERSION + 1)
    assert (refused["type"], refused["version"], refused["pid"]) == ("refused", VERSION, os.getpid())


def test_who_does_not_greet_is_dropped(serve: Callable[..., str]) -> None:
    silent = Raw(serve(greeting_s=0.1))
    assert silent.hear() == {}


def test_nobody_else_gets_in(
    path: str, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(4711, os.geteuid() + 1, frozenset({1000})))
    for _ in range(20):
        refused = Raw(path).greet()
        assert (refused["type"], refused["version"]) == ("refused", VERSION)
    assert daemon.control.counted["control socket: client denied"] == 20
    assert caplog.text.count("pid 4711") == 1


def test_there_is_room_for_so_many_and_always_some_for_the_owner(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, gid = str(tmp_path / "c.sock"), os.getegid()
    server = Server(daemon, path, group=str(gid), limits=Limits(clients=3, clients_of_others=2))
    server.start()
    mine, others = Peer(1, os.geteuid(), frozenset()), Peer(2, os.geteuid() + 1, frozenset({gid}))
    who = [others, others, others, mine, mine]
    monkeypatch.setattr(server_module, "peer_of", lambda _: who.pop(0))
    clients = [Raw(path) for _ in range(5)]
    answers = [one.greet()["type"] for one in clients]
    assert answers == ["welcome", "welcome", "refused", "welcome", "refused"]
    assert daemon.control.counted["control socket: client over the limit"] == 2
    clients[0].close()
    until(lambda: len(server._clients) == 2)
    who.append(others)
    assert Raw(path).greet()["type"] == "welcome"
    server.stop()


def test_a_client_that_takes_nothing_is_dropped_and_holds_up_nobody(
    serve: Callable[..., str], daemon: Daemon, flood: None, caplog: pytest.LogCaptureFixture
) -> None:
    path = serve(patience_s=0.3)
    stuck, other = attached(path), attached(path)
    stuck.run("flood")
    for number in range(10):
        other.run("help", number=number)
        assert other.until("end")[-1]["status"] == 0
    until(lambda: daemon.control.counted["control socket: client dropped"] == 1)
    assert "takes nothing for 0.3 s" in caplog.text
    while stuck.hear():
        pass  # what was on its way, then the end


def test_a_slow_client_that_says_that_it_lives_is_waited_for(
    serve: Callable[..., str], daemon: Daemon, flood: None
) -> None:
    path = serve(patience_s=0.5)
    slow = attached(path)
    slow.run("flood")
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        slow.say("alive")
        time.sleep(0.05)
    assert not daemon.control.counted["control socket: client dropped"]
    slow.say("interrupt", id=1)
    assert slow.until("end")[-1]["status"] == 130


def test_a_pause_is_interrupted_and_the_next_command_works(path: str) -> None:
    one = attached(path)
    one.run("time", "-sleep", "1h")
    one.until("begin")
    one.say("interrupt", id=1)
    assert one.until("end")[-1]["status"] == 130
    one.run("nop", number=2)
    assert one.until("end")[-1]["status"] == 0


def test_a_command_that_was_sent_ahead_is_interrupted_too(path: str) -> None:
    one = attached(path)
    one.run("time", "-sleep", "1h", number=1)
    one.run("time", "-sleep", "1h", number=2)
    one.say("interrupt", id=2)
    one.say("interrupt", id=1)
    assert [one.until("end")[-1]["id"], one.until("end")[-1]["id"]] == [1, 2]


def test_only_a_few_commands_can_be_sent_ahead(path: str) -> None:
    one = attached(path)
    for number in range(20):
        one.run("time", "-sleep", "1h", number=number)
    assert "commands at once" in one.until("bye")[-1]["message"]


def test_a_long_command_of_one_client_blocks_no_other(path: str) -> None:
    one, other = attached(path), attached(path)
    one.run("top", "-count", "1000", "-interval", "1h")
    one.until("out")
    other.run("health")
    assert other.until("end")[-1]["status"] == 0


def test_clients_remember_for_themselves(path: str) -> None:
    one, other = attached(path), attached(path)
    one.run("time", "-start", "watch")
    assert one.until("end")[-1]["status"] == 0
    other.run("time", "-elapsed", "watch")
    assert other.until("end")[-1]["status"] == 1
    one.run("time", "-elapsed", "watch", number=2)
    assert one.until("end")[-1]["status"] == 0


def test_a_bug_in_a_command_ends_neither_the_daemon_nor_the_connection(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(_context: Context, _options: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(COMMANDS, "buggy", Command("buggy", "fail", run, changes=False))
    one = attached(path)
    one.run("buggy")
    assert one.until("end")[-1]["status"] == 70
    assert "Traceback" in caplog.text
    one.run("nop", number=2)
    assert one.until("end")[-1]["status"] == 0


def test_a_command_that_ends_memtierd_ends_the_client_only(path: str) -> None:
    one = attached(path)
    one.run("log", "-f", "the end")
    assert one.until("end")[-1]["exit"] == 1
    one.run("nop", number=2)
    assert one.until("end")[-1]["status"] == 0


def test_changes_are_logged_with_their_author(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "memtierd")
    one = attached(path)
    one.run("stats")
    one.until("end")
    one.run("policy", "-create", "age", number=2)
    one.until("end")
    author = f"control socket: pid {os.getpid()}, uid {os.geteuid()}: "
    assert f"{author}policy -create age" in caplog.text
    assert f"{author}stats" not in caplog.text


def test_the_group_may_only_look(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "c.sock")
    server = Server(daemon, path, group=str(os.getegid()))
    server.start()
    member = Peer(2, os.geteuid() + 1, frozenset({os.getegid()}))
    monkeypatch.setattr(server_module, "peer_of", lambda _: member)
    one = Raw(path)
    assert one.greet()["may_change"] is False
    one.run("health")
    assert one.until("end")[-1]["status"] == 0
    one.run("policy", "-create", "age", number=2)
    end = one.until("end")[-1]
    assert (end["status"], end["message"].split(";")[0]) == (1, "-create changes something, and you may only look")
    one.run("policy", "-config-file", "x" * (1 << 15), number=4)
    assert one.until("end")[-1]["status"] == 1
    one.run("policy", "-create", "age", "-h", number=3)
    assert one.until("end")[-1]["status"] == 0
    assert daemon.policy_name is None
    assert daemon.control.counted["control socket: change refused"] == 2
    one.run("help", "x" * (1 << 16), number=5)
    assert "it got" in one.until("bye")[-1]["message"]
    server.stop()


NUMBERS = st.integers(0, 3)
VALUES = st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.lists(st.sampled_from(["nop", "help", "q", ""]))
KINDS = st.sampled_from(["run", "complete", "interrupt", "size", "left", "answer", "alive", "hello", "end", ""])
FIELDS = st.dictionaries(
    st.sampled_from(["id", "words", "columns", "lines", "colours", "screen", "before", "text", "version"]), VALUES
)
RUNS = st.builds(
    lambda number, words: ("run", {"id": number, "words": words, "columns": None, "colours": True, "screen": True}),
    NUMBERS,
    st.lists(st.sampled_from(["nop", "help", "stats", "-f", "json", "top", "time", "-sleep", "1h"]), max_size=4),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(KINDS, FIELDS) | RUNS, max_size=6))
def test_no_message_harms_the_daemon(
    path: str, caplog: pytest.LogCaptureFixture, messages: list[tuple[str, dict[str, Any]]]
) -> None:
    caplog.clear()
    one = attached(path)
    with suppress(OSError):  # it was ended by one of them
        for kind, fields in messages:
            one.say(kind, **fields)
    one.close()
    other = attached(path)
    other.run("nop")
    assert other.until("end")[-1]["status"] == 0
    other.close()
    assert "is a bug" not in caplog.text


def test_the_end_of_the_server_is_told_and_ends_commands(daemon: Daemon, tmp_path: Path) -> None:
    before = open_files(), threading.active_count()
    path = str(tmp_path / "c.sock")
    server = Server(daemon, path)
    server.start()
    server.start()
    idle, busy = attached(path), attached(path)
    busy.run("time", "-sleep", "1h")
    busy.until("begin")
    server.stop()
    server.stop()
    assert idle.until("bye")[-1]["message"] == "it is stopping"
    assert [message["type"] for message in busy.until("bye")] in (["bye"], ["flush", "bye"])
    assert not os.path.lexists(path)
    for one in (idle, busy):
        one.close()
    assert (open_files(), threading.active_count()) == before
    server.start()
    attached(path).close()
    server.stop()


def test_a_thousand_clients_leave_nothing_behind(path: str, daemon: Daemon) -> None:
    attached(path).close()
    until(lambda: threading.active_count() <= 2)
    before = open_files()
    for number in range(1000):
        one = Raw(path)
        if number % 4 == 1:
            one.greet()
            one.run("help")
            one.until("end")
        elif number % 4 == 2:
            one.greet()
            one.run("time", "-sleep", "1h")  # and goes
        elif number % 4 == 3:
            one.socket.sendall(b"\0\0")  # goes in the midst of a message
        one.close(abort=bool(number % 2))
    until(lambda: (open_files(), threading.active_count()) <= (before, 2))
    one = attached(path)
    one.run("nop")
    assert one.until("end")[-1]["status"] == 0


def test_without_a_place_to_listen_the_daemon_goes_on(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = Server(daemon, str(tmp_path / "file"))
    server.start()
    assert not server.is_listening
    assert "it is no socket" in daemon.control.held["control socket"][0]
    server.stop()
    heard: list[str] = []
    Server(daemon, str(tmp_path / "c.sock"), group="no-such-group", on_problem=heard.append).start()
    assert "no-such-group" in heard[0]


def test_refusals_are_logged_at_once_and_then_in_numbers(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    refusals = Refusals(60, lambda: now_s)
    for _ in range(5):
        refusals.note("pid 1 denied")
    now_s = 61.0
    refusals.note("pid 2 denied")
    assert [record.getMessage() for record in caplog.records] == [
        "control socket: pid 1 denied",
        "control socket: pid 2 denied (and 4 others were refused before)",
    ]
