"""The polling thread: an answer at once, an end at once, and nothing after the end."""

import queue
import threading

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey
from memtierd.watchers.poller import Membership, Poller

DEADLINE_S = 20.0
KEYS = frozenset({ProcessKey(1, 2)})


class Scripted:
    """A watcher that waits for `go` before it answers, and may fail."""

    interval_ms = 3_600_000

    def __init__(self) -> None:
        self.go = threading.Event()
        self.polls = 0
        self.fails = False

    def poll(self) -> frozenset[ProcessKey]:
        self.polls += 1
        self.go.wait(DEADLINE_S)
        if self.fails:
            raise MemtierdError("no")
        return KEYS

    def conditions(self) -> tuple[str, ...]:
        return ("it rains",)


def test_polls_at_once_and_stops_at_once() -> None:
    watcher, answers = Scripted(), queue.Queue[Membership]()
    watcher.go.set()
    poller = Poller(watcher, answers.put, lambda _: None)
    poller.start()
    assert answers.get(timeout=DEADLINE_S) == Membership(KEYS, ("it rains",))
    assert poller.stop(DEADLINE_S)
    assert watcher.polls == 1


def test_a_late_answer_is_not_posted() -> None:
    watcher, answers = Scripted(), queue.Queue[Membership]()
    poller = Poller(watcher, answers.put, lambda _: None)
    poller.start()
    assert not poller.stop(0.01)
    watcher.go.set()
    assert poller.stop(DEADLINE_S)
    assert answers.empty()


def test_an_error_is_told_and_does_not_end_the_polling() -> None:
    watcher, told = Scripted(), queue.Queue[str]()
    watcher.fails = True
    watcher.interval_ms = 1
    watcher.go.set()
    poller = Poller(watcher, lambda _: None, told.put)
    poller.start()
    assert told.get(timeout=DEADLINE_S) == told.get(timeout=DEADLINE_S) == "watch processes: no"
    assert poller.stop(DEADLINE_S)
