"""The program as people and systemd run it: flags, exit statuses, signals, pipes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd.flags import COMMAND_LINE

MEMTIERD = [sys.executable, "-m", "memtierd"]
READY = "policy age started"
DEADLINE_S = 30.0


@pytest.fixture(scope="session")
def meme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the exerciser, compiled."""
    path = tmp_path_factory.mktemp("bin") / "meme"
    subprocess.run([sys.executable, "memtierd/meme/build.py", str(path)], check=True)
    return path


@pytest.fixture
def busy(meme: Path) -> Iterator[int]:
    """Run a process with a busy and an idle array of 32 MB and return its pid."""
    flags = ["-bs", "32M", "-bc", "2", "-brc", "1", "-bwc", "1", "-bri", "20ms", "-bwi", "20ms"]
    process = subprocess.Popen([str(meme), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("start exerciser"):
            break
    yield process.pid
    process.kill()
    process.communicate()


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MEMTIERD, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)


def config(tmp_path: Path, pid: int, extra: str = "") -> str:
    path = tmp_path / "memtierd.yaml"
    path.write_text(
        f"policy:\n  name: age\n  config:\n    intervalms: 200\n    pids: [{pid}]\n    idledurationms: 600\n"
        "    activedurationms: 400\n    swapoutms: 1000\n    tracker: {name: auto, config: {scanintervalms: 200}}\n"
        + extra
    )
    return str(path)


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_version(flag: str) -> None:
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"memtierd \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_flag(flag: str) -> None:
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    flags = set(re.findall(r"^  -([a-z-]+)", done.stdout, re.MULTILINE))
    assert flags == {one.name for one in COMMAND_LINE.flags}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 1),
        (("-zzz",), 2),
        (("-config",), 2),
        (("-config", "/does/not/exist.yaml"), 3),
        (("-config", "/"), 3),
        (("-config", "/", "-state-interval", "0.9"), 2),
        (("-config", "/", "-state-interval", "2h"), 2),
        (("-config", "/", "-state-interval", "1h"), 3),
        (("-c", "bogus"), 2),
        (("-c", "pages -zzz"), 2),
        (("-f", "/does/not/exist"), 1),
        (("-prompt", "-l", "/does/not/exist/log"), 1),
        (("-c", "nop"), 0),
        (("-c", "bogus\nnop"), 2),
        (("--c=nop",), 0),
    ],
)
def test_exit_status(arguments: tuple[str, ...], status: int) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert (done.stderr == "") == (status == 0)


def test_check_shows_problems_of_the_file(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text('policy:\n  name: age\n  config:\n    intervalms: "5"\n    pids: [1]\n    idlenuma: [1]\n')
    done = run("-config", str(wrong), "-check")
    assert done.returncode == 3
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [f"{wrong}:4:17", f"{wrong}:6:5"]


@pytest.mark.root
def test_check_of_a_valid_file_warns_of_what_is_missing(tmp_path: Path) -> None:
    done = run("-config", config(tmp_path, os.getpid(), "    idlenumas: [1023]\n"), "-check")
    assert done.returncode == 0
    assert any(line.startswith("warning: node 1023 ") for line in done.stdout.splitlines())


def start(*arguments: str, log: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*MEMTIERD, "-l", str(log), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def wait_for(log: Path, text: str) -> str:
    """Wait until the log has the text and return its line."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines() if log.exists() else []:
            if text in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"no {text!r} in the log within {DEADLINE_S} s: {log.read_text()}")


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_cleanly(tmp_path: Path, busy: int, number: signal.Signals) -> None:
    log = tmp_path / "log"
    daemon = start("-config", config(tmp_path, busy), log=log)
    wait_for(log, READY)
    wait_for(log, f"tracking pid {busy}")
    daemon.send_signal(number)
    out, _ = daemon.communicate(timeout=DEADLINE_S)
    assert (daemon.returncode, out) == (0, "")
    assert "Traceback" not in log.read_text()


@pytest.mark.root
def test_dry_run_tells_every_move_once_and_touches_nothing(tmp_path: Path, busy: int) -> None:
    log = tmp_path / "log"
    daemon = start("-config", config(tmp_path, busy), "-dry-run", log=log)
    wait_for(log, "cold")
    daemon.terminate()
    daemon.communicate(timeout=DEADLINE_S)
    swap = re.search(r"VmSwap:\s+(\d+)", Path(f"/proc/{busy}/status").read_text())
    assert swap is not None
    assert int(swap[1]) == 0
    told = [line for line in log.read_text().splitlines() if "would move" in line or "stays where it is" in line]
    assert len(told) == len(set(told)) >= 1


@pytest.mark.root
def test_commands_come_through_a_pipe_beside_a_configuration(tmp_path: Path, busy: int) -> None:
    log = tmp_path / "log"
    daemon = subprocess.Popen(
        [*MEMTIERD, "-l", str(log), "-config", config(tmp_path, busy)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    wait_for(log, f"tracking pid {busy}")
    daemon.stdin.write("policy -dump accessed 0,1m,0\n")
    daemon.stdin.close()
    assert daemon.stdout.readline() == "table: time since last access\n"
    assert daemon.poll() is None  # the end of the commands is not the end of the daemon
    daemon.terminate()
    daemon.stdout.close()
    assert daemon.wait(DEADLINE_S) == 0


@pytest.mark.root
def test_the_prompt_looks_into_a_running_policy(tmp_path: Path, busy: int) -> None:
    script = f"nop\nregions -pid {busy} -f csv\nq\n"
    done = run("-config", config(tmp_path, busy), "-prompt", "-l", str(tmp_path / "log"), stdin=script)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m memtierd -c help | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "status"), [("-prompt", 0), ("-c help", 0), ("-c 'help | cat'", 0), ("-zzz", 2)])
def test_closed_standard_streams(closed: str, arguments: str, status: int) -> None:
    command = f"{sys.executable} -m memtierd {arguments} {closed}"
    done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", ["-h", "-version", "-check", "-c help", "-c 'regions -f json'"])
def test_an_output_that_is_full_is_told_once(arguments: str) -> None:
    command = f"{sys.executable} -m memtierd {arguments} >/dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"\w+: write output: no space left on device \(ENOSPC\); free some space\n", done.stderr)


def test_a_full_error_output_changes_nothing() -> None:
    done = subprocess.run(f"{sys.executable} -m memtierd -c bogus 2>/dev/full", shell=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_commands_that_are_not_typed(number: signal.Signals, status: int) -> None:
    """No later command runs; the shell behind the pipe gets its end of input and, on SIGINT, a signal of its own."""
    commands = "nop | echo started; exec sleep 60\nnop | echo too far"
    process = subprocess.Popen(
        [*MEMTIERD, "-c", commands], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, number)
    assert process.wait(DEADLINE_S) == status
    assert process.stdout.read() == ""
    assert process.stderr.read() == ("nop: interrupted\n" if number == signal.SIGINT else "")


def test_ctrl_c_while_it_starts_is_quiet() -> None:
    """A finder of modules sends the signal in the middle of the imports."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'memtierd.prompt.kinds':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from memtierd.__main__ import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code, "-c", "help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.root
def test_without_permission_it_says_so(tmp_path: Path) -> None:
    """An unprivileged user gets one sentence, no traceback."""
    # Python itself may be where only root can read, so everything is loaded first.
    code = (
        "import importlib, os, pkgutil, sys, memtierd\n"
        "for module in pkgutil.walk_packages(memtierd.__path__, 'memtierd.'):\n"
        "    if not module.name.endswith(('__main__', 'build_native', 'meme.build')):\n"
        "        importlib.import_module(module.name)\n"
        "from memtierd.cli import main\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-c", "tracker -create auto -start 1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "root" in done.stderr


def test_with_e_the_first_failure_is_the_end(tmp_path: Path) -> None:
    file = tmp_path / "commands"
    file.write_text("time -now\n")
    commands = "tracker -ls\npages\ntime -now\n"
    done = run("-e", "-c", commands, "-f", str(file))
    assert done.returncode == 1
    assert "idlepage" in done.stdout
    assert not re.search(r"^\d+\.\d{6}$", done.stdout, re.MULTILINE)
    assert "pages: no pages are selected" in done.stderr
    without = run("-c", commands, "-f", str(file))
    assert without.returncode == 1
    assert len(re.findall(r"^\d+\.\d{6}$", without.stdout, re.MULTILINE)) == 2
