"""Routines with real commands: their ends, their time limit, what is left of them, and the daemon around them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from memtierd.errors import MemtierdError
from memtierd.routines import Ports, Routines, StatActionsParams
from memtierd.units import MIB, PAGE_BYTES

DEADLINE_S = 30.0


def until(what: str, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


class FakePrompt:
    """A session whose commands last until `go_on`; notes what it is asked."""

    def __init__(self, console: "FakeConsole") -> None:
        self.console = console

    def run_line(self, text: str) -> int:
        return self.run_words(tuple(text.split()))

    def run_words(self, words: tuple[str, ...]) -> int:
        self.console.printed += f"<{' '.join(words)}>"
        until("go on", lambda: self.console.go_on)
        return int(words[1]) if len(words) > 1 else 0

    def abort(self) -> None:
        self.console.aborts += 1


class FakeConsole:
    def __init__(self) -> None:
        self.printed = ""
        self.aborts = 0
        self.go_on = True

    def write(self, text: str) -> None:
        self.printed += text

    def open_prompt(self) -> FakePrompt:
        return FakePrompt(self)


class Stage:
    """Routines, and what they count and complain of."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.held: list[tuple[str, tuple[str, ...]]] = []
        self.swapped_mb = 0
        self.console = FakeConsole()
        self.routines = Routines(Ports(self._count, self._hold, self._swapped_pages, lambda: self.console))

    def _count(self, event: str, times: int) -> None:
        self.counts[event.removeprefix("routine.statactions.")] += times

    def _hold(self, source: str, texts: Sequence[str]) -> None:
        self.held.append((source, tuple(texts)))

    def _swapped_pages(self) -> int:
        return self.swapped_mb * MIB // PAGE_BYTES

    def start(self, **params: Any) -> int:
        number = self.routines.create("statactions")
        self.routines.configure(number, StatActionsParams(**{"interval_ms": 5, **params}))
        self.routines.start(number)
        return number

    def complaints(self) -> list[str]:
        return [text for _, texts in self.held for text in texts]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.routines.stop_all()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_command_runs_every_interval(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stage.start(interval_command=("sh", "-c", f"echo x >> {log}"))
    until("three runs", lambda: stage.counts["1.intervalcommand"] >= 3)
    stage.routines.stop(1)
    # A run that the stop has cut short may have written, too.
    assert len(log.read_text().split()) - stage.counts["1.intervalcommand"] in (0, 1)
    assert stage.counts["1.tick"] >= stage.counts["1.intervalcommand"]
    assert stage.complaints() == []


def test_enough_swapped_out_memory_runs_the_pageout_command_once(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stage.swapped_mb = 50
    stage.start(page_out_mb=10, page_out_command=("sh", "-c", f"echo x >> {log}"))
    for swapped_mb, runs in ((59, 0), (60, 1), (69, 1), (85, 2), (94, 2)):
        stage.swapped_mb = swapped_mb
        ticks = stage.counts["1.tick"] + 2
        until("two ticks", lambda ticks=ticks: stage.counts["1.tick"] > ticks)  # type: ignore[misc]
        assert stage.counts["1.pageoutcommand"] == runs
    assert log.read_text().split() == ["x", "x"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("false",), "exit status 1"),
        (("sh", "-c", "kill -SEGV $$"), "ended by signal 11 (SIGSEGV)"),
        (("/no/such/program",), "no such file or directory (ENOENT); give a program"),
        (("/etc/passwd",), "permission denied (EACCES); give a program"),
        (("a\0b",), "embedded null byte"),
    ],
)
def test_failures_are_counted_each_time_and_told_once(stage: Stage, command: tuple[str, ...], problem: str) -> None:
    stage.start(interval_command=command)
    until("three failures", lambda: stage.counts["1.intervalcommand.failed"] >= 3)
    (told,) = stage.complaints()
    assert told.startswith("routine 1 statactions: run intervalcommand '")
    assert problem in told


def test_a_problem_that_is_over_is_withdrawn(stage: Stage, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    stage.start(interval_command=("test", "-e", str(flag)))
    until("a failure", lambda: len(stage.held) == 1)
    flag.touch()
    until("no failure", lambda: len(stage.held) == 2)
    assert stage.held[1] == ("routine 1 statactions", ())


def test_what_takes_too_long_is_killed_with_what_it_started_and_delays_nobody(stage: Stage, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! $$ >> {pids}; wait"
    stage.start(interval_command=("sh", "-c", script), command_timeout_ms=1000)
    other = stage.start(interval_command=("true",))
    until("two time-outs", lambda: stage.counts["1.intervalcommand.timeout"] >= 2)
    assert stage.counts[f"{other}.intervalcommand"] > stage.counts["1.intervalcommand"]
    assert stage.counts["1.skipped"] > 10  # of 200 in each second
    (told,) = stage.complaints()
    assert told.startswith("routine 1 statactions: run intervalcommand 'sh -c sleep 1000 & echo $! $$ >> /")
    assert told.endswith("': not done within 1000 ms, killed")
    stage.routines.stop_all()
    started = [int(pid) for line in pids.read_text().splitlines() for pid in line.split()]
    assert len(started) >= 4
    until("all are gone", lambda: not any(map(is_alive, started)))


def test_a_prompt_command_that_can_not_be_ended_is_waited_for(stage: Stage) -> None:
    stage.console.go_on = False
    stage.start(interval_command=("mover", "0"), interval_command_runner="memtier", command_timeout_ms=20)
    until("it is told of", lambda: bool(stage.complaints()))
    left_out = stage.counts["1.skipped"]
    until("ticks left out", lambda: stage.counts["1.skipped"] > left_out + 3)
    assert stage.counts["1.intervalcommand.timeout"] == 1
    assert stage.console.aborts == 1
    (told,) = stage.complaints()
    assert told.endswith("not done within 20 ms, and it can't be ended; the routine waits for it")
    stage.console.go_on = True
    until("it goes on", lambda: stage.counts["1.intervalcommand"] >= 3)


def test_time_stamps_are_printed_around_prompt_commands(stage: Stage) -> None:
    stage.start(
        interval_command=("stats 7",),
        interval_command_runner="memtier-prompt",
        timestamp="[duration]",
        timestamp_after=" after\n",
    )
    until("two failures", lambda: stage.counts["1.intervalcommand.failed"] >= 2)
    stage.routines.stop_all()
    assert stage.console.printed.startswith("[0]<stats 7> after\n[0]<stats 7> after\n")
    assert stage.complaints() == ["routine 1 statactions: run intervalcommand 'stats 7': status 7"]


def test_a_time_stamp_that_nobody_reads_keeps_no_command_from_running(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str) -> None:
        raise MemtierdError("write output: broken pipe (EPIPE)")

    monkeypatch.setattr(stage.console, "write", refuse)
    stage.start(interval_command=("touch", f"{tmp_path}/ran"), timestamp="unix ", timestamp_after="unix ")
    until("a run", lambda: stage.counts["1.intervalcommand.failed"] >= 1)
    assert (tmp_path / "ran").exists()
    assert stage.complaints()[0].endswith("write output: broken pipe (EPIPE)")


def test_another_configuration_starts_a_running_routine_anew(stage: Stage) -> None:
    stage.start(interval_ms=3_600_000, interval_command=("true",))
    stage.routines.start(1)
    stage.routines.configure(1, StatActionsParams(interval_ms=5, interval_command=("true",)))
    until("a run", lambda: stage.counts["1.intervalcommand"] >= 1)
    stage.routines.stop(1)
    stage.routines.stop(1)
    assert [view.is_running for view in stage.routines.views()] == [False]


# the whole program

ROUTINES = """
routines:
- name: statactions
  config: {{intervalms: 50, intervalcommand: [sh, -c, "echo x >> {log}"]}}
- name: statactions
  config: |
    intervalms: 50
    intervalcommand: ["stats -t events -f json | cat > {events}.new && mv {events}.new {events}"]
    intervalcommandrunner: memtier-prompt
- name: statactions
  config: {{intervalms: 50, intervalcommand: [sh, -c, "sleep 1000 & echo $! $$ > {hanging}; wait"]}}
- name: statactions
  config: {{intervalms: 50, intervalcommand: [q], intervalcommandrunner: memtier, timestamp: "now "}}
- name: statactions
  config: {{intervalms: 50, intervalcommand: ["nop | sleep 1000"], intervalcommandrunner: memtier-prompt}}
"""


@pytest.mark.parametrize("policy", ["", "policy:\n  name: stub\n"], ids=["alone", "stub"])
def test_routines_side_by_side_until_sigterm(tmp_path: Path, policy: str) -> None:
    log, events, hanging = tmp_path / "log", tmp_path / "events", tmp_path / "hanging"
    config = tmp_path / "memtierd.yaml"
    config.write_text(policy + ROUTINES.format(log=log, events=events, hanging=hanging))
    command = [sys.executable, "-m", "memtierd", "-config", str(config)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until("runs", lambda: log.exists() and log.read_text().count("x") >= 3)
        until("events", lambda: events.exists() and counted(events)["routine.statactions.2.intervalcommand"] >= 2)
        until("hanging", lambda: hanging.exists() and len(hanging.read_text().split()) == 2)
        until("a shell", lambda: bool(shells_of(process.pid)))
        left = [int(pid) for pid in hanging.read_text().split()] + shells_of(process.pid)
        asked_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE_S)
        assert time.monotonic() - asked_s < 10  # 2 s when the machine is not busy
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()  # no communicate: what a killed daemon leaves behind holds the pipes open
    assert out.startswith("now quit.\nnow quit.\n"), out
    assert "WARN: routine" not in err
    assert "ERROR" not in err
    assert counted(events)["routine.statactions.3.tick"] == 1
    until("nothing is left", lambda: not any(map(is_alive, left)))


def counted(events: Path) -> Counter[str]:
    return Counter({row["name"]: int(row["count"]) for row in json.loads(events.read_text())["events"]})


def shells_of(pid: int) -> list[int]:
    """Return the children of a process, in whichever thread it made them, that sleep for long."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        found += [int(child) for child in children if b"nop" not in Path(f"/proc/{child}/cmdline").read_bytes()]
    return [child for child in found if b"sleep 1000" in Path(f"/proc/{child}/cmdline").read_bytes()]
