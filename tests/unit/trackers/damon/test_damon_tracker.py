"""The damon tracker as a whole: rounds over processes, with reports that a test makes up."""

import atexit
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest

from memtierd.errors import MemtierdError, UnsupportedError
from memtierd.linux.probe import Feature, Features
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey, ProcessScan
from memtierd.trackers import REGISTRY, build
from memtierd.trackers.damon.monitoring import Monitoring
from memtierd.trackers.damon.ownership import Ownership
from memtierd.trackers.damon.params import DamonParams
from memtierd.trackers.damon.snapshots import SysfsConnection
from memtierd.trackers.damon.tracefs import TracefsConnection
from memtierd.trackers.damon.tracker import DamonTracker
from memtierd.trackers.tracker import ScanStoppedError, StopFlag
from tests.unit.trackers.damon.damon_fakes import FakeConnection, FakeMachine, aggregation
from tests.unit.trackers.damon.program_fakes import DEADLINE_S
from tests.unit.trackers.tracker_fakes import BASE_PAGE, FakeKernel, FakeProcess, mapping

PID = 7
NAMES = ("damon_sysfs", "damon_debugfs", "damon_tracefs", "damon_bpftrace", "damon_perf")


class Scene:
    """A tracker on a machine with one process, and one connection."""

    def __init__(self, directory: Path, **params: object) -> None:
        self.machine = FakeMachine.make(directory)
        self.process = FakeProcess([mapping(0, 100), mapping(200, 300)])
        self.process.touch(*range(100), node=1)
        self.kernel = FakeKernel({PID: self.process}, roots=self.machine.roots)
        self.key = self.machine.process(PID)
        self.connection = FakeConnection()
        self.params = DamonParams(nr_kdamonds=1, align_pages=1, **params)  # type: ignore[arg-type]
        ownership = Ownership(self.machine.sysfs, self.params, "", self.machine.roots, self.machine.process(50))
        monitoring = Monitoring(ownership, self.kernel, needs_schemes=False)
        self.tracker = DamonTracker(self.params, self.kernel, monitoring, self.connection)

    def report(self, *regions: tuple[int, int, int], target: int = 0, nr_regions: int | None = None) -> None:
        """Let DAMON report (first page, page behind, nr_accesses) of BASE_PAGE and behind."""
        thread = int(self.machine.files.values["0/pid"])
        moved = [(BASE_PAGE + first, BASE_PAGE + end, accesses) for first, end, accesses in regions]
        records = aggregation(*moved, thread=thread, target=target, nr_regions=nr_regions)
        self.connection.inbox.append(attrs.evolve(records, time_ns=records.time_ns + self.kernel.time_ns))

    def scan(self, *keys: ProcessKey) -> list[ProcessScan]:
        """Scan, half a minute after the last."""
        self.kernel.time_ns += 30_000_000_000
        return list(self.tracker.scan(keys or (self.key,), StopFlag()).processes)


def rows(scan: ProcessScan) -> list[tuple[int, int, int, bool]]:
    """Return (first page behind BASE_PAGE, pages, accessed pages, primed) of each region."""
    first = (scan.start // np.uint64(4096)).astype(np.int64) - BASE_PAGE
    columns = (first, scan.pages, scan.accessed_pages, scan.primed)
    return list(zip(*(column.tolist() for column in columns), strict=True))


class ConnectionWithoutProgram(FakeConnection):
    """A connection that can't be opened."""

    def open(self) -> None:
        raise UnsupportedError("no such program")


def test_before_any_report_regions_are_mappings_that_are_not_judged(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert not scene.connection.is_open
    (scan,) = scene.scan()
    assert rows(scan) == [(0, 100, 0, False), (200, 100, 0, False)]
    assert scan.node_pages.tolist() == [[0, 0], [100, 0]]
    assert scene.connection.is_open
    assert [monitor.targets for monitor in scene.connection.followed[0]] == [1]


def test_regions_are_those_of_the_newest_report_and_counts_of_all(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.scan()
    scene.report((0, 50, 20), (50, 250, 0))
    scene.report((0, 25, 20), (25, 250, 0))
    (scan,) = scene.scan()
    # A sixth of pages 25 to 100 in two aggregations was in use; from 250 on nothing was reported.
    assert rows(scan) == [(0, 25, 25, True), (25, 75, 13, True), (200, 50, 0, True), (250, 50, 0, False)]
    assert scan.node_pages[1].tolist() == [25, 75, 0, 0]
    assert scan.written_pages.tolist() == [0, 0, 0, 0]
    (scan,) = scene.scan()
    assert [row[3] for row in rows(scan)] == [False] * 4  # nothing new: nothing is judged, and regions stay
    assert [row[0] for row in rows(scan)] == [0, 25, 200, 250]


def test_an_aggregation_that_arrives_in_two_scans_counts_in_the_second(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.scan()
    scene.report((0, 50, 20), nr_regions=2)
    (scan,) = scene.scan()
    assert not scan.primed.any()
    scene.report((50, 300, 0), nr_regions=2)
    (scan,) = scene.scan()
    assert rows(scan)[0] == (0, 50, 50, True)


def test_each_process_gets_its_own_reports(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.kernel.processes[8] = FakeProcess([mapping(0, 100)])
    other = scene.machine.process(8)
    scene.scan(scene.key, other)
    scene.report((0, 300, 20), target=0)
    scene.report((0, 100, 0), target=1)
    first, second = scene.scan(scene.key, other)
    assert (first.accessed_pages.sum(), second.accessed_pages.sum()) == (200, 0)
    assert first.primed.all()
    assert second.primed.all()


def test_a_process_that_ends_is_gone_and_the_others_go_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.kernel.processes[8] = FakeProcess([mapping(0, 100)])
    other = scene.machine.process(8)
    scene.scan(scene.key, other)
    del scene.kernel.processes[8]
    scene.machine.trees.remove(8)
    scan = scene.tracker.scan((scene.key, other), StopFlag())
    assert (scan.gone, [one.key for one in scan.processes]) == ((other,), [scene.key])
    scene.scan()
    assert scene.machine.sysfs.facts(0).target_pids == (PID,)


def test_with_its_last_process_damon_is_given_back_and_taken_again_with_the_next(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.scan()
    scene.tracker.forget(scene.key)
    assert scene.machine.sysfs.kdamonds() == 0
    assert not scene.connection.is_open
    scene.scan()
    assert scene.machine.sysfs.facts(0).target_pids == (PID,)
    scene.tracker.close()
    assert scene.machine.sysfs.kdamonds() == 0
    with pytest.raises(MemtierdError, match="closed"):
        scene.scan()


def test_the_end_of_memtierd_ends_damon_also_when_nobody_closes_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    monkeypatch.setattr(atexit, "unregister", at_exit.remove)
    scene = Scene(tmp_path)
    scene.scan()
    (end,) = at_exit
    end()
    assert scene.machine.sysfs.kdamonds() == 0
    assert at_exit == []


def test_memtierd_does_not_end_while_another_thread_gives_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    monkeypatch.setattr(atexit, "unregister", lambda _end: at_exit.clear())
    scene = Scene(tmp_path)
    scene.scan()
    inside, go_on = threading.Event(), threading.Event()

    def close_slowly(_connection: FakeConnection) -> None:
        inside.set()
        assert go_on.wait(DEADLINE_S)

    monkeypatch.setattr(FakeConnection, "close", close_slowly)
    scanner = threading.Thread(target=scene.tracker.forget, args=(scene.key,))
    scanner.start()
    assert inside.wait(DEADLINE_S)
    (end,) = at_exit
    main = threading.Thread(target=end)
    main.start()
    go_on.set()
    main.join(DEADLINE_S)
    assert scene.machine.sysfs.kdamonds() == 0
    scanner.join(DEADLINE_S)
    assert at_exit == []


def test_what_can_not_be_given_back_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(tmp_path)
    scene.scan()
    scene.machine.files.refuse[("0/state", "off")] = 5
    with caplog.at_level(logging.ERROR, "memtierd"):
        scene.tracker.close()
    assert ["write off" in record.getMessage() for record in caplog.records] == [True]


def test_a_connection_that_does_not_open_leaves_nothing_behind(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.tracker._connection = ConnectionWithoutProgram()
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="no such program"):
            scene.scan()
    assert scene.machine.sysfs.kdamonds() == 0


def test_conditions_are_those_of_all_parts(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.scan()
    scene.machine.files.end(0)
    scene.scan()
    scene.connection.sentences = ("reports are lost",)
    lost, interrupted = scene.tracker.conditions()
    assert lost == "reports are lost"
    assert "somebody else has stopped" in interrupted


def test_a_stop_flag_ends_a_round_before_damon_is_touched(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    stop = StopFlag()
    stop.set()
    with pytest.raises(ScanStoppedError):
        scene.tracker.scan((scene.key,), stop)
    assert scene.machine.files.written == []


def test_too_many_processes_fail_with_what_to_do(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.tracker._monitoring.capacity = 1
    scene.kernel.processes[8] = FakeProcess([mapping(0, 100)])
    scan = scene.tracker.scan((scene.key, scene.machine.process(8)), StopFlag())
    assert [failure.key.pid for failure in scan.failed] == [8]
    assert "name more kdamonds in kdamondslist" in scan.failed[0].message


# how it is built


def features(*working: str) -> Features:
    """Return features of which only these work, beside the one that all trackers need."""
    names = (*NAMES, "pagemap_pfn")
    shown = tuple(Feature(name, name in (*working, "pagemap_pfn"), f"{name} is off; switch it on") for name in names)
    return Features(shown, thp_mode="none", disturbs=())


def machine_roots(directory: Path) -> Roots:
    """Return roots with a system that has no kdamonds, and a tracefs."""
    machine = FakeMachine.make(directory)
    machine.trees.put("sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "0\n")
    machine.trees.put("sys/kernel/tracing/instances/.keep", "")
    machine.trees.add(os.getpid())
    return machine.roots


@pytest.mark.parametrize(
    ("working", "connection"),
    [
        (NAMES, "tracefs"),
        (("damon_sysfs", "damon_bpftrace", "damon_perf"), "sysfs"),
        (("damon_debugfs", "damon_bpftrace", "damon_perf"), "bpftrace"),
        (("damon_debugfs", "damon_perf"), "perf"),
    ],
)
def test_auto_takes_the_best_connection_and_says_why(tmp_path: Path, working: tuple[str, ...], connection: str) -> None:
    roots = machine_roots(tmp_path)
    (tmp_path / "sys/kernel/debug/damon").mkdir(parents=True)
    for name, text in (("monitor_on", "off"), ("kdamond_pid", "none"), ("target_ids", ""), ("attrs", "1 2 3 4 5")):
        (tmp_path / "sys/kernel/debug/damon" / name).write_text(text)
    tracker = build("damon", DamonParams(nr_kdamonds=1), FakeKernel(roots=roots), features(*working))
    assert tracker.name == "damon"
    assert tracker.why.startswith(f"damon's connection auto became {connection}: ")
    assert isinstance(tracker, DamonTracker)
    assert tracker._connection.name == connection
    tracker.close()


@pytest.mark.parametrize(("word", "cls"), [("tracefs", TracefsConnection), ("sysfs", SysfsConnection)])
def test_a_connection_that_is_named_is_used(tmp_path: Path, word: str, cls: type[object]) -> None:
    kernel = FakeKernel(roots=machine_roots(tmp_path))
    tracker = build("damon", DamonParams(nr_kdamonds=1, connection=word), kernel, features(*NAMES))
    assert isinstance(tracker, DamonTracker)
    assert (type(tracker._connection), tracker.why) == (cls, "")
    other = {name for name in NAMES if name != f"damon_{word}"}
    with pytest.raises(UnsupportedError, match=f"damon_{word} is off; switch it on"):
        build("damon", DamonParams(nr_kdamonds=1, connection=word), kernel, features(*other))


@pytest.mark.parametrize(
    ("params", "working", "say"),
    [
        (
            {"interface": 1},
            ("damon_debugfs", "damon_tracefs"),
            "sysfs interface does not work here: damon_sysfs is off",
        ),
        ({"interface": 2}, ("damon_sysfs", "damon_tracefs"), "debugfs: damon_debugfs is off"),
        ({}, ("damon_tracefs",), "sysfs: damon_sysfs is off; switch it on; debugfs: damon_debugfs is off"),
        ({}, ("damon_debugfs",), "no connection works here: tracefs does not work here: damon_tracefs is off"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, params: dict[str, int], working: tuple[str, ...], say: str) -> None:
    kernel = FakeKernel(roots=machine_roots(tmp_path))
    with pytest.raises(UnsupportedError) as raised:
        build("damon", DamonParams(nr_kdamonds=1, **params), kernel, features(*working))  # type: ignore[arg-type]
    assert say in str(raised.value)


def test_without_kdamonds_the_start_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="writing nrkdamonds: 1"):
        build("damon", REGISTRY["damon"](), FakeKernel(roots=machine_roots(tmp_path)), features(*NAMES))
