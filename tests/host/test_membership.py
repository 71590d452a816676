"""Membership: what the kernel tells of is taken in long before the next poll, which here is an hour away."""

import contextlib
import gc
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from memtierd import watchers
from memtierd.control import Control
from memtierd.linux.roots import ROOTS
from memtierd.model import ProcessKey
from memtierd.reconcile import Reconciler
from memtierd.watchers import CgroupsParams
from memtierd.watchers.poller import Membership, Poller
from tests.host.test_control import NotingMover
from tests.unit.reconcile_samples import age_policy
from tests.unit.regions.region_samples import NODES, machine_of

DEADLINE_S = 20.0
HOUR_MS = 3_600_000
MANY_GROUPS = 10_000
FEW_GROUPS = 500
AT_ONCE = 100


def until(what: str, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.001)


@attrs.frozen
class Tree:
    """Where groups are made: in a cgroup file system, or in plain directories that look like one."""

    top: Path
    is_real: bool

    def make(self, name: str) -> Path:
        group = self.top / name
        group.mkdir()
        if not self.is_real:
            (group / "cgroup.procs").write_text("")
        return group

    def move(self, process: "subprocess.Popen[bytes]", group: Path) -> None:
        with (group / "cgroup.procs").open("r+") as file:
            file.write(f"{process.pid}\n")

    def remove(self, group: Path) -> None:
        if not self.is_real:
            (group / "cgroup.procs").unlink()
        group.rmdir()


def mounted(kind: str) -> Iterator[str]:
    """Yield where cgroup file systems of this version are mounted; any controller of version 1 will do."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, directory, found, options, *_ = line.split()
        if found == kind and "cpuset" not in options:
            yield directory


@pytest.fixture(params=["plain", "cgroup", "cgroup2"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tree]:
    if request.param == "plain":
        yield Tree(tmp_path, is_real=False)
        return
    top = Path(next(mounted(request.param), "/nowhere"), f"memtierd-test-{os.getpid()}")
    try:
        top.mkdir()
    except OSError as error:
        pytest.skip(f"no {request.param} file system where groups can be made: {error}")
    try:
        yield Tree(top, is_real=True)
    finally:
        for directory, _, _ in os.walk(top, topdown=False):
            until(f"{directory} is empty", lambda directory=directory: removed(directory))  # type: ignore[misc]


def removed(directory: str) -> bool:
    with contextlib.suppress(OSError):
        os.rmdir(directory)
    return not os.path.exists(directory)


@pytest.fixture
def sleepers() -> "Iterator[Callable[[], subprocess.Popen[bytes]]]":
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen(["sleep", "600"]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


class Scene:
    """The control loop, and a watcher of groups that polls by itself once an hour."""

    def __init__(self, *groups: Path) -> None:
        self.targets: frozenset[int] = frozenset()
        self.polls = 0
        self.conditions: tuple[str, ...] = ()
        reconciler = Reconciler(age_policy(), NODES, time.monotonic_ns())
        self.control = Control(reconciler, NotingMover(), machine_of, time.monotonic_ns, ROOTS, dry_run=False)
        self.control.on_targets = self._take
        params = CgroupsParams(cgroups=tuple(map(str, groups)), interval_ms=HOUR_MS)
        watcher = watchers.build("cgroups", params, own_pid=os.getpid())
        self.poller = Poller(watcher, self._post, pytest.fail)

    def __enter__(self) -> "Scene":
        self.control.start()
        self.poller.start()
        until("the first poll", lambda: self.polls > 0)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.poller.stop(DEADLINE_S)
        self.control.stop()

    def _take(self, keys: tuple[ProcessKey, ...]) -> None:
        self.targets = frozenset(key.pid for key in keys)

    def _post(self, membership: Membership) -> None:
        self.polls += 1
        self.conditions = membership.conditions
        self.control.post(membership)

    def until_tracked(self, *processes: "subprocess.Popen[bytes]") -> None:
        pids = {process.pid for process in processes}
        until(f"{pids} are tracked, not {self.targets}", lambda: self.targets == pids)


Sleepers = Callable[[], "subprocess.Popen[bytes]"]


def test_groups_that_come_and_processes_that_are_moved_in(tree: Tree, sleepers: Sleepers) -> None:
    group = tree.make("group")
    with Scene(group) as scene:
        first, second, third = sleepers(), sleepers(), sleepers()
        tree.move(first, group)
        scene.until_tracked(first)
        tree.move(second, tree.make("group/below"))
        tree.move(third, tree.make("group/below/deep"))
        scene.until_tracked(first, second, third)


def test_a_process_that_ends(tree: Tree, sleepers: Sleepers) -> None:
    group = tree.make("group")
    first, second = sleepers(), sleepers()
    tree.move(first, tree.make("group/a"))
    tree.move(second, tree.make("group/b"))
    with Scene(group) as scene:
        scene.until_tracked(first, second)
        first.kill()  # nobody has waited for it: a zombie has ended
        scene.until_tracked(second)


def test_a_group_that_is_made_later_removed_and_made_again(tree: Tree, sleepers: Sleepers) -> None:
    group = tree.top / "a/b/c"
    with Scene(group) as scene:
        assert scene.conditions == (f"cgroup {group} does not exist yet",)
        for _ in range(2):
            for name in ("a", "a/b", "a/b/c"):
                tree.make(name)
            process = sleepers()
            tree.move(process, group)
            scene.until_tracked(process)
            assert not scene.conditions
            process.kill()
            process.wait()
            scene.until_tracked()
            for name in ("a/b/c", "a/b", "a"):
                until("it is empty", lambda name=name: not tree.is_real or removed(str(tree.top / name)))
                if not tree.is_real:
                    tree.remove(tree.top / name)
            until("its end is seen", lambda: bool(scene.conditions))


def test_neighbours_of_a_group_that_is_awaited_make_no_poll(tree: Tree) -> None:
    with Scene(tree.top / "awaited") as scene:
        for _ in range(3):
            tree.remove(tree.make("neighbour"))
        tree.make("awaited")
        until("it is found", lambda: not scene.conditions)
        assert scene.polls <= 3  # at the start, when it was made, and perhaps when it got its files


def test_a_storm_of_changes_is_polled_for_no_more_often_than_pays(tree: Tree, sleepers: Sleepers) -> None:
    group, process = tree.make("group"), sleepers()
    with Scene(group) as scene:
        began_s = time.monotonic()
        while time.monotonic() - began_s < 0.5:
            tree.move(process, group)
        assert scene.polls <= 2 + (time.monotonic() - began_s) / 0.02
        scene.until_tracked(process)


def watches() -> int:
    """Return how many inotify watches this process has."""
    count = 0
    for name in os.listdir("/proc/self/fdinfo"):
        with contextlib.suppress(FileNotFoundError):
            count += Path("/proc/self/fdinfo", name).read_text().count("inotify wd:")
    return count


def test_nothing_is_left_of_thousands_of_groups(tree: Tree, sleepers: Sleepers) -> None:
    group, process = tree.make("group"), sleepers()
    others, threads = watches(), threading.active_count()
    with Scene(group) as scene:
        tree.move(process, group)
        scene.until_tracked(process)
        gc.collect()  # of earlier tests
        files, before = len(os.listdir("/proc/self/fd")), watches()
        seen = 0
        for first in range(0, MANY_GROUPS if tree.is_real else FEW_GROUPS, AT_ONCE):
            made = [tree.make(f"group/{number}") for number in range(first, first + AT_ONCE)]
            seen = max(seen, watches())
            for below in made:
                tree.remove(below)
        assert seen > before
        until("the watches of removed groups are gone", lambda: watches() == before)
        assert len(os.listdir("/proc/self/fd")) == files
        scene.until_tracked(process)
    assert (watches(), threading.active_count()) == (others, threads)
