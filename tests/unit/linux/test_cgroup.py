"""Control groups against fake trees."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from memtierd.linux import cgroup
from tests.unit.linux.fake_kernel import FakeKernel


@pytest.fixture
def kernel(tmp_path: Path) -> FakeKernel:
    return FakeKernel(tmp_path)


def _refusing(error_of: dict[str, int]) -> Callable[..., int]:
    """Return an os.open that fails for paths with these ends."""
    real = os.open

    def opened(path: str, *arguments: int) -> int:
        for end, number in error_of.items():
            if str(path).endswith(end):
                raise OSError(number, "")
        return real(path, *arguments)

    return opened


def test_groups_below_belong_to_it(kernel: FakeKernel) -> None:
    top = kernel.group("top", 1, 2)
    kernel.group("top/a", 3)
    kernel.group("top/a/b", 4)
    kernel.group("other", 5)
    listing = cgroup.pids_below(top, kernel.roots)
    assert listing == cgroup.Listing(frozenset({1, 2, 3, 4}), groups=3, missing=False)


def test_a_missing_directory(kernel: FakeKernel) -> None:
    listing = cgroup.pids_below(str(kernel.directory / "cgroup/none"), kernel.roots)
    assert listing == cgroup.Listing(frozenset(), groups=0, missing=True)


def test_a_directory_that_is_no_group(kernel: FakeKernel) -> None:
    listing = cgroup.pids_below(kernel.roots.sys, kernel.roots)
    assert listing == cgroup.Listing(frozenset(), groups=0, missing=False)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_a_group_that_vanishes_does_not_lose_the_others(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    top = kernel.group("top", 1)
    kernel.group("top/leaving", 2)
    kernel.group("top/staying/below", 3)
    monkeypatch.setattr("os.open", _refusing({"leaving/cgroup.procs": number, "leaving/tasks": number}))
    listing = cgroup.pids_below(top, kernel.roots)
    assert listing.pids == {1, 3}
    assert not listing.refused


def test_a_directory_that_vanishes_while_it_is_listed(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    top = kernel.group("top", 1)
    kernel.group("top/leaving", 2)
    kernel.group("top/staying", 3)
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("leaving"):
            raise FileNotFoundError(errno.ENOENT, "")
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert cgroup.pids_below(top, kernel.roots) == cgroup.Listing(frozenset({1, 2, 3}), groups=3, missing=False)


def test_a_group_that_may_not_be_read(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    top = kernel.group("top", 1)
    kernel.group("top/secret", 2)
    monkeypatch.setattr("os.open", _refusing({"secret/cgroup.procs": errno.EACCES}))
    listing = cgroup.pids_below(top, kernel.roots)
    assert listing.pids == {1}
    assert [error.errno for error in listing.refused] == [errno.EACCES]


def test_processes_outside_of_the_pid_namespace_have_no_number(kernel: FakeKernel) -> None:
    assert cgroup.pids_below(kernel.group("top", 0, 0, 5), kernel.roots).pids == {5}


def test_a_threaded_group_below_is_told_by_its_owner(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    top = kernel.group("top", 1)
    kernel.group("top/threads")
    monkeypatch.setattr("os.open", _refusing({"threads/cgroup.procs": errno.EOPNOTSUPP}))
    listing = cgroup.pids_below(top, kernel.roots)
    assert listing.pids == {1}
    assert not listing.refused


def test_a_threaded_group_is_asked_for_its_threads(kernel: FakeKernel) -> None:
    kernel.put("cgroup/top/cgroup.type", "threaded\n")
    kernel.put("cgroup/top/cgroup.threads", "11\n12\n99\n")
    kernel.put("cgroup/top/below/cgroup.threads", "21\n")
    kernel.add(11, tgid=10)
    kernel.add(12, tgid=10)
    kernel.add(21, tgid=20)
    listing = cgroup.pids_below(str(kernel.directory / "cgroup/top"), kernel.roots)
    assert listing.pids == {10, 20}
    assert listing.groups == 2


def test_tasks_of_a_hierarchy_without_process_lists(kernel: FakeKernel) -> None:
    kernel.put("cgroup/top/tasks", "11\n12\n")
    kernel.add(11, tgid=10)
    kernel.add(12, tgid=12)
    assert cgroup.pids_below(str(kernel.directory / "cgroup/top"), kernel.roots).pids == {10, 12}
