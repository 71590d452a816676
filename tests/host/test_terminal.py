"""The prompt on a terminal: a pseudo terminal with a person's keys."""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEADLINE_S = 30.0
PROMPT = b"memtierd> "


class Terminal:
    """A memtierd whose three standard streams are a terminal."""

    def __init__(self, home: Path, *arguments: str, columns: int = 0, **variables: str) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            environment = {**os.environ, "HOME": str(home), "TERM": "dumb", **variables}
            for name in {"XDG_STATE_HOME", "NO_COLOR", "COLUMNS"} - set(variables):
                environment.pop(name, None)
            os.execve(sys.executable, [sys.executable, "-m", "memtierd", *arguments], environment)
        self._shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def until(self, text: bytes) -> bytes:
        """Return what is shown up to the text, and take it as read."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self._shown:
            ready, _, _ = select.select([self._fd], [], [], deadline - time.monotonic())
            assert ready, f"no {text!r} on the terminal: {self._shown!r}"
            self._shown += os.read(self._fd, 4096)
        seen, found, self._shown = self._shown.partition(text)
        return seen + found

    def shows(self, text: bytes, within_s: float) -> bool:
        """Return whether the text is shown soon."""
        while text not in self._shown:
            ready, _, _ = select.select([self._fd], [], [], within_s)
            if not ready:
                return False
            self._shown += os.read(self._fd, 4096)
        return True

    def hang_up(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def status(self) -> int:
        """Wait for its end and return its exit status."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        if self._fd >= 0:
            os.close(self._fd)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(home: Path = tmp_path, columns: int = 0, **variables: str) -> Terminal:
        made.append(Terminal(home, "-prompt", columns=columns, **variables))
        made[-1].until(PROMPT)
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_ctrl_c_ends_the_command_and_ctrl_d_the_session(terminal: Callable[..., Terminal]) -> None:
    here = terminal()
    here.type(b"nop | echo up; exec sleep 1000\r")
    here.until(b"\nup")
    here.type(b"\x03")
    assert b"nop: interrupted" in here.until(PROMPT)
    here.type(b"half a comm")
    here.until(b"comm")
    here.type(b"\x03")
    while not here.shows(PROMPT, within_s=1):  # Python looks for a signal only when it waits for a key already
        here.type(b"\x03")
    here.type(b"nop -h\r")
    here.until(b"nop: do nothing")
    here.until(PROMPT)
    here.type(b"\x04")
    here.until(b"quit: EOF")
    assert here.status() == 0


PAGER = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
sys.stdin.read()
print("up", flush=True)
signal.sigwait({signal.SIGINT})
print("caught", flush=True)
open("/dev/tty").readline()
print("still", flush=True)
"""


def test_a_pager_outlives_ctrl_c(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """Whoever reads the pipe decides itself what Ctrl-C means, and keeps the terminal until it ends."""
    pager = tmp_path / "pager.py"
    pager.write_text(PAGER)
    here = terminal()
    here.type(f"nop -h | exec {sys.executable} {pager}\r".encode())
    here.until(b"\nup")
    here.type(b"\x03")
    here.until(b"caught")
    here.type(b"\r")
    assert b"still" in here.until(PROMPT)


def test_the_history_is_kept_from_session_to_session(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    first = terminal()
    first.type(b"nop | echo first\rq\r")
    first.until(b"quit.")
    assert first.status() == 0
    second = terminal()
    second.type(b"\x1b[A\x1b[A\r")
    assert b"\nfirst" in second.until(b"first\r\n" + PROMPT)
    kept = tmp_path / ".local/state/memtierd/history"
    assert kept.stat().st_mode & 0o077 == 0


def test_a_home_that_does_not_exist_is_not_made(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    home = tmp_path / "none"
    here = terminal(home)
    here.type(b"q\r")
    assert b"(ENOENT)" in here.until(b"of yours")
    assert here.status() == 0
    assert not home.exists()


def test_a_terminal_that_goes_away_ends_it_in_order(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    here = terminal()
    here.type(b"nop -h\r")
    here.until(PROMPT)
    here.hang_up()
    assert here.status() in (0, 129)  # the end of the input, or SIGHUP, whichever is seen first
    assert "nop -h" in (tmp_path / ".local/state/memtierd/history").read_text()


def test_the_tab_key_completes_commands_flags_and_values(terminal: Callable[..., Terminal]) -> None:
    one = terminal()
    one.type(b"trac\t-l\t\n")
    one.until(b"idlepage")
    one.until(PROMPT)
    one.type(b"stats -t \t\t")
    one.until(b"process_madvise")
    one.type(b"ev\t\n")
    one.until(b"table: events")
    one.until(PROMPT)
    one.type(b"q\n")
    assert one.status() == 0


def test_the_live_view_is_left_with_q_and_with_ctrl_c(terminal: Callable[..., Terminal]) -> None:
    one = terminal()
    for key in (b"q", b"\x03"):
        one.type(b"top -interval 100ms\n")
        one.until(b"\x1b[?1049h")
        one.until(b"no policy running")
        one.until(b"planned")
        one.type(key)
        one.until(b"\x1b[?1049l")
        one.until(PROMPT)
    one.type(b"time -now\n")  # the terminal shows what is typed again
    one.until(b"time -now")
    one.until(PROMPT)
    one.type(b"q\n")
    assert one.status() == 0


@pytest.fixture
def child() -> Iterator[int]:
    """Return a process with 64 MB of its own."""
    program = "import sys; x = bytearray(64 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_ctrl_c_ends_a_pause_however_often_it_is_typed(terminal: Callable[..., Terminal]) -> None:
    here = terminal()
    here.type(b"time -now -sleep 1000\r")
    here.until(b"sleep 1000\r\n")
    here.until(b".")
    for _ in range(20):
        here.type(b"\x03")
    # What was printed may be lost: the terminal throws away what nobody has read when it sees Ctrl-C.
    here.type(b"\r")
    while not here.shows(PROMPT, within_s=1):
        here.type(b"\r")
    here.type(b"nop -h\r")
    here.until(b"nop: do nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="the pagemap of others needs root")
def test_ctrl_c_ends_a_long_list(terminal: Callable[..., Terminal], child: int) -> None:
    here = terminal()
    here.type(f"pages -pid {child} -pm 100000000\r".encode())
    here.until(b"bits: ")
    here.until(b"bits: ")
    here.type(b"\x03")
    here.until(b"pages: interrupted")
    here.until(PROMPT)
    here.type(b"nop -h\r")
    here.until(b"nop: do nothing")


def shown_lines(here: Terminal, command: bytes) -> list[str]:
    """Return what a command shows, without what was typed."""
    here.type(command + b"\r")
    here.until(command + b"\r\n")
    return here.until(PROMPT).decode().removesuffix(PROMPT.decode()).splitlines()


def test_tables_fit_the_window_and_a_pipe_has_none(terminal: Callable[..., Terminal]) -> None:
    here = terminal(columns=70)
    health = shown_lines(here, b"health")
    assert max(map(len, health)) <= 70
    assert any(line.startswith(" " * 42) for line in health), "long texts go on below their beginning"
    scans = shown_lines(here, b"stats -t memory_scans")
    assert [line for line in scans if line.endswith("…") and len(line) == 70]
    assert max(map(len, shown_lines(here, b"pages -h"))) <= 70
    assert max(map(len, shown_lines(here, b"stats -t memory_scans | cat"))) > 70
    assert not any("…" in line for line in shown_lines(here, b"health | cat"))


def colours(lines: list[str]) -> set[str]:
    return set(re.findall(r"\x1b\[(3[0-9])m", "\n".join(lines)))


def test_states_and_errors_have_colours_unless_they_are_unwanted(terminal: Callable[..., Terminal]) -> None:
    here = terminal(TERM="xterm")
    assert "32" in colours(shown_lines(here, b"health"))
    assert colours(shown_lines(here, b"bogus")) == {"31"}
    assert not colours(shown_lines(here, b"health | cat"))
    assert not colours(shown_lines(here, b"health -f csv"))
    for variables in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = terminal(**variables)
        assert not colours(shown_lines(plain, b"health") + shown_lines(plain, b"bogus"))


def test_the_live_view_behind_a_pipe_is_plain(terminal: Callable[..., Terminal]) -> None:
    here = terminal(TERM="xterm")
    assert "planned 0 B" in "".join(shown_lines(here, b"top -count 1 | cat"))
    here.type(b"top | cat\r")
    here.until(b"top needs a terminal")


def test_what_is_typed_behind_q_of_the_live_view_is_a_command(terminal: Callable[..., Terminal]) -> None:
    here = terminal()
    here.type(b"top -interval 10s\r")
    here.until(b"planned")
    here.type(b"qnop -h\r")
    here.until(b"nop: do nothing")


def test_a_prompt_with_one_end_in_a_pipe_is_none(tmp_path: Path) -> None:
    """Commands from a terminal, output into a pipe: neither a prompt nor a colour, and whole lines at once."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "memtierd", "-prompt"], stdin=theirs, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        os.write(ours, b"health\nnop -h\ntop -count 2 -interval 1000s\n")
        said = b""
        while b"planned" not in said:
            said += process.stdout.readline()
        assert b"\nnop: do nothing\n" in said
        assert PROMPT not in said
        assert b"\x1b" not in said
        process.terminate()
        assert process.wait(DEADLINE_S) == 143
    os.close(ours)


@pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")
def test_a_pager_shows_what_a_command_prints(terminal: Callable[..., Terminal]) -> None:
    here = terminal(columns=80, TERM="xterm", LESS="")
    here.type(b"pages -h | less\r")
    here.until(b"-pid PID")
    assert not here.shows(PROMPT, within_s=0.5), "the pager has the terminal until it is left"
    here.type(b"q")
    here.until(PROMPT)
    assert shown_lines(here, b"nop -h") == ["nop: do nothing"]
