"""Processes that are held: no more than there are open files for, and problems of many told in few words."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.roots import ROOTS, Roots
from memtierd.model import ProcessKey
from memtierd.watchers import watched
from memtierd.watchers.watched import Watched


def keys(*pids: int) -> frozenset[ProcessKey]:
    return frozenset(ProcessKey(pid, 1) for pid in pids)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Watched]:
    """Hold pids from 1 to 999; 1000 to 1999 are gone, and all others are refused."""

    def open_file(key: ProcessKey, _roots: Roots) -> int:
        if key.pid >= 2000:
            raise KernelError(f"open a pidfd of pid {key.pid}", errno.EPERM)
        if key.pid >= 1000:
            raise ProcessGoneError("gone")
        return os.open(tmp_path, os.O_RDONLY)

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
