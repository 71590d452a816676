"""The selected pidwatcher: running it by hand and for a policy, in any order, without waiting for anything."""

import queue
import threading
from typing import Any

import attrs
import pytest

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey
from memtierd.parameters import Part
from memtierd.watchers.poller import Membership
from memtierd.watchers.selected import SelectedWatcher

DEADLINE_S = 20.0


@attrs.define
class Counted:
    """A watcher that finds the pid that it was made with; two polls at once are a fault."""

    params: Any
    interval_ms: int = 3_600_000
    polling: threading.Lock = attrs.field(factory=threading.Lock)

    def poll(self, _see: object = None) -> frozenset[ProcessKey]:
        assert self.polling.acquire(blocking=False)
        self.polling.release()
        return frozenset({ProcessKey(self.params, 1)})

    def conditions(self) -> tuple[str, ...]:
        return ()


class Scene:
    """A selected watcher, what it built, and what the tracker and the log heard."""

    def __init__(self) -> None:
        self.built: list[Part] = []
        self.tracked: queue.Queue[Membership] = queue.Queue()
        self.logged: queue.Queue[str] = queue.Queue()
        self.selected = SelectedWatcher(self._build, self.tracked.put, self.logged.put, pytest.fail)

    def _build(self, part: Part) -> Counted:
        self.built.append(part)
        return Counted(part.params)

    def next_pid(self) -> int:
        """Return the one pid of the next membership that the tracker hears of."""
        (key,) = self.tracked.get(timeout=DEADLINE_S).keys
        return key.pid


def test_it_polls_as_soon_as_it_starts_and_twice_is_once() -> None:
    scene = Scene()
    scene.selected.select("list", 5)
    scene.selected.start()
    scene.selected.start()
    assert scene.next_pid() == 5
    scene.selected.stop()
    scene.selected.stop()
    assert not scene.selected.is_running
    assert scene.tracked.empty()
    assert scene.built == [Part("list", 5)]


def test_a_running_one_goes_on_with_other_parameters_and_a_stopped_one_stays_stopped() -> None:
    scene = Scene()
    scene.selected.select("list", 5)
    scene.selected.configure(6)
    assert not scene.selected.is_running
    scene.selected.start()
    assert scene.next_pid() == 6
    scene.selected.configure(7)
    assert scene.next_pid() == 7
    assert scene.selected.is_running
    scene.selected.stop()


def test_selecting_another_one_stops_it() -> None:
    scene = Scene()
    scene.selected.select("list", 5)
    scene.selected.start()
    scene.selected.select("other", None)
    assert not scene.selected.is_running
    assert scene.selected.latest is None
    for action in (scene.selected.start, scene.selected.poll):
        with pytest.raises(MemtierdError, match="start pidwatcher other"):
            action()


def test_looking_once_works_beside_the_thread() -> None:
    scene = Scene()
    scene.selected.select("list", 5)
    scene.selected.start()
    for _ in range(50):
        assert scene.selected.poll().keys == {ProcessKey(5, 1)}
    assert scene.selected.latest is not None
    scene.selected.stop()


def test_the_log_hears_of_changes_and_the_tracker_of_nothing() -> None:
    scene = Scene()
    scene.selected.select("list", 5)
    scene.selected.listener = "log"
    for pid in (5, 5, 6):
        scene.selected.configure(pid)
        scene.selected.poll()
    assert scene.tracked.empty()
    heard = [scene.logged.get_nowait() for _ in range(3)]
    assert heard == ["pidwatcher: AddPids([5])", "pidwatcher: AddPids([6])", "pidwatcher: RemovePids([5])"]
    assert scene.logged.empty()


def test_a_policy_s_watcher_takes_its_place_and_speaks_to_the_tracker() -> None:
    scene = Scene()
    scene.selected.select("list", 5)
    scene.selected.listener = "log"
    scene.selected.start()
    scene.selected.start_with(Counted(8), Part("list", 9))
    assert scene.next_pid() == 8
    assert scene.selected.poll().keys == {ProcessKey(8, 1)}
    assert (scene.selected.name, scene.selected.params) == ("list", 9)
    scene.selected.stop()
    scene.selected.start()  # by hand now, from its parameters
    assert [scene.next_pid(), scene.next_pid()] == [8, 9]
    scene.selected.stop()


def test_a_policy_s_watcher_without_a_name() -> None:
    scene = Scene()
    scene.selected.start_with(Counted(8), None)
    assert scene.next_pid() == 8
    scene.selected.stop()
    with pytest.raises(MemtierdError):
        scene.selected.start()
