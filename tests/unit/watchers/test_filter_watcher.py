"""The filter watcher: rules, and that they are judged anew at every poll."""

import errno
from pathlib import Path
from typing import Any

import pytest

from memtierd import watchers
from memtierd.errors import KernelError
from memtierd.linux import proc
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
from tests.unit.linux.fake_kernel import FakeKernel

OWN_PID = 999
SMALL, BIG, DIRTY, THREAD = 1, 2, 3, 4


@pytest.fixture
def kernel(tmp_path: Path) -> FakeKernel:
    fake = FakeKernel(tmp_path)
    fake.add(OWN_PID)
    fake.add(SMALL, exe="/usr/bin/small", vm_size_kb=1000, vm_rss_kb=100, private_dirty_kb=10)
    fake.add(BIG, exe="/opt/db/bigdb (deleted)", vm_size_kb=9000, vm_rss_kb=5000, private_dirty_kb=20)
    fake.add(DIRTY, exe="/usr/bin/dirty", vm_size_kb=9000, vm_rss_kb=200, private_dirty_kb=150)
    fake.add(THREAD, kernel_thread=True)
    return fake


def _filter(kernel: FakeKernel, *rules: FilterRule, source: Part | None = None) -> Watcher:
    params = FilterParams(source=source or Part("proc", ProcParams(interval_ms=77)), filters=rules)
    return watchers.build("filter", params, kernel.roots, own_pid=OWN_PID)


def _pids(watcher: Watcher) -> list[int]:
    return sorted(key.pid for key in watcher.poll())


EXE_DB = FilterRule(proc_exe_regexp="db/")
SIZE = FilterRule(min_vm_size_kb=9000)
RSS = FilterRule(min_vm_rss_kb=5000)
PRIVATE = FilterRule(min_private_dirty_kb=150)


@pytest.mark.parametrize(
    ("rules", "matching"),
    [
        ([EXE_DB], [BIG]),
        ([FilterRule(proc_exe_regexp="^/usr/bin/")], [SMALL, DIRTY]),
        ([FilterRule(proc_exe_regexp="^db")], []),
        ([FilterRule(proc_exe_regexp="")], [SMALL, BIG, DIRTY]),
        ([SIZE], [BIG, DIRTY]),
        ([FilterRule(min_vm_size_kb=9001)], []),
        ([RSS], [BIG]),
        ([FilterRule(min_vm_rss_kb=5001)], []),
        ([PRIVATE], [DIRTY]),
        ([FilterRule(min_private_dirty_kb=151)], []),
        ([FilterRule(min_vm_rss_kb=0)], [SMALL, BIG, DIRTY]),
        ([FilterRule(proc_exe_regexp="bin", min_vm_size_kb=9000)], [DIRTY]),
        ([EXE_DB, PRIVATE], [BIG, DIRTY]),
        ([FilterRule(and_=(SIZE, RSS))], [BIG]),
        ([FilterRule(or_=(RSS, PRIVATE))], [BIG, DIRTY]),
        ([FilterRule(not_=SIZE)], [SMALL]),
        ([FilterRule(min_vm_size_kb=9000, not_=RSS)], [DIRTY]),
        ([FilterRule(not_=FilterRule(or_=(RSS, FilterRule(and_=(PRIVATE,)))))], [SMALL]),
        ([FilterRule(min_vm_rss_kb=5000, or_=(PRIVATE,))], []),
    ],
)
def test_rules(kernel: FakeKernel, rules: list[FilterRule], matching: list[int]) -> None:
    assert _pids(_filter(kernel, *rules)) == matching


def test_a_process_that_grows_and_shrinks_is_judged_again(kernel: FakeKernel) -> None:
    watcher = _filter(kernel, RSS)
    assert _pids(watcher) == [BIG]
    kernel.add(SMALL, vm_rss_kb=5000)
    kernel.add(BIG, vm_rss_kb=4999)
    assert _pids(watcher) == [SMALL]


def test_a_process_that_execs_is_judged_again(kernel: FakeKernel) -> None:
    watcher = _filter(kernel, EXE_DB)
    kernel.add(SMALL, exe="/opt/db/other")
    assert _pids(watcher) == [SMALL, BIG]


def test_only_processes_of_the_source(kernel: FakeKernel) -> None:
    source = Part("pidlist", PidlistParams(interval_ms=5, pids=(SMALL, DIRTY, 77)))
    watcher = _filter(kernel, SIZE, source=source)
    assert watcher.poll() == {ProcessKey(DIRTY, 100)}
    assert watcher.interval_ms == 5
    assert len(watcher.conditions()) == 1  # of the source: pid 77 does not exist


def test_a_filter_of_a_filter(kernel: FakeKernel) -> None:
    source = Part("filter", FilterParams(source=Part("proc", ProcParams(interval_ms=77)), filters=(SIZE,)))
    watcher = _filter(kernel, FilterRule(not_=EXE_DB), source=source)
    assert _pids(watcher) == [DIRTY]
    assert watcher.interval_ms == 77


def _sources(kernel: FakeKernel) -> dict[str, Part]:
    """Return every kind of watcher, each of which gives all four processes or those of them that have memory."""
    group = kernel.group("all", SMALL, BIG, DIRTY)
    return {
        "cgroups": Part("cgroups", CgroupsParams(cgroups=(group,))),
        "pidlist": Part("pidlist", PidlistParams(pids=(SMALL, BIG, DIRTY))),
        "proc": Part("proc", ProcParams()),
        "filter": Part(
            "filter", FilterParams(source=Part("proc", ProcParams()), filters=(SIZE, FilterRule(not_=SIZE)))
        ),
    }


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("name", ["cgroups", "pidlist", "proc", "filter"])
def test_every_source_at_every_depth(kernel: FakeKernel, name: str, depth: int) -> None:
    source = _sources(kernel)[name]
    for _ in range(depth - 1):
        source = Part("filter", FilterParams(source=source, filters=(FilterRule(min_vm_rss_kb=0),)))
    watcher = _filter(kernel, FilterRule(min_vm_size_kb=9000, not_=RSS), EXE_DB, source=source)
    assert _pids(watcher) == [BIG, DIRTY]
    assert watcher.conditions() == ()
    kernel.add(SMALL, exe="/usr/bin/small", vm_size_kb=9000)  # grows
    kernel.add(BIG, exe="/usr/bin/ls", vm_size_kb=10)  # runs another program
    assert _pids(watcher) == [SMALL, DIRTY]


def test_a_source_without_processes_filters_to_none(kernel: FakeKernel) -> None:
    assert _pids(_filter(kernel, RSS, source=Part("stub", StubWatcherParams()))) == []


def test_a_process_that_ends_while_it_is_judged(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    real = proc.status

    def status(pid: int, roots: Any) -> Any:
        if pid == BIG:
            kernel.remove(BIG)
        return real(pid, roots)

    monkeypatch.setattr("memtierd.watchers.filters.proc.status", status)
    watcher = _filter(kernel, SIZE)
    assert _pids(watcher) == [DIRTY]
    assert watcher.conditions() == ()


def test_a_process_that_can_not_be_judged_does_not_match(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, _roots: Any) -> str:
        raise KernelError(f"read link /proc/{pid}/exe", errno.EACCES)

    monkeypatch.setattr("memtierd.watchers.filters.proc.exe", refuse)
    watcher = _filter(kernel, EXE_DB)
    assert _pids(watcher) == []
    assert len(watcher.conditions()) == 1


def test_the_page_tables_are_only_walked_where_the_cheap_conditions_hold(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[int] = []
    real = proc.private_dirty_kb

    def private_dirty_kb(pid: int, roots: Any) -> int:
        walked.append(pid)
        return real(pid, roots)

    monkeypatch.setattr("memtierd.watchers.filters.proc.private_dirty_kb", private_dirty_kb)
    rule = FilterRule(min_private_dirty_kb=1, min_vm_rss_kb=5000, or_=(PRIVATE, FilterRule(min_private_dirty_kb=20)))
    assert _pids(_filter(kernel, rule)) == [BIG]
    assert walked == [BIG]
