"""The scanner's thread: when rounds start, how they stop, and what becomes of errors."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey, Scan
from memtierd.trackers.scanner import Scanner, next_due_ns
from memtierd.trackers.tracker import ScanStoppedError, StopFlag

KEY, OTHER = ProcessKey(7, 700), ProcessKey(8, 800)
HOUR_MS = 3_600_000
PATIENCE_S = 20.0
"""Only a broken scanner needs so long."""


class FakeTracker:
    """Reports each call of scan and does what it is told."""

    name = "fake"
    why = ""
    params = None

    def __init__(self, interval_ms: int = HOUR_MS) -> None:
        self.interval_ms = interval_ms
        self.calls: queue.Queue[tuple[ProcessKey, ...]] = queue.Queue()
        self.forgotten: list[ProcessKey] = []
        self.behaviour: Callable[[StopFlag], None] = lambda stop: None
        self.threads: set[int] = set()

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        self.threads.add(threading.get_ident())
        self.calls.put(tuple(targets))
        self.behaviour(stop)
        return Scan("fake", 0, 0, ())

    def conditions(self) -> tuple[str, ...]:
        return ()

    def forget(self, key: ProcessKey) -> None:
        self.threads.add(threading.get_ident())
        self.forgotten.append(key)

    def close(self) -> None:
        raise AssertionError("the scanner does not own the tracker")


class Bench:
    """A scanner over a FakeTracker, with what it posted."""

    def __init__(self) -> None:
        self.tracker = FakeTracker()
        self.posted: queue.Queue[Scan] = queue.Queue()
        self.errors: queue.Queue[str] = queue.Queue()
        self.scanner = Scanner(self.tracker, self.posted.put, time.monotonic_ns, self.errors.put)

    def next_call(self) -> tuple[ProcessKey, ...]:
        return self.tracker.calls.get(timeout=PATIENCE_S)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.scanner.stop()


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [(100, 110, (150, False)), (100, 150, (150, False)), (100, 151, (151, True)), (100, 900, (900, True))],
)
def test_rounds_start_an_interval_apart_and_missed_ones_are_not_made_up(
    started: int, ended: int, expected: tuple[int, bool]
) -> None:
    assert next_due_ns(started, ended, 50) == expected


def test_the_first_round_starts_when_targets_appear(bench: Bench) -> None:
    bench.scanner.start()
    bench.scanner.set_targets((KEY,))
    assert bench.next_call() == (KEY,)
    bench.posted.get(timeout=PATIENCE_S)
    bench.scanner.stop()
    assert bench.scanner.rounds == 1


def test_targets_that_disappear_and_appear_again_are_scanned_at_once(bench: Bench) -> None:
    bench.scanner.start()
    bench.scanner.set_targets((KEY,))
    bench.next_call()
    bench.posted.get(timeout=PATIENCE_S)
    bench.scanner.set_targets(())
    bench.scanner.set_targets((OTHER,))
    assert bench.next_call() == (OTHER,)


def test_rounds_go_on_by_themselves(bench: Bench) -> None:
    bench.tracker.interval_ms = 1
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    assert [bench.next_call() for _ in range(3)] == [(KEY,)] * 3


def test_a_round_asked_for_does_not_wait_and_sees_the_newest_targets(bench: Bench) -> None:
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    bench.next_call()
    bench.posted.get(timeout=PATIENCE_S)
    bench.scanner.set_targets((KEY, OTHER))
    bench.scanner.scan_now()
    assert bench.next_call() == (KEY, OTHER)


def test_a_round_asked_for_during_a_round_follows_it(bench: Bench) -> None:
    asked = threading.Event()
    bench.tracker.behaviour = lambda stop: None if asked.wait(PATIENCE_S) else pytest.fail("never asked")
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    bench.next_call()
    bench.scanner.scan_now()
    asked.set()
    bench.next_call()


def test_processes_that_are_no_targets_any_more_are_forgotten_in_the_scanning_thread(bench: Bench) -> None:
    bench.scanner.set_targets((KEY, OTHER))
    bench.scanner.start()
    bench.next_call()
    bench.posted.get(timeout=PATIENCE_S)
    bench.scanner.set_targets((OTHER,))
    bench.scanner.scan_now()
    bench.next_call()
    assert bench.tracker.forgotten == [KEY]
    bench.scanner.stop()
    assert bench.tracker.forgotten == [KEY, OTHER]
    assert len(bench.tracker.threads) == 1
    assert threading.get_ident() not in bench.tracker.threads


def test_overruns_are_counted_and_followed_at_once() -> None:
    tracker = FakeTracker(interval_ms=HOUR_MS)
    now_ns = 0

    def take_two_hours(stop: StopFlag) -> None:
        nonlocal now_ns
        now_ns += 2 * HOUR_MS * 1_000_000

    tracker.behaviour = take_two_hours
    scanner = Scanner(tracker, lambda scan: None, lambda: now_ns, pytest.fail)
    scanner.set_targets((KEY,))
    scanner.start()
    for _ in range(3):
        tracker.calls.get(timeout=PATIENCE_S)
    scanner.stop()
    assert scanner.overruns >= 2


def test_stop_ends_a_round_under_way_and_drops_it(bench: Bench) -> None:
    def scan_until_stopped(stop: StopFlag) -> None:
        while not stop.is_set():
            time.sleep(0)
        raise ScanStoppedError("stopped")

    bench.tracker.behaviour = scan_until_stopped
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    bench.next_call()
    bench.scanner.stop()
    assert not bench.scanner.is_running
    assert bench.posted.empty()
    assert bench.errors.empty()
    assert bench.scanner.rounds == 0


def test_stop_does_not_wait_for_a_kernel_that_cannot_be_stopped(bench: Bench) -> None:
    walked = threading.Event()
    bench.tracker.behaviour = lambda stop: None if walked.wait(PATIENCE_S) else pytest.fail("never walked")
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    bench.next_call()
    assert not bench.scanner.stop(timeout_s=0)
    assert bench.scanner.is_running
    walked.set()
    assert bench.scanner.stop(PATIENCE_S)
    assert bench.posted.empty()
    assert bench.tracker.forgotten == [KEY]


def test_stopping_twice_and_starting_again_works(bench: Bench) -> None:
    bench.scanner.stop()
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    bench.scanner.start()
    bench.next_call()
    bench.scanner.stop()
    bench.scanner.stop()
    bench.scanner.start()
    assert bench.next_call() == (KEY,)


@pytest.mark.parametrize("error", [ValueError("broken"), MemtierdError("read X: no such file (ENOENT)")])
def test_the_thread_survives_errors_and_reports_each_text_once(bench: Bench, error: Exception) -> None:
    def fail(stop: StopFlag) -> None:
        raise error

    bench.tracker.behaviour = fail
    bench.tracker.interval_ms = 1
    bench.scanner.set_targets((KEY,))
    bench.scanner.start()
    for _ in range(3):
        bench.next_call()
    bench.scanner.stop()
    assert bench.scanner.errors >= 3
    assert str(error) in bench.errors.get_nowait()
    assert bench.errors.empty()
    assert bench.posted.empty()


def test_an_error_of_the_receiver_is_reported_like_one_of_the_tracker(bench: Bench) -> None:
    def refuse(scan: Scan) -> None:
        raise RuntimeError("full")

    scanner = Scanner(bench.tracker, refuse, time.monotonic_ns, bench.errors.put)
    scanner.set_targets((KEY,))
    scanner.start()
    assert "RuntimeError: full" in bench.errors.get(timeout=PATIENCE_S)
    scanner.stop()
    assert scanner.rounds == 0
