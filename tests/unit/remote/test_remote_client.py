"""The client: the same answers as without a daemon, with files, pipes, interrupts and completion on its own side."""

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memtierd.errors import MemtierdError
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.context import Context
from memtierd.prompt.conversation import Conversation
from memtierd.prompt.grammar import Command
from memtierd.prompt.interrupts import Interrupts
from memtierd.remote import connection as connection_module
from memtierd.remote.access import Peer
from memtierd.remote.client import Remote, run
from memtierd.remote.connection import Connection, found
from memtierd.remote.frames import VERSION, Decoder, Message, encode
from memtierd.remote.server import Server
from tests.unit.prompt.prompt_fakes import Prompt
from tests.unit.remote.remote_fakes import WAIT_S, Attached, Daemon


@pytest.fixture
def client(path: str) -> Iterator[Attached]:
    one = Attached(path)
    with one.remote:
        yield one


@pytest.fixture
def flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a command that prints without an end."""

    def run(context: Context, _options: Any) -> None:
        while True:
            context.line("x" * 1000)

    monkeypatch.setitem(COMMANDS, "flood", Command("flood", "print without an end", run, changes=False))


LINES = (
    "",
    "   # nothing",
    "nop",
    "q",
    "nop | echo from shell",
    "| echo alone",
    "help nop q | wc -l",
    "help",
    "nop -h",
    "nop -h | tr a-z A-Z",
    "nop | exit 3",
    "nop | kill -9 $$",
    "tracker -counters | cat",
    "bogus",
    "stat",
    "help nope",
    "nop -x",
    "nop -x | touch /nonexistent/must-not-run",
    "nop 'a",
    "nop a\udcffb",
    "help 'ä b' \x1b[31m",
    "policy -create \udce4",
    "stats",
    "stats -f json",
    "stats -t events,move_pages -f csv",
    "health",
    "health -f json",
    "config",
    "plan",
    "regions",
    "regions -why 7f00",
    "policy -dump",
    "policy -config {bogus: 1}",
    "policy -create heat -config {bogus: 1}",
    "policy -config-file /nonexistent",
    "pages",
    "mover -pages-to 1",
    "mover -tasks -config-dump",
    "top",
    "top -count 2 -interval 1ms | wc -l",
    "time -sleep 1ms",
    "time -elapsed nothing",
    "log -off -prefix x",
    "routines -ls",
    "swap -pid 1 -out",
)


@pytest.mark.parametrize("line", LINES)
def test_the_answer_is_the_same_as_without_a_daemon(line: str, client: Attached, daemon: Daemon) -> None:
    assert client.run(line) == Prompt(Daemon()).run(line)
    assert client.said == []


def test_q_ends_a_text_and_leaves_the_daemon_alone(client: Attached) -> None:
    assert client.talk.run_text("nop | echo 1\nq\nnop | echo 2") == 0
    assert client.talk.run_text("nop | echo 3") == 0
    assert client.out.getvalue() == "1\nquit.\n3\n"


def test_what_one_command_selects_later_ones_use(client: Attached) -> None:
    assert client.run("time -start watch")[0] == 0
    assert client.run("time -elapsed watch | grep -c .") == (0, "1\n", "")


def test_a_reader_that_leaves_early_ends_the_command_in_the_daemon(client: Attached, flood: None) -> None:
    for _ in range(3):
        assert client.run("flood | head -c 5") == (0, "xxxxx", "")
    assert client.run("nop -h")[1] == "nop: do nothing\n"
    assert client.said == []


def test_an_output_without_reader_ends_quietly(path: str, flood: None) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    err = io.StringIO()
    with open(writing, "w", encoding="utf-8") as out:
        remote = Remote(lambda: Connection(path, is_prompt=False), lambda _: None, Interrupts())
        with remote:
            assert Conversation(remote, out, err).loop(io.StringIO("flood\nbogus\n")) == 0
    assert err.getvalue() == ""


def test_files_are_those_of_the_client(
    client: Attached, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("idledurationms: 4711\npids: [1]\n")
    assert client.run("policy -create age -config-file mine.yaml")[0] == 0
    assert getattr(daemon.policy_params, "idle_duration_ms", 0) == 4711
    assert client.run("config -save saved.yaml")[0] == 0
    assert "4711" in Path("saved.yaml").read_text()
    assert "the file exists" in client.run("config -save=saved.yaml")[2]
    assert client.run("config -save saved.yaml -force")[0] == 0
    Path("latin").write_bytes(b"\xff")
    assert "codec can't decode" in client.run("policy -config-file latin")[2]


def texts_of(client: Attached, before: str) -> list[str]:
    return [candidate.text for candidate in client.remote.candidates(before)]


def test_completion(client: Attached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("")
    Path("adir").mkdir()
    assert texts_of(client, "ma") == []
    assert texts_of(client, "he") == ["health", "help"]
    assert texts_of(client, "mover -pages-to ") == ["0", "1"]
    assert texts_of(client, "policy -config-file a") == ["a.yaml", "adir/"]
    assert texts_of(client, "config -save=a") == ["-save=a.yaml", "-save=adir/"]
    assert texts_of(client, "policy -create ag") == ["age"]
    assert texts_of(client, "stats | a") == []


def interrupt_soon(times: int = 1) -> threading.Thread:
    def press() -> None:
        for _ in range(times):
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_ctrl_c_ends_the_command_in_the_daemon_and_the_connection_goes_on(client: Attached) -> None:
    with client.interrupts.taken():
        pressing = interrupt_soon()
        assert client.run("time -sleep 1h") == (130, "", "time: interrupted\n")
        pressing.join()
    assert client.run("nop -h")[0] == 0
    assert client.said == []


def test_a_second_ctrl_c_gives_up_a_command_that_does_not_end(
    path: str, client: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(_context: Context, _options: Any) -> None:
        released.wait(WAIT_S)

    monkeypatch.setitem(COMMANDS, "stuck", Command("stuck", "hang", hang, changes=False))
    with client.interrupts.taken():
        pressing = interrupt_soon(8)
        assert client.run("stuck") == (130, "", "stuck: interrupted\n")
        pressing.join()
    assert client.run("nop -h")[0] == 0
    assert "attached again" in client.said[0]
    released.set()


def test_the_end_of_the_daemon_is_told_and_the_next_command_attaches_again(daemon: Daemon, tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    server = Server(daemon, path)
    server.start()
    client = Attached(path)
    stopping = threading.Timer(0.3, server.stop)
    stopping.start()
    status, _, err = client.run("time -sleep 1h")
    stopping.join()
    assert (status, err) == (1, f"time: memtierd (pid {os.getpid()}) has ended the connection: it is stopping\n")
    status, _, err = client.run("nop")
    assert (status, "no such file or directory (ENOENT)" in err) == (1, True)
    server.start()
    assert client.run("nop -h")[0] == 0
    assert "attached again" in client.said[0]
    server.stop()


def test_run_takes_commands_a_file_and_what_is_typed(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "commands"
    file.write_text("nop -h\nq\nbogus")
    monkeypatch.setattr("sys.stdin", io.StringIO("nop | echo typed\n"))
    assert run(path, commands="nop | exit 3\nnop | echo c", file=str(file), prompt=True) == 3
    out, err = capsys.readouterr()
    assert out == "c\nnop: do nothing\nquit.\ntyped\n"
    assert err.startswith(f"memtierd: attached to memtierd 0.1.0 (pid {os.getpid()}), without a configuration file\n")
    assert run(path, commands="nop | exit 3\nnop | echo c", file=str(file), to_first_failure=True) == 3
    assert capsys.readouterr() == ("", "")
    assert run(path, commands="nop -h", echo=True) == 0
    assert capsys.readouterr() == ("memtierd> nop -h\nnop: do nothing\n", "")
    with pytest.raises(SystemExit) as leaving:
        run(path, commands="log -f bye")
    assert leaving.value.code == 1


# other daemons, and none


class Impostor:
    """Listens, and answers as it is told."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        self._socket.listen()
        self._decoder = Decoder()
        self.heard: list[Message] = []

    def hear(self, caller: socket.socket) -> Message:
        while True:
            for message in self._decoder.messages():
                self.heard.append(message)
                return message
            data = caller.recv(1 << 16)
            if not data:
                return {"type": ""}
            self._decoder.feed(data)

    def serve(self, answer: Callable[[socket.socket, Message], None]) -> None:
        def work() -> None:
            caller, _ = self._socket.accept()
            with caller, self._socket:
                while (message := self.hear(caller))["type"]:
                    answer(caller, message)

        threading.Thread(target=work, daemon=True).start()


WELCOME = {"version": VERSION, "memtierd": "9", "pid": 1, "config": "/etc/x.yaml", "dry_run": True, "may_change": False}


def test_another_version_is_told_plainly(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    Impostor(path).serve(lambda caller, _: caller.sendall(encode("refused", {"version": 2, "message": ""})))
    with pytest.raises(MemtierdError, match=r"speaks version 1 .* version 2; restart the service"):
        Connection(path, is_prompt=False)


def test_a_refusal_is_passed_on(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    Impostor(path).serve(
        lambda caller, _: caller.sendall(encode("refused", {"version": VERSION, "message": "no room"}))
    )
    with pytest.raises(MemtierdError, match="refuses to be attached to: no room"):
        Connection(path, is_prompt=False)


def test_what_the_daemon_is_like_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    Impostor(path).serve(lambda caller, _: caller.sendall(encode("welcome", WELCOME)))
    with_one = Connection(path, is_prompt=True)
    assert str(with_one.about) == "memtierd 9 (pid 1), /etc/x.yaml, dry run, read-only"
    with_one.close()


def test_only_files_that_were_named_are_given_away(tmp_path: Path) -> None:
    path, secret = str(tmp_path / "c.sock"), tmp_path / "secret"
    secret.write_text("secret")
    impostor = Impostor(path)

    def answer(caller: socket.socket, message: Message) -> None:
        if message["type"] == "hello":
            caller.sendall(encode("welcome", WELCOME))
        elif message["type"] == "run":
            caller.sendall(encode("begin", {"id": message["id"], "speaker": "nop"}))
            caller.sendall(encode("ask", {"id": message["id"], "what": "read", "path": str(secret)}))
            new = str(tmp_path / "new")
            caller.sendall(
                encode("ask", {"id": message["id"], "what": "save", "path": new, "text": "x", "overwrite": True})
            )
            caller.sendall(encode("end", {"id": message["id"], "speaker": "nop", "status": 0}))

    impostor.serve(answer)
    assert Attached(path).run("nop") == (0, "", "")
    deadline = time.monotonic() + WAIT_S
    while len(impostor.heard) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    answers = [message for message in impostor.heard if message["type"] == "answer"]
    assert ["is not named in the command" in message["problem"] for message in answers] == [True, True]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("garbage", [b"nonsense", encode("begin", {"id": 1}), encode("end", {"id": 1, "speaker": "x"})])
def test_a_daemon_that_talks_nonsense_is_an_error_and_no_more(tmp_path: Path, garbage: bytes) -> None:
    path = str(tmp_path / "c.sock")

    def answer(caller: socket.socket, message: Message) -> None:
        caller.sendall(encode("welcome", WELCOME) if message["type"] == "hello" else garbage)

    Impostor(path).serve(answer)
    status, _, err = Attached(path).run("nop")
    assert (status, err.count("\n")) == (1, 1)


def test_a_socket_of_somebody_else_is_not_trusted(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "peer_of", lambda _: Peer(7, os.geteuid() + 1, frozenset()))
    with pytest.raises(MemtierdError, match="neither root nor you"):
        Connection(path, is_prompt=False)


def test_without_a_daemon_it_is_said_what_to_do(tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    with pytest.raises(MemtierdError, match=r"\(ENOENT\); start one with"):
        Connection(path, is_prompt=False)
    assert not found(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
    with pytest.raises(MemtierdError, match=r"\(ECONNREFUSED\); it has ended"):
        Connection(path, is_prompt=False)
    assert not found(path)
