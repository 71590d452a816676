"""Observing for a while to print the plan: how long, until when, and what is said of what could not be seen."""

import io
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from memtierd.conditions import Held
from memtierd.errors import MemtierdError
from memtierd.model import Scan
from memtierd.parameters import Part
from memtierd.planning_run import Progress, is_enough, run, scan_interval_s
from memtierd.policies.age import AgeParams
from memtierd.policies.stub import StubPolicyParams
from memtierd.trackers import IdlePageParams, MultiParams, SoftDirtyParams
from tests.unit.prompt.prompt_fakes import EPOCH_NS, FakeDaemon, S, process_scan, scan

IDLE_PAGE = Part("idlepage", IdlePageParams(scan_interval_ms=4000))
AGE = AgeParams(idle_duration_ms=5000, idle_numas=(1,), tracker=IDLE_PAGE)


@attrs.define
class Loop:
    """What is steered of the control loop."""

    shows_moves: bool = True


class Observed(FakeDaemon):
    """A dry run whose tracker scans every few seconds of a clock that only sleeping moves."""

    def __init__(self, params: AgeParams = AGE, *, rounds: Callable[[float], Scan | None] | None = None) -> None:
        super().__init__(params)
        self.dry_run, self.policy_params, self.policy_running = True, params, True
        self.control = Loop()
        self.now_s = 0.0
        self.rounds = rounds or (lambda second: scan(process_scan([9, 0], second, primed=second > 0)))
        self.scanned_s = -1.0
        self.interrupt_s: float | None = None
        self.ticks = 0

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 0.2
        self.now_s += seconds
        if self.now_s - max(self.scanned_s, 0) >= 4:
            self.scanned_s = self.now_s
            found = self.rounds(self.now_s)
            if found is not None:
                self.reconciler.observe(found)
        if self.interrupt_s is not None and self.now_s >= self.interrupt_s:
            raise KeyboardInterrupt

    def clock_ns(self) -> int:
        return round(self.now_s * S)

    def tick_now(self) -> Any:
        self.ticks += 1
        return self.reconciler.decide(EPOCH_NS + round(self.now_s * S), self.machine())

    def report(self, for_s: float) -> dict[str, Any]:
        """Return what a run prints as JSON."""
        out = io.StringIO()
        assert run(self, out, for_s, "json", self.clock_ns, self.sleep) == 0
        found: dict[str, Any] = json.loads(out.getvalue())
        return found


def first_unprimed(daemon_s: float) -> Scan:
    return scan(process_scan([9, 0], daemon_s, primed=daemon_s > 5))


def test_it_observes_as_long_as_was_asked_and_decides_at_the_end() -> None:
    daemon = Observed(rounds=first_unprimed)
    found = daemon.report(30)
    assert 29.9 <= daemon.now_s < 30.5
    assert (daemon.ticks, daemon.control.shows_moves) == (1, False)
    assert found["observed_s"] == pytest.approx(daemon.now_s)
    assert (found["scans"], found["dry_run"], found["notes"]) == (7, True, [])
    (move,) = found["moves"]
    assert (move["direction"], move["state"]) == ("demote", "idle")


def test_it_waits_until_the_tracker_has_scanned_twice() -> None:
    daemon = Observed(rounds=first_unprimed)
    found = daemon.report(1)
    assert 8 <= daemon.now_s < 9
    assert found["scans"] == 2


def test_it_does_not_wait_for_a_tracker_that_never_scans() -> None:
    daemon = Observed(rounds=lambda _second: None)
    found = daemon.report(1)
    assert 1 + 30 + 8 <= daemon.now_s < 41
    assert found["scans"] == 0
    assert found["notes"][0] == "no process was found to manage"


def test_an_interrupt_prints_what_is_known() -> None:
    daemon = Observed(rounds=first_unprimed)
    daemon.interrupt_s = 20
    found = daemon.report(1000)
    assert found["observed_s"] == pytest.approx(20, abs=0.3)
    assert found["moves"]


def test_it_says_what_was_not_observed_for_long_enough() -> None:
    daemon = Observed(attrs.evolve(AGE, idle_duration_ms=60_000, swap_out_ms=90_000), rounds=first_unprimed)
    notes = daemon.report(30)["notes"]
    assert notes == [
        "idledurationms is 60 s, longer than was observed: nothing can be due for idlenumas yet; take -for 69s or more",
        "swapoutms is 90 s, longer than was observed: nothing can be due for swap yet; take -for 99s or more",
    ]


def test_without_nodes_no_duration_is_too_long() -> None:
    daemon = Observed(attrs.evolve(AGE, idle_duration_ms=60_000, idle_numas=()), rounds=first_unprimed)
    assert daemon.report(30)["notes"] == []


def test_it_says_what_no_scan_could_judge_and_what_is_wrong_but_not_twice() -> None:
    daemon = Observed(rounds=lambda second: scan(process_scan([9, 0], second, primed=False)))
    daemon.held = [Held("scan", "pid 7 can't be read", 0), Held("plan", "told already", 0)]
    assert daemon.report(1)["notes"] == [
        "4 MB could not be judged: no scan could tell yet whether it is used",
        "pid 7 can't be read",
    ]


def test_it_needs_a_dry_run_and_a_policy_that_manages_processes() -> None:
    daemon = Observed()
    daemon.dry_run = False
    with pytest.raises(MemtierdError, match="needs a dry run"):
        daemon.report(1)
    daemon = Observed()
    daemon.policy_params = StubPolicyParams()
    with pytest.raises(MemtierdError, match="no policy that manages processes"):
        daemon.report(1)
    daemon.policy_params = None
    with pytest.raises(MemtierdError, match="no policy that manages processes"):
        daemon.report(1)


@pytest.mark.parametrize(
    ("progress", "enough"),
    [
        (Progress(0, 0, 0), False),
        (Progress(1, 1, 1), False),
        (Progress(2, 1, 0), False),
        (Progress(2, 1, 1), True),
        (Progress(2, 0, 0), True),
    ],
)
def test_what_is_enough(progress: Progress, *, enough: bool) -> None:
    assert is_enough(progress) is enough


def test_the_slowest_of_several_trackers_counts() -> None:
    both = MultiParams(trackers=(IDLE_PAGE, Part("softdirty", SoftDirtyParams(scan_interval_ms=7000))))
    assert scan_interval_s(attrs.evolve(AGE, tracker=Part("multi", both))) == 7
    assert scan_interval_s(AGE) == 4
    assert scan_interval_s(attrs.evolve(AGE, tracker=None)) == 0
