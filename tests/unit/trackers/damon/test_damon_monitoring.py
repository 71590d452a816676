"""Kdamonds get the processes they shall monitor, and keep them when others come and go."""

import errno
from pathlib import Path

import pytest

from memtierd.errors import KernelError, MemtierdError, UnsupportedError
from memtierd.model import ProcessFacts, ProcessKey
from memtierd.trackers.damon import monitoring as module
from memtierd.trackers.damon.monitoring import Monitoring
from memtierd.trackers.damon.ownership import Ownership
from memtierd.trackers.damon.params import DamonParams
from tests.unit.trackers.damon.damon_fakes import FakeMachine
from tests.unit.trackers.tracker_fakes import FakeKernel, FakeProcess, mapping

PIDS = (7, 8, 9)


class Scene:
    """A machine with processes, and monitoring on it."""

    def __init__(self, directory: Path, params: DamonParams, *, needs_schemes: bool = False) -> None:
        self.machine = FakeMachine.make(directory)
        self.kernel = FakeKernel(roots=self.machine.roots, time_ns=1000)
        ownership = Ownership(self.machine.sysfs, params, "", self.machine.roots, self.machine.process(50))
        self.monitoring = Monitoring(ownership, self.kernel, needs_schemes=needs_schemes)
        self.keys = [self.start(pid) for pid in PIDS]

    def start(self, pid: int) -> ProcessKey:
        """Start a process."""
        self.kernel.processes[pid] = FakeProcess([mapping(0, 16), mapping(100, 200)])
        return self.machine.process(pid)

    def end(self, pid: int) -> None:
        """End a process."""
        del self.kernel.processes[pid]
        self.machine.trees.remove(pid)

    def targets(self, kdamond: int = 0) -> tuple[int, ...]:
        """Return the pids that a kdamond is set up for."""
        return self.machine.sysfs.facts(kdamond).target_pids

    def commands(self) -> list[str]:
        """Return the commands to kdamonds since the last call."""
        found = [text for name, text in self.machine.files.written if name.endswith("/state")]
        self.machine.files.written.clear()
        return found


class EndsWhenLookedAtTwice(FakeKernel):
    """A kernel in which pid 8 ends just when it is looked at the second time."""

    looks = 0

    def facts(self, key: ProcessKey) -> ProcessFacts:
        self.looks += key.pid == 8
        if self.looks == 2:
            self.processes.pop(8, None)
        return super().facts(key)


def test_a_kdamond_is_set_up_as_the_parameters_say(tmp_path: Path) -> None:
    params = DamonParams(
        nr_kdamonds=1, sampling_us=20_000, aggregation_us=400_000, min_target_regions=20, max_target_regions=200
    )
    scene = Scene(tmp_path, params)
    scene.monitoring.open()
    assert scene.monitoring.follow(scene.keys)
    values = scene.machine.files.values
    attributes = "0/contexts/0/monitoring_attrs"
    assert [values[f"{attributes}/intervals/{name}_us"] for name in ("sample", "aggr", "update")] == [
        "20000",
        "400000",
        "1000000",
    ]
    assert (values[f"{attributes}/nr_regions/min"], values[f"{attributes}/nr_regions/max"]) == ("20", "200")
    assert values["0/contexts/0/operations"] == "vaddr"
    assert values["0/contexts/0/schemes/nr_schemes"] == "0"
    assert scene.targets() == PIDS
    assert values["0/contexts/0/targets/0/regions/nr_regions"] == "0"
    (monitor,) = scene.monitoring.monitors()
    assert (monitor.kdamond, monitor.thread, monitor.targets) == (0, int(values["0/pid"]), 3)
    assert [tenure.targets for tenure in scene.monitoring.tenures] == [tuple(scene.keys)]
    assert not scene.monitoring.follow(scene.keys)
    assert scene.commands() == ["on"]


def test_processes_come_and_go_without_a_restart(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    first, second, third = scene.keys
    scene.monitoring.open()
    scene.monitoring.follow([first, second])
    thread = scene.monitoring.monitors()[0].thread
    scene.kernel.time_ns = 5000
    scene.monitoring.follow([third, second])
    assert scene.targets() == (9, 8)
    assert scene.commands() == ["on", "commit"]
    assert scene.monitoring.monitors()[0].thread == thread
    values = scene.machine.files.values
    # The one that stayed keeps what DAMON knows of it; the new one begins around its mappings.
    assert values["0/contexts/0/targets/1/regions/nr_regions"] == "0"
    assert values["0/contexts/0/targets/0/regions/nr_regions"] == "2"
    old, new = scene.monitoring.tenures
    assert (old.targets, old.until_ns) == ((first, second), 5000)
    assert new.targets == (third, second)
    assert new.since_ns == 5000 + 50_000_000


def test_without_processes_nothing_runs(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    assert scene.monitoring.follow([])
    assert scene.commands() == ["on", "off"]
    assert scene.monitoring.monitors() == ()
    scene.monitoring.follow(scene.keys[:1])
    assert scene.targets() == (7,)


def test_processes_are_divided_among_kdamonds(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=2))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    assert (scene.targets(0), scene.targets(1)) == ((7, 9), (8,))
    assert [monitor.targets for monitor in scene.monitoring.monitors()] == [2, 1]
    assert len({monitor.thread for monitor in scene.monitoring.monitors()}) == 2
    scene.commands()
    scene.monitoring.follow(scene.keys[1:])
    assert (scene.targets(0), scene.targets(1)) == ((9,), (8,))
    assert scene.commands() == ["commit"]


def test_a_process_that_has_ended_is_left_out(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.end(8)
    scene.monitoring.follow(scene.keys)
    assert scene.targets() == (7, 9)


def test_a_process_that_ends_while_damon_starts(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.machine.trees.remove(8)  # for DAMON it has ended
    kernel = EndsWhenLookedAtTwice(scene.kernel.processes, roots=scene.machine.roots)
    scene.monitoring._kernel = kernel
    scene.monitoring.follow(scene.keys)
    assert scene.targets() == (7, 9)
    assert scene.commands() == ["on", "on"]
    assert not scene.monitoring.interrupted


def test_a_commit_that_ends_the_kdamond_is_followed_by_a_start(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    first, second, third = scene.keys
    scene.monitoring.open()
    scene.monitoring.follow([first])
    scene.machine.files.refuse[("0/state", "commit")] = errno.EINVAL
    scene.monitoring.follow([first, third])
    assert scene.targets() == (7, 9)
    assert scene.commands() == ["on", "commit", "off", "on"]
    assert [tenure.targets for tenure in scene.monitoring.tenures] == [(first,), (first, third)]
    assert second.pid not in scene.targets()


def test_a_kdamond_ends_with_its_processes_and_that_is_normal(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys[:1])
    scene.end(7)
    scene.machine.files.end(0)
    assert scene.monitoring.follow(scene.keys[:1])
    assert scene.monitoring.monitors() == ()
    scene.monitoring.follow(scene.keys[1:])
    assert scene.targets() == (8, 9)
    assert not scene.monitoring.interrupted


def test_a_kdamond_that_somebody_stopped_is_started_again_and_that_is_remembered(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    scene.machine.files.end(0)
    assert scene.monitoring.follow(scene.keys)
    assert scene.monitoring.interrupted
    assert len(scene.monitoring.monitors()) == 1


def test_a_kdamond_that_somebody_took_is_left_alone_for_ever(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    scene.machine.files.end(0)
    before = scene.machine.foreign(0)
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="now runs for somebody else, as thread 4000"):
            scene.monitoring.follow(scene.keys)
    assert scene.monitoring.close() == []
    assert scene.machine.files_of(0) == before


def test_what_damon_refuses_is_raised(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.machine.trees.put("sys/module/damon_reclaim/parameters/enabled", "Y\n")
    scene.machine.files.refuse[("0/state", "on")] = errno.EBUSY
    with pytest.raises(KernelError, match=r"EBUSY.*echo N > .*damon_reclaim/parameters/enabled"):
        scene.monitoring.follow(scene.keys)
    scene.machine.files.refuse.clear()
    assert scene.monitoring.follow(scene.keys)


def test_closing_gives_everything_back(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=2))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    assert scene.monitoring.close() == []
    assert scene.machine.sysfs.kdamonds() == 0
    assert not scene.monitoring.is_open
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    assert len(scene.monitoring.monitors()) == 2


def test_the_regions_manager_begins_with_the_mappings(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1, sysfs_regions_manager=1))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys[:1])
    values = scene.machine.files.values
    regions = "0/contexts/0/targets/0/regions"
    assert values[f"{regions}/nr_regions"] == "2"
    found = [(int(values[f"{regions}/{nth}/start"]), int(values[f"{regions}/{nth}/end"])) for nth in range(2)]
    assert found == [(one.start, one.end) for one in scene.kernel.processes[7].mappings]


def test_schemes_list_the_regions_of_one_target_each(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1), needs_schemes=True)
    scene.monitoring.open()
    assert scene.monitoring.capacity is None
    scene.monitoring.follow(scene.keys)
    values = scene.machine.files.values
    schemes = "0/contexts/0/schemes"
    assert values[f"{schemes}/nr_schemes"] == "3"
    assert [values[f"{schemes}/{nth}/filters/0/damon_target_idx"] for nth in range(3)] == ["0", "1", "2"]
    assert {values[f"{schemes}/{nth}/filters/0/type"] for nth in range(3)} == {"target"}
    assert {values[f"{schemes}/{nth}/filters/0/matching"] for nth in range(3)} == {"N"}
    assert values[f"{schemes}/0/access_pattern/sz/max"] == str(2**64 - 1)


def test_without_a_filter_for_targets_a_kdamond_takes_one_process(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=2), needs_schemes=True)
    object.__setattr__(scene.machine.files, "lacks", frozenset({"damon_target_idx"}))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    assert (scene.targets(0), scene.targets(1)) == ((7,), (8,))
    assert scene.monitoring.left_out == (scene.keys[2],)
    assert scene.machine.files.values["0/contexts/0/schemes/0/filters/nr_filters"] == "0"


def test_without_lists_of_regions_the_connection_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1), needs_schemes=True)
    object.__setattr__(scene.machine.files, "lacks", frozenset({"tried_regions"}))
    with pytest.raises(UnsupportedError, match=r"Linux 6\.2: use connection tracefs"):
        scene.monitoring.open()
    assert scene.machine.files.values["0/contexts/nr_contexts"] == "0"
    assert scene.monitoring.close() == []
    assert scene.machine.sysfs.kdamonds() == 0


def test_a_thread_that_hangs_can_not_start_anything_after_the_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    kdamonds = list(scene.monitoring._kdamonds)
    assert scene.monitoring.close() == []
    scene.machine.files.written.clear()
    with pytest.raises(MemtierdError, match="given back already"):
        scene.monitoring._start(kdamonds[0], tuple(scene.keys))
    assert scene.machine.files.written == []


def test_the_end_does_not_wait_for_ever_for_a_thread_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLOSE_PATIENCE_S", 0.01)
    scene = Scene(tmp_path, DamonParams(nr_kdamonds=1))
    scene.monitoring.open()
    scene.monitoring.follow(scene.keys)
    scene.monitoring._at_work.acquire()
    assert scene.monitoring.close() == []
    assert scene.machine.sysfs.kdamonds() == 0
