"""Processes that are held: no more than there are open files for, and problems of many told in few words."""

import errno
import gc
import os
import select
from collections.abc import Iterator

import pytest

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.roots import ROOTS, Roots
from memtierd.model import ProcessKey
from memtierd.watchers import watched
from memtierd.watchers.watched import Watched


def keys(*pids: int) -> frozenset[ProcessKey]:
    return frozenset(ProcessKey(pid, 1) for pid in pids)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Hold pids from 1 to 999; 1000 to 1999 are gone, and all others are refused."""

    def open_file(key: ProcessKey, _roots: Roots) -> int:
        if key.pid >= 2000:
            raise KernelError(f"open a pidfd of pid {key.pid}", errno.EPERM)
        if key.pid >= 1000:
            raise ProcessGoneError("gone")
        return os.eventfd(0)

    monkeypatch.setattr(watched, "open_pidfd", open_file)
    made = Watched(ROOTS)
    yield made
    made.drop(frozenset(made.keys))


def pids(held: Watched) -> list[int]:
    return [key.pid for key in held.keys]


def test_it_becomes_what_it_is_told(held: Watched) -> None:
    assert held.become(keys(3, 1, 1000)) == (frozenset(), frozenset())
    assert pids(held) == [1, 3]
    assert held.become(keys(3, 2)) == (keys(1), frozenset())
    assert pids(held) == [2, 3]


def test_problems_of_few_are_told_one_by_one_and_of_many_at_once(held: Watched) -> None:
    assert len(held.become(keys(*range(2000, 2010)))[1]) == 10
    (said,) = held.become(keys(1, *range(2000, 2100)))[1]
    assert held.become(keys(1, *range(2000, 2200)))[1] == {said}
    assert pids(held) == [1]


def test_no_more_processes_than_open_files(held: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "most_pidfds", lambda: 3)
    assert held.become(keys(20, 30))[1] == frozenset()
    (said,) = held.become(keys(10, 5, 20, 30, 40))[1]
    assert pids(held) == [5, 20, 30]
    assert held.become(keys(10, 5, 20, 30, 40, 50))[1] == {said}
    assert held.become(keys(10, 5, 40)) == (keys(20, 30), frozenset())
    assert pids(held) == [5, 10, 40]


def test_only_those_that_ended_are_taken_and_only_once(held: Watched) -> None:
    held.become(keys(*range(1, 50)))
    assert held.take_ended() == frozenset()
    for key in keys(7, 9):
        os.eventfd_write(held._pidfds[key], 1)
    assert select.select([held], [], [], 0)[0] == [held]
    held.drop(keys(9))
    assert held.take_ended() == keys(7)
    assert held.take_ended() == frozenset()
    assert select.select([held], [], [], 0)[0] == []
    assert pids(held) == [pid for pid in range(1, 50) if pid not in (7, 9)]


def test_ends_that_could_not_be_waited_for(held: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def register(self, _descriptor: int, _events: int) -> None:
            raise OSError(errno.ENOSPC, "")

        def fileno(self) -> int:
            return -1

    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(held, "_ends", Full())
    assert held.become(keys(5))[1] == {"wait for the end of pid 5: no space left on device (ENOSPC)"}
    assert pids(held) == []
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == files
