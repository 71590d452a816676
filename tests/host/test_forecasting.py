"""Decisions of the control loop by forecasts: waiting without standing still, and the heat that was observed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from memtierd.control import Control
from memtierd.forecasters import Answer, Forecast, Heats, ProcessHeats
from memtierd.forecasters.desk import LATE
from memtierd.linux.probe import probe
from memtierd.linux.proc import process_key
from memtierd.linux.roots import ROOTS
from memtierd.model import ProcessFacts, ProcessKey, ProcessScan, Scan
from memtierd.mover import MoverParams
from memtierd.policies.heat import HeatmapParams, HeatParams, HeatPolicy
from memtierd.reconcile import Reconciler
from tests.host.test_control import NotingMover
from tests.unit.regions.region_samples import MS, NODES, machine_of

FEATURES = probe()
DEADLINE_S = 30.0
REGION_PAGES = 16
INTERVAL_MS = 1000


class NotingPort:
    """Takes requests and keeps them."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Heats]] = []

    def ask(self, number: int, heats: Heats) -> bool:
        self.asked.append((number, heats))
        return True

    def answer(self, heat: float) -> Forecast:
        """Return a forecast of one heat for all regions of the last request."""
        number, heats = self.asked[-1]
        return Forecast(number, Answer({key: _all(one, heat) for key, one in heats.items()}))


def _all(one: ProcessHeats, heat: float) -> ProcessHeats:
    return ProcessHeats(one.start, one.pages, np.full(len(one.start), heat, np.float32), one.created_ns, one.updated_ns)


class Stage:
    """A loop with the heat policy, which wants the hotter half on node 1, and a clock that the test turns."""

    def __init__(self, key: ProcessKey) -> None:
        self.now_ms = 1000
        self.key = key
        self.port = NotingPort()
        self.mover = NotingMover()
        params = HeatParams(
            heatmap=HeatmapParams(heat_max=1.0, heat_retention=1.0, heat_classes=2),
            heat_numas={1: (1,)},
            interval_ms=INTERVAL_MS,
            mover=MoverParams(),
        )
        self.control = Control(
            Reconciler(HeatPolicy(params), NODES, 0),
            self.mover,
            machine_of,
            lambda: self.now_ms * MS,
            ROOTS,
            dry_run=False,
            wall_ns=lambda: 5_000_000 * MS,
        )
        self.mover.post = self.control.post
        self.control.start()
        self.control.watch(frozenset({key}))
        self._scan(primed=False)
        self._scan(primed=True)
        self.control.forecast_with(self.port)
        self.control.tick_every(INTERVAL_MS)

    def _scan(self, *, primed: bool) -> None:
        """Post a round that saw two cold regions on node 0."""
        node_pages = np.zeros((len(NODES), 2), np.uint32)
        node_pages[0] = REGION_PAGES
        at_ns, none = self.now_ms * MS, np.zeros(2, np.uint32)
        facts = ProcessFacts(self.key, "test", frozenset(NODES), 0)
        start = np.array([1, 2], np.uint64) * np.uint64(REGION_PAGES << 12)
        pages = np.full(2, REGION_PAGES, np.uint32)
        scan = ProcessScan(facts, at_ns, at_ns, start, pages, none, none, np.full(2, primed), none, node_pages)
        self.control.post(Scan("fake", at_ns, at_ns, (scan,)))

    def pass_interval(self) -> None:
        """Let a tick come due, and wait until the loop has seen that."""
        self.now_ms += INTERVAL_MS
        for _ in range(2):
            self.control.call(lambda _: None)

    def take(self, forecast: Forecast) -> None:
        self.control.post(forecast)
        for _ in range(2):
            self.control.call(lambda _: None)

    def moved(self) -> int:
        return sum(len(batch.start) for batch in self.mover.batches)

    def events(self) -> dict[str, int]:
        return self.control.call(
            lambda reconciler: {name: counts.count for name, counts in reconciler.statistics.events.items()}
        )


@pytest.fixture
def stage() -> Iterator[Stage]:
    with subprocess.Popen(["sleep", "1000"]) as child:
        made = Stage(process_key(child.pid))
        yield made
        made.control.stop()
        child.kill()


def test_a_tick_decides_by_the_forecast_and_leaves_the_observed_heat_alone(stage: Stage) -> None:
    stage.pass_interval()
    assert stage.events().get("policy.heat.tick") is None  # it waits, and answers calls meanwhile
    ((_, heats),) = stage.port.asked
    assert heats[stage.key].heat.tolist() == [0.0, 0.0]
    assert heats[stage.key].updated_ns.tolist() == [(5_000_000 - INTERVAL_MS) * MS] * 2
    stage.take(stage.port.answer(0.9))
    assert (stage.events()["policy.heat.tick"], stage.events()["forecast.used"]) == (1, 1)
    assert stage.moved() == 2
    assert stage.control.call(lambda reconciler: reconciler.table.heat.tolist()) == [0.0, 0.0]
    stage.control.tick_now()  # the prompt's tick goes by the last forecast
    assert stage.moved() == 2


def test_without_an_answer_the_next_tick_decides_by_observed_heat(stage: Stage) -> None:
    stage.pass_interval()
    late = stage.port.answer(0.9)
    stage.pass_interval()
    assert (stage.events()["policy.heat.tick"], stage.events()["forecast.late"]) == (1, 1)
    assert stage.moved() == 0
    assert LATE in [held.text for held in stage.control.conditions.all]
    stage.take(late)
    assert (stage.events()["policy.heat.tick"], stage.events()["forecast.dropped"]) == (1, 1)
    stage.pass_interval()
    stage.take(stage.port.answer(0.9))
    assert stage.moved() == 2
    assert stage.control.conditions.all == ()


def test_a_tick_by_hand_does_not_wait_and_the_answer_still_counts(stage: Stage) -> None:
    stage.pass_interval()
    stage.control.tick_now()
    assert stage.moved() == 0
    stage.take(stage.port.answer(0.9))
    assert stage.moved() == 2


def test_a_forecaster_that_was_stopped_has_no_say(stage: Stage) -> None:
    stage.pass_interval()
    answer = stage.port.answer(0.9)
    stage.control.forecast_with(None)
    stage.take(answer)
    assert stage.events()["forecast.dropped"] == 1
    stage.pass_interval()
    assert (stage.events()["policy.heat.tick"], stage.moved()) == (1, 0)


CONFIG = """
policy:
  name: heat
  config:
    intervalms: 100
    pids: [{pid}]
    tracker: {{name: auto, config: {{scanintervalms: 100}}}}
    forecaster:
      name: chain
      config:
        forecasters:
        - {{name: trace, config: {{file: {directory}/trace}}}}
        - {{name: stdio, config: {{command: [sh, -c, "echo $$ > {directory}/pid; exec cat"]}}}}
        - {{name: stdio, config: {{command: ["false"], retryms: 1000000}}}}
"""


@pytest.mark.root
@pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail)
def test_the_whole_program_with_a_chain(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        config = tmp_path / "memtierd.yaml"
        config.write_text(CONFIG.format(pid=child.pid, directory=tmp_path))
        command = [sys.executable, "-m", "memtierd", "-dry-run", "-prompt", "-config", str(config)]
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
            assert process.stdin is not None
            until("a forecast counts", lambda: _counted(process, "forecast.used"))
            assert _counted(process, "forecast.failed")
            out, err = process.communicate("policy -dump forecast\n", timeout=DEADLINE_S)
            assert process.returncode == 0
        child.kill()
    assert out.startswith('{"Name":"chain"')
    assert err.count("WARN: forecaster stdio 'false': exit status 1") == 1
    assert f"{child.pid} " in (tmp_path / "trace").read_text()
    pid = int((tmp_path / "pid").read_text())
    until("cat has ended", lambda: not Path(f"/proc/{pid}").exists())


def _counted(process: "subprocess.Popen[str]", event: str) -> bool:
    """Ask a memtierd at its prompt whether an event has happened."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"stats -t events -f csv | grep -c ,{event}\n")
    process.stdin.flush()
    return process.stdout.readline() != "0\n"


def until(what: str, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)
