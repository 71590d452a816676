"""Which processes the watchers find, in fake trees that change between polls."""

import errno
from pathlib import Path

import pytest

from memtierd import watchers
from memtierd.errors import KernelError
from memtierd.linux import cgroup
from memtierd.model import ProcessKey
from memtierd.parameters import Part
from memtierd.watchers import (
    CgroupsParams,
    FilterParams,
    FilterRule,
    PidlistParams,
    ProcParams,
    StubWatcherParams,
    Watcher,
)
from memtierd.watchers.cgroups import CgroupsWatcher
from tests.unit.linux.fake_kernel import FakeKernel

OWN_PID = 999


@pytest.fixture
def kernel(tmp_path: Path) -> FakeKernel:
    fake = FakeKernel(tmp_path)
    fake.add(OWN_PID, name="memtierd")
    return fake


def _pids(watcher: Watcher) -> set[int]:
    return {key.pid for key in watcher.poll()}


def _cgroups(kernel: FakeKernel, *directories: str) -> Watcher:
    params = CgroupsParams(cgroups=directories)
    return watchers.build("cgroups", params, kernel.roots, own_pid=OWN_PID)


def _pidlist(kernel: FakeKernel, *pids: int) -> Watcher:
    return watchers.build("pidlist", PidlistParams(pids=pids), kernel.roots, own_pid=OWN_PID)


def _proc(kernel: FakeKernel) -> Watcher:
    return watchers.build("proc", ProcParams(interval_ms=7), kernel.roots, own_pid=OWN_PID)


def test_every_registered_watcher_can_be_built() -> None:
    assert sorted(watchers.REGISTRY) == ["cgroups", "filter", "pidlist", "proc", "stub"]


def test_the_interval_is_that_of_the_parameters(kernel: FakeKernel) -> None:
    assert _proc(kernel).interval_ms == 7
    assert _pidlist(kernel, 1).interval_ms == 5000


def test_proc_finds_what_has_memory(kernel: FakeKernel) -> None:
    kernel.add(1, start_ticks=5)
    kernel.add(2, kernel_thread=True)
    kernel.add(3, state="Z")
    kernel.add(4, start_ticks=8, name="a) S 1 (b")
    watcher = _proc(kernel)
    assert watcher.poll() == {ProcessKey(1, 5), ProcessKey(4, 8)}
    assert watcher.conditions() == ()


def test_stub_finds_nobody(kernel: FakeKernel) -> None:
    kernel.add(1)
    watcher = watchers.build("stub", StubWatcherParams(interval_ms=9), kernel.roots, own_pid=OWN_PID)
    assert watcher.interval_ms == 9
    assert (watcher.poll(), watcher.conditions()) == (frozenset(), ())


def test_a_reused_pid_is_another_process(kernel: FakeKernel) -> None:
    kernel.add(1, start_ticks=5)
    watcher = _proc(kernel)
    assert watcher.poll() == {ProcessKey(1, 5)}
    kernel.add(1, start_ticks=6)
    assert watcher.poll() == {ProcessKey(1, 6)}


def test_processes_that_can_not_be_read_are_one_condition(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in (1, 2, 3):
        kernel.add(pid)

    def refuse(pid: int, _roots: object) -> None:
        raise KernelError(f"read /proc/{pid}/stat", errno.EACCES)

    monkeypatch.setattr("memtierd.watchers.base.stat", refuse)
    watcher = _proc(kernel)
    assert watcher.poll() == frozenset()
    first = watcher.conditions()
    kernel.remove(3)
    watcher.poll()
    assert len(first) == 1
    assert watcher.conditions() == first


def test_cgroups_are_taken_with_those_below(kernel: FakeKernel) -> None:
    for pid in (1, 2, 3, 4):
        kernel.add(pid)
    top, other = kernel.group("top", 1, OWN_PID), kernel.group("other", 3)
    kernel.group("top/below", 2)
    watcher = _cgroups(kernel, top, other)
    assert _pids(watcher) == {1, 2, 3}
    assert watcher.conditions() == ()


def test_membership_is_of_the_moment(kernel: FakeKernel) -> None:
    kernel.add(1)
    kernel.add(2)
    top = kernel.group("top", 1)
    watcher = _cgroups(kernel, top)
    assert _pids(watcher) == {1}
    kernel.group("top", 2)
    assert _pids(watcher) == {2}


def test_processes_of_cgroups_are_looked_up_once_in_an_interval(kernel: FakeKernel) -> None:
    group, now_s = kernel.group("top", 1), 100.0
    kernel.add(1, start_ticks=5)
    params = CgroupsParams(cgroups=(group,), interval_ms=2000)
    watcher = CgroupsWatcher(params, kernel.roots, OWN_PID, lambda: now_s)
    assert watcher.poll() == {ProcessKey(1, 5)}
    kernel.add(1, start_ticks=6)
    kernel.add(2, start_ticks=7)
    kernel.group("top", 1, 2)
    now_s += 1.9
    assert watcher.poll() == {ProcessKey(1, 5), ProcessKey(2, 7)}
    kernel.group("top", 2)
    assert watcher.poll() == {ProcessKey(2, 7)}
    kernel.group("top", 1, 2)
    assert watcher.poll() == {ProcessKey(1, 6), ProcessKey(2, 7)}  # it was away
    kernel.add(1, start_ticks=8)
    now_s += 0.1
    assert watcher.poll() == {ProcessKey(1, 8), ProcessKey(2, 7)}


def test_every_directory_is_seen_before_it_is_read(kernel: FakeKernel) -> None:
    top, below = kernel.group("top"), kernel.group("top/below")
    seen: list[tuple[str, str | None]] = []

    def see(directory: str, name: str | None) -> None:
        seen.append((directory, name))
        if directory == below:
            kernel.group("top/below", 1)

    kernel.add(1, start_ticks=5)
    source = Part("cgroups", CgroupsParams(cgroups=(top,)))
    rule = FilterRule(min_vm_size_kb=0)
    watcher = watchers.build("filter", FilterParams(source=source, filters=(rule,)), kernel.roots, own_pid=OWN_PID)
    assert watcher.poll(see) == {ProcessKey(1, 5)}
    assert seen[-3:] == [(str(Path(top).parent), "top"), (top, None), (below, None)]


def test_a_cgroup_that_comes_later(kernel: FakeKernel) -> None:
    kernel.add(1)
    directory = str(kernel.directory / "cgroup/later")
    watcher = _cgroups(kernel, directory)
    assert watcher.poll() == frozenset()
    assert watcher.conditions() == (f"cgroup {directory} does not exist yet",)
    kernel.group("later", 1)
    assert _pids(watcher) == {1}
    assert watcher.conditions() == ()


def test_a_missing_cgroup_does_not_lose_the_others(kernel: FakeKernel) -> None:
    kernel.add(1)
    watcher = _cgroups(kernel, str(kernel.directory / "cgroup/none"), kernel.group("top", 1))
    assert _pids(watcher) == {1}
    assert len(watcher.conditions()) == 1


def test_a_directory_that_is_no_cgroup_is_a_condition(kernel: FakeKernel) -> None:
    watcher = _cgroups(kernel, kernel.roots.sys)
    watcher.poll()
    assert len(watcher.conditions()) == 1


def test_refused_groups_are_one_condition(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.add(1)
    error = KernelError("read cgroup.procs", errno.EACCES)
    listing = cgroup.Listing(frozenset({1}), groups=1, missing=False, refused=(error, error))
    monkeypatch.setattr("memtierd.watchers.cgroups.cgroup.pids_below", lambda *_arguments: listing)
    watcher = _cgroups(kernel, "/sys/fs/cgroup/x")
    assert _pids(watcher) == {1}
    assert len(watcher.conditions()) == 1


def test_pidlist_takes_those_that_run(kernel: FakeKernel) -> None:
    kernel.add(1)
    kernel.add(3, kernel_thread=True)
    watcher = _pidlist(kernel, 1, 2, 3, OWN_PID)
    assert _pids(watcher) == {1}
    assert [sentence.split()[:2] for sentence in watcher.conditions()] == [
        ["pid", "2"],
        ["pid", "3"],
        ["pid", str(OWN_PID)],
    ]


def test_pidlist_says_whose_thread_a_number_is(kernel: FakeKernel) -> None:
    kernel.add(1)
    kernel.add(2, tgid=1)
    watcher = _pidlist(kernel, 1, 2)
    assert _pids(watcher) == {1}
    assert watcher.conditions() == ("pid 2 is a thread of process 1",)


def test_pidlist_waits_for_a_process(kernel: FakeKernel) -> None:
    watcher = _pidlist(kernel, 1)
    assert watcher.poll() == frozenset()
    kernel.add(1)
    assert _pids(watcher) == {1}
    assert watcher.conditions() == ()


def test_pidlist_does_not_follow_a_number_to_another_process(kernel: FakeKernel) -> None:
    kernel.add(1, start_ticks=5)
    watcher = _pidlist(kernel, 1)
    assert watcher.poll() == {ProcessKey(1, 5)}
    kernel.remove(1)
    assert watcher.poll() == frozenset()
    kernel.add(1, start_ticks=6)
    assert watcher.poll() == frozenset()
    assert len(watcher.conditions()) == 1
