"""The polling thread: an answer at once, an end at once, and nothing after the end."""

import gc
import os
import queue
import threading
import time

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey
from memtierd.watchers.changes import GroupChanges
from memtierd.watchers.poller import _PAUSE_S, Membership, Poller

DEADLINE_S = 20.0
KEYS = frozenset({ProcessKey(1, 2)})


class Scripted:
    """A watcher that waits for `go` before it answers, and may fail."""

    interval_ms = 3_600_000

    def __init__(self) -> None:
        self.go = threading.Event()
        self.polls = 0
        self.fails = False

    def poll(self, _see: object = None) -> frozenset[ProcessKey]:
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


class Rushed(GroupChanges):
    """Something has changed whenever the descriptor can be read, which is for ever once it can be."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptor = os.eventfd(0)

    def fileno(self) -> int | None:
        return self.descriptor

    def take(self) -> bool:
        return True

    def close(self) -> None:
        os.close(self.descriptor)


def test_changes_without_end_make_it_poll_no_more_often_than_pays() -> None:
    watcher, answers = Scripted(), queue.Queue[Membership]()
    watcher.go.set()
    changes = Rushed()
    os.eventfd_write(changes.descriptor, 1)
    poller = Poller(watcher, answers.put, lambda _: None, changes)
    began_s = time.monotonic()
    poller.start()
    for _ in range(10):
        answers.get(timeout=DEADLINE_S)
    assert watcher.polls <= 1 + (time.monotonic() - began_s) / _PAUSE_S
    assert poller.stop(DEADLINE_S)


def test_a_change_does_not_wait_for_the_interval() -> None:
    watcher, answers = Scripted(), queue.Queue[Membership]()
    watcher.go.set()
    changes = Rushed()
    poller = Poller(watcher, answers.put, lambda _: None, changes)
    poller.start()
    answers.get(timeout=DEADLINE_S)
    os.eventfd_write(changes.descriptor, 1)
    answers.get(timeout=DEADLINE_S)
    assert poller.stop(DEADLINE_S)


def test_nothing_is_open_any_more_when_it_has_ended() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    gc.collect()
    before = open_files()
    watcher, answers = Scripted(), queue.Queue[Membership]()
    watcher.go.set()
    poller = Poller(watcher, answers.put, lambda _: None)
    poller.start()
    answers.get(timeout=DEADLINE_S)
    assert open_files() > before
    assert poller.stop(DEADLINE_S)
    assert poller.stop(DEADLINE_S)
    del poller
    assert open_files() == before
