"""A dry run that is switched on and off while all goes on, and a plan that is printed after a while of observing.

Swap space is only said to be there, so that there is a plan.
"""

import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest

from memtierd import config, planning_run
from memtierd.daemon import Daemon
from memtierd.errors import MemtierdError
from memtierd.linux.probe import probe
from memtierd.model import MachineFacts
from memtierd.prompt.session import Session
from memtierd.regions.lifecycle import PLACEMENT

FEATURES = probe()
DEADLINE_S = 30.0

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
    pytest.mark.skipif(not FEATURES.works("referenced"), reason=FEATURES.get("referenced").detail),
]

TEXT = """
policy:
  name: age
  config:
    pids: [PID]
    intervalms: 100
    swapoutms: 200
    retryms: 100
    retrymaxms: 100
    tracker: {name: referenced, config: {scanintervalms: 50}}
routines:
  - {name: statactions, config: {intervalms: 50, intervalcommand: ["touch", "MARK"]}}
"""


@pytest.fixture
def child() -> Iterator[int]:
    program = [sys.executable, "-c", "x = bytearray(range(256)) * 40960; import sys; sys.stdin.read()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Return a dry run on a machine of which it is said that it has swap space."""
    made = Daemon(features=FEATURES, dry_run=True)

    def machine() -> MachineFacts:
        return attrs.evolve(made.machine(), swap_total_pages=1 << 20, swap_free_pages=1 << 20)

    made.control._machine = machine
    made.start()
    yield made
    made.stop()


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Return a file that the routine makes, again and again."""
    return tmp_path / "mark"


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.01)


def planned_pages(daemon: Daemon) -> int:
    return daemon.call(lambda reconciler: int(reconciler.plan.moves.move_pages.sum()))


def handled_pages(daemon: Daemon, pid: int) -> int:
    """Return how many pages the mover has dealt with; where there is no swap, it finds out that there is none."""
    return daemon.call(lambda reconciler: sum(reconciler.statistics.outcomes.of(pid)))


def ticks(daemon: Daemon) -> int:
    return daemon.call(lambda reconciler: reconciler.statistics.events["policy.age.tick"].count)


def let_tick(daemon: Daemon, times: int = 3) -> None:
    before = ticks(daemon)
    until(lambda: ticks(daemon) >= before + times)


def run_configuration(daemon: Daemon, pid: int, mark: Path) -> None:
    daemon.apply(config.load_text(TEXT.replace("PID", str(pid)).replace("MARK", str(mark)), "x"))


def test_a_dry_run_is_switched_off_and_on_while_all_goes_on(daemon: Daemon, child: int, mark: Path) -> None:
    run_configuration(daemon, child, mark)
    until(lambda: planned_pages(daemon) > 0)
    let_tick(daemon)
    assert (daemon.mover.state.value, daemon.mover.tasks(), handled_pages(daemon, child)) == ("stopped", [], 0)
    assert [view.is_running for view in daemon.routines.views()] == [False]
    assert not mark.exists()
    daemon.set_dry_run(False)
    until(lambda: handled_pages(daemon, child) > 0)
    until(mark.exists)
    assert daemon.policy_running
    daemon.set_dry_run(True)
    assert daemon.mover.state.value == "stopped"
    mark.unlink()
    let_tick(daemon)
    before = handled_pages(daemon, child)
    let_tick(daemon)
    assert (daemon.mover.tasks(), handled_pages(daemon, child), mark.exists()) == ([], before, False)
    assert daemon.tracker_running
    daemon.set_dry_run(True)  # again: no effect
    assert daemon.dry_run


def test_what_the_mover_has_not_begun_is_dropped_when_the_dry_run_begins(
    daemon: Daemon, child: int, mark: Path
) -> None:
    daemon.set_dry_run(False)
    run_configuration(daemon, child, mark)
    until(lambda: handled_pages(daemon, child) > 0)
    daemon.mover.pause()
    until(lambda: len(daemon.mover.tasks()) > 0)
    daemon.set_dry_run(True)
    assert daemon.mover.tasks() == []
    until(lambda: daemon.call(lambda reconciler: "queued" not in _placements(reconciler.table.placement)))


def _placements(codes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> set[str]:
    return {PLACEMENT.declaration.states[code] for code in np.unique(codes).tolist()}


def test_routines_started_in_a_dry_run_begin_with_its_end(daemon: Daemon, mark: Path) -> None:
    number = daemon.routines.create("statactions")
    part = config.load_text(TEXT.replace("PID", "1").replace("MARK", str(mark)), "x").routines[0]
    daemon.routines.configure(number, part.params)
    daemon.routines.start(number)
    assert not daemon.routines.views()[0].is_running
    daemon.set_dry_run(False)
    until(mark.exists)
    daemon.routines.stop(number)
    daemon.set_dry_run(True)
    daemon.set_dry_run(False)
    assert not daemon.routines.views()[0].is_running


def test_manual_moves_are_refused_at_the_prompt_of_a_dry_run(daemon: Daemon, child: int) -> None:
    out, err = io.StringIO(), io.StringIO()
    session = Session(daemon, out, err)
    assert session.run_line(f"swap -pid {child} -out") == 1
    assert err.getvalue() == "swap: dry run: nothing is swapped; end the dry run with: policy -dry-run off\n"
    assert session.run_line("policy -dry-run off") == 0
    assert not daemon.dry_run
    assert session.run_line("policy -dry-run on") == 0
    assert daemon.dry_run


def test_a_lasting_dry_run_is_calm(daemon: Daemon, child: int, mark: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("memtierd").propagate = True
    with caplog.at_level(logging.INFO, "memtierd"):
        run_configuration(daemon, child, mark)
        until(lambda: planned_pages(daemon) > 0)
        let_tick(daemon, 5)
        before = len(caplog.records)
        let_tick(daemon, 20)
    told = [record.getMessage() for record in caplog.records]
    moves = [line for line in told if line.startswith("would move ")]
    assert len(moves) == len(set(moves)) > 0
    assert len(told) - before <= 5, told[before:]


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_plan_is_printed_after_a_while(daemon: Daemon, child: int, mark: Path, *, interrupted: bool) -> None:
    run_configuration(daemon, child, mark)
    out = io.StringIO()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if interrupted and planned_pages(daemon):
            raise KeyboardInterrupt

    assert planning_run.run(daemon, out, 60 if interrupted else 2, "json", sleep=sleep) == 0
    found = json.loads(out.getvalue())
    assert found["totals"]["swap_out_bytes"] == found["totals"]["move_bytes"] > 10 << 20
    assert {row["pid"] for row in found["moves"]} == {child}
    assert {row["target"] for row in found["moves"]} == {"swap"}
    assert found["estimated_s"] == pytest.approx(found["totals"]["move_bytes"] / (100 << 20), abs=0.01)
    assert handled_pages(daemon, child) == 0


def test_without_a_dry_run_no_plan_is_waited_for(daemon: Daemon, child: int, mark: Path) -> None:
    daemon.set_dry_run(False)
    with pytest.raises(MemtierdError, match="dry run"):
        planning_run.run(daemon, io.StringIO(), 1)


def test_the_loop_beats_while_nothing_else_is_to_do(daemon: Daemon) -> None:
    first = daemon.control.last_beat_ns
    until(lambda: daemon.control.last_beat_ns > first + 1_500_000_000)
    held, go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        go_on.wait(DEADLINE_S)

    daemon.control.tell(hold)
    assert held.wait(DEADLINE_S)
    stuck = daemon.control.last_beat_ns
    time.sleep(0.3)
    assert daemon.control.last_beat_ns == stuck
    go_on.set()
    until(lambda: daemon.control.last_beat_ns > stuck)
