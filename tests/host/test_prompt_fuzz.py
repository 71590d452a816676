"""Any nonsense at the prompt gets an answer: no traceback, no hang, no exit, and the daemon lives on.

MEMTIERD_FUZZ_S says for how long random lines are made (default 60).  The daemon is one for a dry run, and the only
process that is named is a child of the test.
"""

import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd.daemon import Daemon
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.grammar import Command, Flag
from memtierd.prompt.session import Session
from memtierd.prompt.voice import BUG

SECONDS = float(os.environ.get("MEMTIERD_FUZZ_S", "60"))
ONE_LINE_S = 20
"""A line that takes longer hangs; most take a millisecond."""
BAD_VALUES = (
    "",
    "abc",
    "-1",
    "0",
    "1.5",
    "1e999",
    "99999999999999999999999",
    "0x10",
    ",",
    "1,,2",
    "a-b",
    "ffffffffffffffff+1T",
    "7f0000000000-7f0000001000",
    "{",
    "{}",
    "[1,2",
    '{"a":',
    "'",
    '"',
    "\\",
    "%s%n%d",
    "é\u202e",
    "\x1b[31m\x07",
    "x" * 5000,
    "/nonexistent/file",
    "/",
    "auto",
    "true",
    "idle",
)
PIECES = (
    *COMMANDS,
    *BAD_VALUES,
    "-",
    "--",
    "-h",
    "=",
    "#",
    "|",
    "| cat",
    "| false",
    "-f",
    "json",
    "-config",
    "-create",
    "-ls",
)
NEVER = {("log", "f"), ("time", "sleep"), ("top", "interval"), ("top", "count"), ("mover", "timeout")}
"""These end memtierd, or wait, because that is what they are for."""


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Session, io.StringIO, io.StringIO]]:
    monkeypatch.chdir(tmp_path)
    daemon = Daemon(dry_run=True)
    daemon.start()
    out, err = io.StringIO(), io.StringIO()
    yield Session(daemon, out, err), out, err
    assert daemon.call(lambda reconciler: len(reconciler.node_ids)) >= 1, "the control thread has ended"
    daemon.stop()


def give(session: tuple[Session, io.StringIO, io.StringIO], line: str) -> None:
    """Run one line, which must end in time, without a bug, and without a control character."""

    def hangs(_number: int, _frame: object) -> None:
        raise AssertionError(f"no answer within {ONE_LINE_S} s: {line!r}")

    if line.split()[:1] == ["log"] and "-f" in line:
        return  # it ends memtierd, because that is what it is for
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(ONE_LINE_S)
    try:
        status = session[0].run_line(line)
    except SystemExit as end:
        raise AssertionError(f"memtierd would end: {line!r}") from end
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    out, said = (stream.getvalue() for stream in session[1:])
    for stream in session[1:]:
        stream.seek(0)
        stream.truncate()
    assert status != BUG, f"{line!r}: {said}"
    assert "Traceback" not in said, line
    assert all(text.isprintable() for text in said.split("\n")), f"{line!r}: {said!r}"
    assert "|" in line or all(text.isprintable() for text in out.split("\n")), f"{line!r}: {out!r}"


def flags() -> Iterator[tuple[Command, Flag]]:
    """Yield every flag that may be tried."""
    for command in COMMANDS.values():
        for flag in command.flags:
            if (command.name, flag.name) not in NEVER:
                yield command, flag


@pytest.mark.root
def test_every_flag_with_every_kind_of_bad_value(session: tuple[Session, io.StringIO, io.StringIO]) -> None:
    for command, flag in flags():
        for value in BAD_VALUES:
            name = f"-{flag.name}" if flag.name else ""
            give(session, f"{command.name} {name} {value}")
            give(session, f"{command.name} {name}={value}")


@pytest.mark.root
def test_random_lines(session: tuple[Session, io.StringIO, io.StringIO], child: int) -> None:
    seed = int(os.environ.get("MEMTIERD_FUZZ_SEED", random.randrange(1 << 30)))
    chance = random.Random(seed)
    print(f"MEMTIERD_FUZZ_SEED={seed}")  # shown when it fails
    known = list(flags())
    end = os.times().elapsed + SECONDS
    lines = 0
    while os.times().elapsed < end:
        give(session, _line(chance, known, str(child)))
        lines += 1
    assert lines > 100 * min(1.0, SECONDS)


def _line(chance: random.Random, known: list[tuple[Command, Flag]], pid: str) -> str:
    if chance.random() < 0.3:
        return " ".join(chance.choices(PIECES, k=chance.randrange(6)))
    command = chance.choice(known)[0]
    own = [flag for one, flag in known if one is command]
    words = [command.name]
    for flag in chance.choices(own, k=chance.randrange(1, 4)):
        value = chance.choice(BAD_VALUES) if chance.random() < 0.3 else _good(chance, flag, pid)
        words += [f"-{flag.name}" if flag.name else "", "" if flag.kind.is_switch else value]
    return " ".join(words)


def _good(chance: random.Random, flag: Flag, pid: str) -> str:
    """Return a value that may be right; parts that watch the whole machine or DAMON are left alone."""
    values = {
        "pid": [pid],
        "node": ["0"],
        "state": ["idle", "settled"],
        "policy": ["age", "heat", "stub"],
        "tracker": ["referenced", "softdirty", "stub"],
        "pidwatcher": ["pidlist", "cgroups"],
        "routine": ["statactions"],
    }
    known = [*flag.kind.choices, *values.get(flag.kind.completes, [])]
    return chance.choice(known or ["1", "10", f"{{pids: [{pid}]}}", "7f0000000000+64M", "0,5s,0"])
