"""Programs are started, read, restarted and ended, whatever they do; with real ones, such as sh and cat."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memtierd.trackers.damon.pipeline import Pipeline
from memtierd.trackers.damon.program import Program, Restarts
from tests.unit.trackers.damon.program_fakes import AT_ONCE, case, until

NEVER = Restarts(first_s=3600.0)
STUBBORN = 'trap "" TERM INT HUP PIPE; while :; do sleep 100; done'


def sh(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


@contextmanager
def running(*scripts: str, restarts: Restarts = NEVER) -> Iterator[tuple[Program, bytearray]]:
    """Run a program of these stages; yield it and what it handed on."""
    got = bytearray()
    program = Program("tool", [sh(script) for script in scripts], os.environ, got.extend, restarts)
    program.start()
    try:
        yield program, got
    finally:
        program.close()


def is_there(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("last_delay_s", "lived_s", "delay_s"),
    [(0, 0, 1), (1, 0, 2), (2, 9.9, 4), (32, 0, 60), (60, 0, 60), (60, 100, 1), (0, 100, 1)],
)
def test_a_restart_comes_later_each_time_until_the_program_has_run_long(
    last_delay_s: float, lived_s: float, delay_s: float
) -> None:
    assert Restarts(1, 60, 100).delay_s(last_delay_s, lived_s) == delay_s


def test_lines_are_handed_on_whole_from_both_outputs() -> None:
    with running("printf 'one\ntw'; printf 'o\nrest'; echo 'lost' >&2; cat") as (_, got):
        until(lambda: len(got) >= len("one\ntwo\nlost\n"))
        assert sorted(got.splitlines(keepends=True)) == [b"lost\n", b"one\n", b"two\n"]


def test_stages_are_joined() -> None:
    with running("echo low", "tr a-z A-Z") as (_, got):
        until(lambda: got == b"LOW\n")


def test_a_program_that_ends_is_started_again_and_again() -> None:
    with running("echo line; echo 'no such thing' >&2; exit 3", restarts=AT_ONCE) as (program, got):
        until(lambda: got.count(b"line\n") > 3)
        assert program.starts > 3


@pytest.mark.parametrize(
    ("scripts", "trouble"),
    [
        (["echo first >&2; echo last >&2; exit 3"], "tool ended with status 3: last; "),
        (["echo 'ERROR: no BPF' >&2; echo usage >&2; exit 1"], "tool ended with status 1: ERROR: no BPF; "),
        (["exit 0"], "tool ended; "),
        (["kill -SEGV $$"], "tool was killed by SIGSEGV; "),
        (["exit 2", "cat"], "tool ended with status 2; "),
        (["exec yes", "exit 4"], "tool ended with status 4; "),
        (["head -c 200000 /dev/zero | tr '\\0' x >&2; exit 1"], "tool ended with status 1: xxx"),
    ],
)
def test_trouble_says_how_a_program_ended_and_why(scripts: list[str], trouble: str) -> None:
    with running(*scripts) as (program, _):
        until(program.trouble)
        assert program.trouble().startswith(trouble)
        assert program.trouble().endswith("; it is started again, what DAMON reports meanwhile is lost")
        assert len(program.trouble()) < 400


def test_of_a_long_usage_the_error_is_said(tmp_path: Path) -> None:
    usage = tmp_path / "usage"
    usage.write_bytes(case("perf-6.1-wrong-option"))
    with running(f"cat {usage} >&2; exit 129") as (program, _):
        until(program.trouble)
        assert "status 129: Error: unknown option `nonsense'; it is" in program.trouble()


def test_a_program_that_is_not_there_is_trouble_and_tried_again() -> None:
    program = Program("tool", [["/no/such/tool"]], os.environ, bytearray().extend, AT_ONCE)
    program.start()
    until(lambda: program.starts > 2)
    assert program.trouble() == "start tool: No such file or directory: /no/such/tool"
    program.close()


def test_nothing_is_left_when_the_second_stage_is_not_there() -> None:
    before = children()
    with pytest.raises(FileNotFoundError):
        Pipeline([sh(STUBBORN), ["/no/such/tool"]], os.environ)
    assert children() == before


@pytest.mark.parametrize("script", ["cat", STUBBORN, "kill -STOP $$", "sleep 100 & sleep 100", "yes"])
def test_every_program_ends_with_close(script: str) -> None:
    with running(f"echo $$; {script}") as (program, got):
        until(lambda: b"\n" in got)
        pid = int(got.partition(b"\n")[0])
        program.close()
        program.close()
        until(lambda: not is_there(pid))
        assert program.starts == 1


def test_a_program_is_ended_with_its_children() -> None:
    with running("sleep 1000 & echo $!; wait") as (program, got):
        until(lambda: b"\n" in got)
        program.close()
        until(lambda: not is_there(int(got)))


def test_close_does_not_wait_for_the_next_start() -> None:
    with running("exit 1") as (program, _):
        until(program.trouble)
        program.close()  # or else this test takes an hour


def test_close_before_start() -> None:
    Program("tool", [sh("exit 1")], os.environ, bytearray().extend).close()


def test_a_program_that_ends_with_its_input_does_not_outlive_memtierd() -> None:
    code = (
        "import os, sys\nfrom memtierd.trackers.damon.pipeline import Pipeline\n"
        "pipeline = Pipeline([['/bin/sh', '-c', 'echo $$; exec cat']], os.environ)\n"
        "os.write(1, os.read(pipeline.output, 100)); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        parent.send_signal(signal.SIGKILL)
        until(lambda: not is_there(pid))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_fails_is_said() -> None:
    def fail(_lines: bytes) -> None:
        raise ValueError("a bug")

    program = Program("tool", [sh("echo; cat")], os.environ, fail, NEVER)
    program.start()
    until(program.trouble)
    assert program.trouble().startswith("read tool: the reader has stopped; this is a bug")
    program.close()


def children() -> set[str]:
    """Return the child processes of this one."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
