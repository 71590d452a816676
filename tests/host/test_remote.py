"""A prompt into a running daemon: real processes, from scripts and from a terminal."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.host.test_terminal import Terminal

MEMTIERD = [sys.executable, "-m", "memtierd"]
DEADLINE_S = 60.0
PROMPT = b"memtierd> "
AS_SOMEBODY = """\
# Python itself may be where only root can read, so everything is loaded before root is given up.
import os, sys
import json, select, memtierd.cli, memtierd.remote.client, encodings.idna, readline
from memtierd.cli import main
os.setgroups([int(one) for one in sys.argv.pop(1).split(",") if one])
os.setgid(65534)
os.setuid(65534)
sys.exit(main())
"""


@attrs.define
class Service:
    """A daemon with a control socket."""

    path: str
    log: Path
    process: "subprocess.Popen[str]"

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self, *arguments: str, stdin: str = "", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        return run("-attach", self.path, *arguments, stdin=stdin, cwd=cwd)

    def until_logged(self, text: str) -> str:
        """Wait for a line in the log and return it."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines() if self.log.exists() else []:
                if text in line:
                    return line
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in the log: {self.log.read_text()}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode


def run(*arguments: str, stdin: str = "", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*MEMTIERD, *arguments], input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=cwd
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


Start = Callable[..., Service]


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a function that starts a daemon, for the tests of this module."""
    started: list[Service] = []

    def start(*arguments: str, path: str = "", listens: bool = True) -> Service:
        directory = tmp_path_factory.mktemp("service")
        # Everybody may pass, so that the socket alone decides.
        for one in (directory, *directory.parents):
            if one.stat().st_uid != 0 or one == Path("/tmp"):
                break
            one.chmod(one.stat().st_mode | 0o055)
        file = directory / "memtierd.yaml"
        file.write_text("policy: {name: stub}\n")
        path = path or str(directory / "c.sock")
        log = directory / "log"
        flags = ["-config", str(file), "-l", str(log), "-control", path, *arguments]
        process = subprocess.Popen([*MEMTIERD, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        started.append(Service(path, log, process))
        if listens:
            started[-1].until_logged("listening on")
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.communicate()


@pytest.fixture(scope="module")
def service(launch: Start) -> Service:
    """Return a daemon that all tests of this module may use; none of them changes it."""
    return launch("-dry-run")


# scripts


def test_commands_of_a_script_are_run_in_the_daemon(service: Service) -> None:
    done = service.run("-c", "health -f json")
    rows = json.loads(done.stdout)
    assert ("policy", "running", "stub, as a dry run") in {(row["name"], row["state"], row["detail"]) for row in rows}
    assert (done.returncode, done.stderr) == (0, "")


def test_statuses_are_those_of_the_commands(service: Service) -> None:
    assert service.run("-c", "nop -x").returncode == 2
    assert service.run("-c", "nop | exit 7").returncode == 7
    assert service.run("-c", "tracker -counters\nnop").returncode == 1
    done = service.run("-e", "-c", "tracker -counters\nnop | echo on")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_daemon_is_found_where_it_listens(service: Service) -> None:
    rows = json.loads(run("-control", service.path, "-c", "health -f json").stdout)
    assert {row["detail"] for row in rows if row["name"] == "policy"} == {"stub, as a dry run"}
    alone = json.loads(run("-control", service.path, "-standalone", "-c", "health -f json").stdout)
    assert {row["detail"] for row in alone if row["name"] == "policy"} == {"none"}
    nowhere = run("-control", f"{service.path}.not", "-c", "health -f json")
    assert (nowhere.returncode, nowhere.stderr) == (0, "")


def test_attaching_to_nothing_is_an_error(service: Service) -> None:
    done = run("-attach", f"{service.path}.not", "-c", "nop")
    assert done.returncode == 1
    assert (
        "no such file or directory (ENOENT); start one with: memtierd -config FILE, or use -standalone" in done.stderr
    )


def test_a_prompt_says_what_it_is_attached_to(service: Service) -> None:
    done = service.run("-prompt", stdin="nop -h\nq\nbogus\n")
    config = service.log.parent / "memtierd.yaml"
    assert done.stderr == f"memtierd: attached to memtierd 0.1.0 (pid {service.pid}), {config}, dry run\n"
    assert (done.returncode, done.stdout) == (0, "nop: do nothing\nquit.\n")
    service.until_logged("uid 0 attached" if os.geteuid() == 0 else "attached")


def test_what_is_behind_a_pipe_runs_in_the_client(service: Service, tmp_path: Path) -> None:
    done = service.run("-c", "help | tee here | head -1\nnop | grep PPid /proc/$PPID/status; echo $PPID", cwd=tmp_path)
    assert (tmp_path / "here").read_text().startswith("Commands:\n  arange")
    assert done.stdout.startswith("Commands:\n")
    assert int(done.stdout.split()[-1]) != service.pid
    assert f"PPid:\t{os.getpid()}" in done.stdout


def test_files_are_found_from_where_the_client_is(service: Service, tmp_path: Path) -> None:
    done = service.run("-c", "config -save saved.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "saved to saved.yaml\n")
    assert "stub" in (tmp_path / "saved.yaml").read_text()


def test_a_reader_that_goes_away_ends_the_command(service: Service) -> None:
    writer = subprocess.Popen(
        [*MEMTIERD, "-attach", service.path, "-c", "top -count 100000 -interval 1ms"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.stdout.close()
    writer.stdout = None
    _, err = writer.communicate(timeout=DEADLINE_S)
    assert (writer.returncode, err) == (0, b"")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_client_and_its_command_only(service: Service, number: signal.Signals, status: int) -> None:
    code = "time -start a\nnop | echo begun\ntime -sleep 1h"
    client = subprocess.Popen([*MEMTIERD, "-attach", service.path, "-c", code], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert "started" in client.stdout.readline()
    assert client.stdout.readline() == "begun\n"
    time.sleep(0.2)
    client.send_signal(number)
    client.communicate(timeout=DEADLINE_S)
    assert client.returncode == status
    assert service.run("-c", "nop").returncode == 0


def test_a_client_that_hangs_holds_up_no_other(launch: Start) -> None:
    one = launch()
    hanging = subprocess.Popen(
        # The shell never reads what the command prints, which is more than fits in between.
        [*MEMTIERD, "-attach", one.path, "-c", f"pages -pid {os.getpid()} -pm 1000000000 | exec sleep 1000"],
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    waiting = subprocess.Popen([*MEMTIERD, "-attach", one.path, "-c", "mover -pause -wait\ntime -sleep 1h"])
    try:
        time.sleep(1)
        done = one.run("-c", "config -set policy.intervalms=4000\npolicy -stop\npolicy -start\nhealth\nregions")
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        os.killpg(hanging.pid, signal.SIGKILL)
        waiting.kill()
        _, err = hanging.communicate()
        waiting.wait()
    assert err == b""
    assert one.end() == 0


def test_changes_of_several_clients_at_once_are_made_one_by_one(launch: Start) -> None:
    one = launch()
    changes = "\n".join(f"config -set policy.intervalms={5000 + number}\nconfig -reload" for number in range(20))
    clients = [
        subprocess.Popen(
            [*MEMTIERD, "-attach", one.path, "-c", changes], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for client in clients:
        out, err = client.communicate(timeout=DEADLINE_S)
        assert (client.returncode, err) == (0, "")
        assert "policy.intervalms" in out
    assert "5000,default" in one.run("-c", "config -path policy.intervalms -f csv").stdout.replace(" ", "")
    assert "is a bug" not in one.log.read_text()
    assert one.end() == 0


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def test_clients_leave_nothing_behind_in_the_daemon(service: Service) -> None:
    service.run("-c", "help")
    before = descriptors(service.pid), threads(service.pid)
    for _ in range(5):
        doomed = subprocess.Popen([*MEMTIERD, "-attach", service.path, "-c", "time -sleep 1h"])
        time.sleep(0.3)
        doomed.kill()
        doomed.wait()
    deadline = time.monotonic() + DEADLINE_S
    while (descriptors(service.pid), threads(service.pid)) != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def best_s(*arguments: str) -> float:
    def once() -> float:
        began = time.monotonic()
        run(*arguments)
        return time.monotonic() - began

    return min(once() for _ in range(3))


def test_a_client_starts_faster_than_a_daemon(service: Service) -> None:
    assert best_s("-attach", service.path, "-c", "nop") < best_s("-standalone", "-c", "nop")


def test_a_client_loads_neither_numpy_nor_yaml(service: Service) -> None:
    code = (
        "import sys; from memtierd.cli import main; status = main();"
        " sys.exit(status or ' '.join({'numpy', 'ruamel', 'watchdog', 'memtierd.daemon'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-attach", service.path, "-c", "help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# who may do what


def somebody(groups: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", AS_SOMEBODY, groups, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_only_root_gets_in_unless_a_group_is_given(service: Service, launch: Start) -> None:
    done = somebody("", "-attach", service.path, "-c", "nop")
    assert done.returncode == 1
    assert "permission denied (EACCES); be root or in the group of its -control-group" in done.stderr
    # It is not taken for no daemon at all either.
    assert somebody("", "-control", service.path, "-c", "nop").returncode == 1
    shared = launch("-control-group", "4711")
    done = somebody("4711", "-attach", shared.path, "-c", "health | grep stub\npolicy -stop")
    assert "stub" in done.stdout
    assert done.returncode == 1
    assert "policy: -stop changes something, and you may only look" in done.stderr
    assert "EACCES" in somebody("4712", "-attach", shared.path, "-c", "nop").stderr
    shared.end()
    writing = launch("-control-group", "4711", "-control-group-writes")
    done = somebody("4711", "-attach", writing.path, "-c", "policy -stop")
    assert (done.returncode, done.stdout) == (0, "policy stopped\n")
    assert "uid 65534: policy -stop" in writing.until_logged("policy -stop")


# the end of the daemon


def test_the_end_of_the_daemon_is_told_to_whoever_waits_for_it(launch: Start) -> None:
    one = launch()
    client = subprocess.Popen(
        [*MEMTIERD, "-attach", one.path, "-c", "nop | echo begun\ntime -sleep 1h\nnop | echo on"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline() == "begun\n"
    time.sleep(0.3)
    one.end(signal.SIGKILL)
    out, err = client.communicate(timeout=DEADLINE_S)
    assert client.returncode == 1
    assert f"time: memtierd (pid {one.pid}) has ended" in err
    assert (out, err.count("\n")) == ("", 2)  # the next command finds nobody
    # What is left of it is no daemon, and the next one takes its place.
    assert "ECONNREFUSED" in run("-attach", one.path, "-c", "nop").stderr
    assert run("-control", one.path, "-c", "nop").returncode == 0
    again = launch(path=one.path)
    assert again.run("-c", "nop").returncode == 0
    assert again.end() == 0
    assert not os.path.lexists(one.path)


def test_a_second_daemon_leaves_the_socket_to_the_first(service: Service, launch: Start) -> None:
    second = launch(path=service.path, listens=False)
    assert f"memtierd with pid {service.pid} listens there" in second.until_logged("listens there")
    assert second.end() == 0
    assert service.run("-c", "nop").returncode == 0


# a terminal


@pytest.fixture
def terminal(service: Service, tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path, "-attach", service.path, "-prompt", columns=60)
    one.until(b"attached to memtierd")
    one.until(PROMPT)
    yield one
    one.close()


def test_a_terminal_has_completion_history_and_its_own_width(terminal: Terminal, service: Service) -> None:
    terminal.type(b"hea\t\n")
    shown = re.sub(rb"\r|\x1b\[\?2004[hl]", b"", terminal.until(PROMPT)).split(b"\n")
    table = [line.decode() for line in shown if b"part " in line or b"tracker " in line]
    assert table
    assert max(map(len, table)) <= 60
    terminal.type(b"routines -config-file /pro\t")
    terminal.until(b"/proc/")
    terminal.type(b"\n")
    terminal.until(b"routines: no routines")
    terminal.until(PROMPT)
    terminal.type(b"\x04")
    terminal.until(b"quit: EOF")
    assert terminal.status() == 0
    assert service.process.poll() is None


def test_ctrl_c_ends_the_command_and_the_prompt_goes_on(terminal: Terminal) -> None:
    terminal.type(b"time -sleep 1h\n")
    terminal.until(b"1h")
    time.sleep(0.5)
    terminal.type(b"\x03")
    terminal.until(b"time: interrupted")
    terminal.until(PROMPT)
    terminal.type(b"nop -h\n")
    terminal.until(b"nop: do nothing")
    terminal.until(PROMPT)
    terminal.type(b"q\n")
    assert terminal.status() == 0


def test_ctrl_c_ends_what_is_behind_a_pipe(terminal: Terminal) -> None:
    terminal.type(b"nop | echo up; exec sleep 1000\n")
    terminal.until(b"\nup")
    terminal.type(b"\x03")
    assert b"nop: interrupted" in terminal.until(PROMPT)
    terminal.type(b"nop | echo again\n")
    terminal.until(b"\nagain")


def test_the_live_view_is_left_with_q_and_with_ctrl_c(terminal: Terminal) -> None:
    for key in (b"q", b"\x03"):
        terminal.type(b"top -interval 100ms\n")
        terminal.until(b"\x1b[?1049h")
        terminal.until(b"policy stub, dry run")
        terminal.until(b"planned")
        terminal.type(key)
        terminal.until(b"\x1b[?1049l")
        terminal.until(PROMPT)
    terminal.type(b"q\n")
    assert terminal.status() == 0


def test_a_terminal_that_goes_away_ends_the_client(terminal: Terminal, service: Service) -> None:
    terminal.type(b"top\n")
    terminal.until(b"planned")
    terminal.hang_up()
    terminal.status()
    assert service.run("-c", "nop").returncode == 0
