"""Thousands of live processes: all of them are found, judged again when they change, held, and seen to end."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtierd import watchers
from memtierd.linux.roots import ROOTS
from memtierd.model import ProcessKey
from memtierd.parameters import Part
from memtierd.watchers import CgroupsParams, FilterParams, FilterRule, PidlistParams, ProcParams, Watcher
from memtierd.watchers.watched import Watched

MANY = 2000
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def crowd() -> Iterator[list[int]]:
    """Run many processes that sleep."""
    pids = [os.posix_spawn("/bin/sleep", ["sleep", "600"], {}) for _ in range(MANY)]
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


@pytest.fixture
def group(crowd: list[int], tmp_path: Path) -> str:
    """Return the directory of what looks like a control group with two below it, which have the crowd."""
    for name, pids in (("a", crowd[::2]), ("b", crowd[1::2])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    (tmp_path / "cgroup.procs").write_text("")
    return str(tmp_path)


@pytest.fixture
def files() -> Iterator[None]:
    """Allow so many open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < MANY + 500:
        pytest.skip(f"needs {MANY + 500} open files, allowed are {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def built(name: str, params: object) -> Watcher:
    return watchers.build(name, params, own_pid=os.getpid())


def pids_of(watcher: Watcher) -> set[int]:
    return {key.pid for key in watcher.poll()}


def test_every_watcher_finds_all(crowd: list[int], group: str) -> None:
    expected = set(crowd)
    assert pids_of(built("cgroups", CgroupsParams(cgroups=(group,)))) == expected
    assert pids_of(built("pidlist", PidlistParams(pids=tuple(crowd)))) == expected
    assert pids_of(built("proc", ProcParams())) >= expected
    source = Part("filter", FilterParams(source=Part("cgroups", CgroupsParams(cgroups=(group,))), filters=(ANY,)))
    assert pids_of(built("filter", FilterParams(source=source, filters=(ANY,)))) == expected


ANY = FilterRule(min_vm_rss_kb=1)


def test_a_poll_opens_one_file_for_each_process(crowd: list[int], group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = os.open

    def counting(path: str, *arguments: int, **options: int) -> int:
        opened.append(path)
        return real(path, *arguments, **options)

    watcher = built("cgroups", CgroupsParams(cgroups=(group,)))
    by_path = FilterRule(proc_exe_regexp="sleep", min_vm_rss_kb=1 << 40)
    nobody = FilterRule(proc_exe_regexp="no such program", min_vm_rss_kb=1, min_private_dirty_kb=1)
    both = FilterParams(source=Part("cgroups", watcher.params), filters=(nobody, by_path))
    judging = built("filter", both)
    monkeypatch.setattr(os, "open", counting)
    assert len(watcher.poll()) == MANY
    assert len([path for path in opened if path.startswith("/proc/")]) == MANY
    opened.clear()
    assert not judging.poll()
    # Its size is read once for all rules, and only of those whose program matches.
    assert len([path for path in opened if path.startswith("/proc/")]) == 2 * MANY
    assert not any(path.endswith("smaps_rollup") for path in opened)


GROWS = """
import os, sys
print("small", flush=True)
sys.stdin.readline()
memory = bytearray(b"x") * (64 << 20)
print("big", flush=True)
sys.stdin.readline()
os.execv("/bin/cat", ["cat"])
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline


def test_one_that_grows_and_then_runs_another_program_is_judged_again(crowd: list[int]) -> None:
    program = [sys.executable, "-c", GROWS]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        everybody = Part("pidlist", PidlistParams(pids=(process.pid, *crowd)))
        big = built("filter", FilterParams(source=everybody, filters=(FilterRule(min_vm_rss_kb=64 << 10),)))
        cats = built("filter", FilterParams(source=everybody, filters=(FilterRule(proc_exe_regexp="/cat$"),)))
        process.stdout.readline()
        assert (pids_of(big), pids_of(cats)) == (set(), set())
        for answer in ("big", ""):
            process.stdin.write("\n")
            process.stdin.flush()
            if answer:
                process.stdout.readline()
                assert (pids_of(big), pids_of(cats)) == ({process.pid}, set())
        until(lambda: (pids_of(big), pids_of(cats)) == (set(), {process.pid}))
        process.kill()


@pytest.mark.usefixtures("files")
def test_all_are_held_and_those_that_end_are_told(crowd: list[int]) -> None:
    """The last test of the crowd: it ends some of it."""
    watcher = built("pidlist", PidlistParams(pids=tuple(crowd)))
    keys = watcher.poll()
    watched = Watched(ROOTS)
    assert watched.become(keys) == (frozenset(), frozenset())
    assert watched.take_ended() == frozenset()
    ending = {key for key in keys if key.pid in crowd[: MANY // 4]}
    for key in ending:
        os.kill(key.pid, signal.SIGKILL)
    gone: set[ProcessKey] = set()

    def all_are_told() -> bool:
        gone.update(watched.take_ended())
        return len(gone) >= len(ending)

    until(all_are_told)
    assert gone == ending
    assert watcher.poll() == keys - ending == frozenset(watched.keys)
    watched.drop(keys)
