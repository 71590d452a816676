"""The watcher of pages of interest: beside another one, over time, and what it says of files that don't fit."""

import fcntl
import os
import struct
from pathlib import Path

import attrs
import pytest

from memtierd import watchers
from memtierd.model import ProcessKey
from memtierd.watchers import PidlistParams, Watcher
from memtierd.watchers.pages_of_interest import Managed, PagesOfInterestWatcher
from tests.unit.linux.fake_kernel import FakeKernel

OWN_PID, K = 999, 4096
BOOT_S = 1_000_000
HZ = os.sysconf("SC_CLK_TCK")


@attrs.define
class Scene:
    """A directory of files, processes, and the watcher of both."""

    kernel: FakeKernel
    directory: Path
    told: list[Managed] = attrs.field(factory=list)

    def watcher(self, beside: Watcher | None = None, interval_ms: int = 50) -> PagesOfInterestWatcher:
        """Return the watcher."""
        directory = str(self.directory)
        return PagesOfInterestWatcher(directory, interval_ms, self.kernel.roots, OWN_PID, beside, self.told.append)

    def pidlist(self, *pids: int, interval_ms: int = 70) -> Watcher:
        """Return another watcher."""
        params = PidlistParams(interval_ms=interval_ms, pids=pids)
        return watchers.build("pidlist", params, self.kernel.roots, own_pid=OWN_PID)

    def write(self, pid: int, *numbers: int, at_s: float = BOOT_S + 500) -> None:
        """Write a file of ranges."""
        path = self.directory / f"{pid}.vab"
        path.write_bytes(struct.pack(f"<{len(numbers)}Q", *numbers))
        os.utime(path, (at_s, at_s))

    @property
    def managed(self) -> dict[int, list[tuple[int, int]] | None]:
        """Return what was told last: the ranges of each pid, None for all of it."""
        return {
            key.pid: None if ranges is None else list(zip(ranges.start.tolist(), ranges.end.tolist(), strict=True))
            for key, ranges in self.told[-1].items()
        }


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/stat", f"cpu  1 2 3\nbtime {BOOT_S}\nprocesses 5\n")
    kernel.add(OWN_PID)
    for pid in (1, 2, 3):
        kernel.add(pid, start_ticks=100)
    (tmp_path / "poi").mkdir()
    return Scene(kernel, tmp_path / "poi")


def test_only_the_ranges_of_a_file_are_managed(scene: Scene) -> None:
    scene.write(1, K, 2 * K)
    scene.write(2, 5 * K, 6 * K, 8 * K, 9 * K)
    watcher = scene.watcher()
    assert watcher.poll() == {ProcessKey(1, 100), ProcessKey(2, 100)}
    assert scene.managed == {1: [(K, 2 * K)], 2: [(5 * K, 6 * K), (8 * K, 9 * K)]}
    assert watcher.conditions() == ()


def test_both_add_up_and_a_watched_process_is_managed_wholly(scene: Scene) -> None:
    scene.write(1, K, 2 * K)
    scene.write(2, K, 2 * K)
    watcher = scene.watcher(scene.pidlist(2, 3, 77))
    assert {key.pid for key in watcher.poll()} == {1, 2, 3}
    assert scene.managed == {1: [(K, 2 * K)], 2: None, 3: None}
    assert watcher.conditions() == ("pid 77 does not exist",)


@pytest.mark.parametrize(("beside_ms", "together_ms"), [(70, 50), (30, 30)])
def test_it_is_polled_as_often_as_either_wants(scene: Scene, beside_ms: int, together_ms: int) -> None:
    assert scene.watcher(scene.pidlist(1, interval_ms=beside_ms)).interval_ms == together_ms
    assert scene.watcher().interval_ms == 50


def test_files_come_change_and_go(scene: Scene) -> None:
    watcher = scene.watcher()
    assert watcher.poll() == frozenset()
    scene.write(1, K, 2 * K)
    watcher.poll()
    scene.write(1, 4 * K, 5 * K)
    assert {key.pid for key in watcher.poll()} == {1}
    assert scene.managed == {1: [(4 * K, 5 * K)]}
    scene.write(1)
    assert watcher.poll() == frozenset()
    (scene.directory / "1.vab").unlink()
    assert watcher.poll() == frozenset()
    assert scene.managed == {}


def test_what_was_read_stays_while_somebody_writes(scene: Scene) -> None:
    scene.write(1, K, 2 * K)
    watcher = scene.watcher(scene.pidlist(3))
    watcher.poll()
    with (scene.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scene.write(1, 4 * K, 5 * K)
        scene.write(2, K, 2 * K)
        for _ in range(2):
            assert {key.pid for key in watcher.poll()} == {1, 3}
            assert scene.managed == {1: [(K, 2 * K)], 3: None}
            assert watcher.conditions() == ()
        watcher.poll()
        said = watcher.conditions()
        assert len(said) == 1
        watcher.poll()
        assert watcher.conditions() == said
    watcher.poll()
    assert scene.managed == {1: [(4 * K, 5 * K)], 2: [(K, 2 * K)], 3: None}
    assert watcher.conditions() == ()


def test_files_that_do_not_fit_are_told_and_the_same_every_time(scene: Scene) -> None:
    scene.kernel.add(4, tgid=1)
    scene.kernel.add(5, kernel_thread=True)
    for pid in (1, 4, 5, 77, OWN_PID):
        scene.write(pid, K, 2 * K)
    (scene.directory / "2.vab").write_bytes(b"odd")
    watcher = scene.watcher()
    assert {key.pid for key in watcher.poll()} == {1}
    said = watcher.conditions()
    assert len(said) == 5
    assert f"{scene.directory}/4.vab counts for nothing: pid 4 is a thread of process 1" in said
    watcher.poll()
    assert watcher.conditions() == said


def test_many_bad_files_are_told_in_few_words(scene: Scene) -> None:
    for pid in range(100, 150):
        scene.write(pid, K, 2 * K)
    watcher = scene.watcher()
    watcher.poll()
    assert len(watcher.conditions()) == 11


@pytest.mark.parametrize(("after_start_s", "counts"), [(-11, False), (-9, True), (0, True), (1000, True)])
def test_a_file_from_before_its_process_is_of_another_one(scene: Scene, after_start_s: int, counts: bool) -> None:
    scene.kernel.add(1, start_ticks=300 * HZ)
    scene.write(1, K, 2 * K, at_s=BOOT_S + 300 + after_start_s)
    watcher = scene.watcher()
    assert bool(watcher.poll()) == counts
    assert bool(watcher.conditions()) != counts


def test_a_directory_that_comes_later(scene: Scene) -> None:
    scene.directory.rmdir()
    watcher = scene.watcher(scene.pidlist(3))
    assert {key.pid for key in watcher.poll()} == {3}
    assert len(watcher.conditions()) == 1
    scene.directory.mkdir()
    scene.write(1, K, 2 * K)
    assert {key.pid for key in watcher.poll()} == {1, 3}
    assert watcher.conditions() == ()
