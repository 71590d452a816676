"""Kdamonds that are somebody else's are never touched; what is ours is given back, also after a crash."""

from pathlib import Path

import attrs
import pytest

from memtierd.errors import UnsupportedError
from memtierd.linux import damon_markers
from memtierd.linux.damon_markers import Claim, Marker
from memtierd.linux.damon_setup import Setup, Target
from memtierd.model import ProcessKey
from memtierd.trackers.damon import ownership as module
from memtierd.trackers.damon.ownership import Ownership, chosen, give_back, recover
from memtierd.trackers.damon.params import DamonParams
from tests.unit.trackers.damon.damon_fakes import FakeMachine

DIRECTORY = "/sys/kernel/mm/damon/admin/kdamonds"
OWNER_PID, PID = 50, 7


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """Return a machine without kdamonds."""
    return FakeMachine.make(tmp_path)


def owner_of(machine: FakeMachine, params: DamonParams, pid: int = OWNER_PID, instance: str = "") -> Ownership:
    """Return the ownership of a memtierd."""
    return Ownership(machine.sysfs, params, instance, machine.roots, machine.process(pid))


def setup(*pids: int) -> Setup:
    """Return what a kdamond is set up with for processes."""
    return Setup(5000, 100_000, 1_000_000, 10, 1000, tuple(map(Target, pids)))


def work(machine: FakeMachine, ownership: Ownership, kdamond: int, *pids: int) -> None:
    """Let a claimed kdamond run for processes, as the tracker does."""
    for pid in pids:
        machine.process(pid)
    ownership.note(kdamond, None, pids)
    machine.sysfs.configure(kdamond, setup(*pids))
    ownership.note(kdamond, machine.sysfs.start(kdamond), pids)


# which kdamonds


@pytest.mark.parametrize(
    ("params", "count", "expected"),
    [
        (DamonParams(nr_kdamonds=2), 0, (0, 1)),
        (DamonParams(nr_kdamonds=2, kdamonds_list=(1,)), 0, (1,)),
        (DamonParams(kdamonds_list=(2, 0)), 3, (2, 0)),
        (DamonParams(kdamonds_list=(0,), nr_kdamonds=8), 3, (0,)),
    ],
)
def test_kdamonds_that_may_be_used(params: DamonParams, count: int, expected: tuple[int, ...]) -> None:
    assert chosen(params, count, range(count), DIRECTORY) == expected


@pytest.mark.parametrize(
    ("params", "count", "free", "say"),
    [
        (DamonParams(), 0, (), ("nrkdamonds: 1", f"echo 1 > {DIRECTORY}/nr_kdamonds", "kdamondslist: [0]")),
        (DamonParams(kdamonds_list=(0,)), 0, (), ("nrkdamonds: 1",)),
        (DamonParams(), 3, (1, 2), ("has 3 kdamonds already", "kdamondslist: [1]", "not in use now: 1, 2")),
        (DamonParams(nr_kdamonds=3), 3, (), ("somebody else manages them", "kdamondslist: [0]", "stop one first")),
        (DamonParams(kdamonds_list=(1, 5)), 3, (0,), ("names 5", "write numbers from 0 to 2")),
    ],
)
def test_what_to_write_is_said(params: DamonParams, count: int, free: tuple[int, ...], say: tuple[str, ...]) -> None:
    with pytest.raises(UnsupportedError) as raised:
        chosen(params, count, free, DIRECTORY)
    assert "\n" not in str(raised.value)
    assert [part for part in say if part not in str(raised.value)] == []


# claim and release


def test_kdamonds_are_made_and_removed_again(machine: FakeMachine) -> None:
    ours = owner_of(machine, DamonParams(nr_kdamonds=2))
    assert ours.claim() == (0, 1)
    assert machine.sysfs.kdamonds() == 2
    assert [marker.made_kdamonds for marker in damon_markers.read_all(machine.roots)] == [2]
    work(machine, ours, 1, PID)
    assert ours.release() == []
    assert machine.sysfs.kdamonds() == 0
    assert damon_markers.read_all(machine.roots) == []


def test_checking_writes_nothing(machine: FakeMachine) -> None:
    owner_of(machine, DamonParams(nr_kdamonds=1)).check()
    machine.files.write("nr_kdamonds", 2)
    machine.files.written.clear()
    owner_of(machine, DamonParams(kdamonds_list=(1,))).check()
    with pytest.raises(UnsupportedError):
        owner_of(machine, DamonParams()).check()
    assert machine.files.written == []
    assert damon_markers.read_all(machine.roots) == []


@pytest.mark.parametrize("thread", [4000, None])
def test_a_foreign_kdamond_is_refused_and_left_as_it_was(machine: FakeMachine, thread: int | None) -> None:
    machine.files.write("nr_kdamonds", 2)
    before = machine.foreign(0, thread)
    with pytest.raises(UnsupportedError) as raised:
        owner_of(machine, DamonParams(kdamonds_list=(0, 1))).claim()
    assert "kdamond 0" in str(raised.value)
    assert "for pids 99 by somebody else" in str(raised.value)
    assert "not in use now: 1" in str(raised.value)
    ours = owner_of(machine, DamonParams(kdamonds_list=(1,)))
    assert ours.claim() == (1,)
    work(machine, ours, 1, PID)
    assert ours.release() == []
    assert machine.files_of(0) == before
    assert machine.sysfs.kdamonds() == 2


def test_another_memtierd_is_named(machine: FakeMachine) -> None:
    machine.files.write("nr_kdamonds", 1)
    first = owner_of(machine, DamonParams(kdamonds_list=(0,)))
    first.claim()
    work(machine, first, 0, PID)
    with pytest.raises(UnsupportedError, match=f"by memtierd, pid {OWNER_PID}"):
        owner_of(machine, DamonParams(kdamonds_list=(0,)), pid=60).claim()


def test_what_this_process_holds_is_no_obstacle_to_a_new_tracker_in_it(machine: FakeMachine) -> None:
    old = owner_of(machine, DamonParams(nr_kdamonds=1))
    old.claim()
    work(machine, old, 0, PID)
    new = owner_of(machine, DamonParams(nr_kdamonds=1))
    new.check()
    with pytest.raises(UnsupportedError):
        new.claim()
    old.release()
    assert new.claim() == (0,)


def test_a_kdamond_that_was_taken_over_is_left_to_its_new_user(machine: FakeMachine) -> None:
    ours = owner_of(machine, DamonParams(nr_kdamonds=1))
    ours.claim()
    work(machine, ours, 0, PID)
    machine.files.end(0)
    taken = machine.foreign(0)
    assert ours.release() == []
    assert machine.files_of(0) == taken
    assert machine.sysfs.kdamonds() == 1


def test_the_last_memtierd_removes_what_the_first_has_made(machine: FakeMachine) -> None:
    first = owner_of(machine, DamonParams(nr_kdamonds=2, kdamonds_list=(0,)))
    first.claim()
    second = owner_of(machine, DamonParams(nr_kdamonds=2, kdamonds_list=(1,)), pid=60)
    assert second.claim() == (1,)
    first.release()
    assert machine.sysfs.kdamonds() == 2
    work(machine, second, 1, PID)
    second.release()
    assert machine.sysfs.kdamonds() == 0


# after a crash


def crashed(machine: FakeMachine, ownership: Ownership) -> None:
    """End a memtierd without any order."""
    machine.trees.remove(ownership.owner.pid)


@pytest.fixture(autouse=True)
def same_files(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recovery work on the fake files."""
    monkeypatch.setattr(module, "interface_named", lambda name, roots: machine.sysfs)


def test_leftovers_are_stopped_and_removed(machine: FakeMachine) -> None:
    instances = machine.trees.directory / "sys/kernel/tracing/instances"
    (instances / "memtierd-50-1").mkdir(parents=True)
    (instances / "mine").mkdir()
    killed = owner_of(machine, DamonParams(nr_kdamonds=1), instance="memtierd-50-1")
    killed.claim()
    work(machine, killed, 0, PID)
    assert recover(machine.roots) == []
    assert machine.sysfs.facts(0).thread is not None  # its owner lives
    crashed(machine, killed)
    assert recover(machine.roots) == []
    assert machine.sysfs.kdamonds() == 0
    assert [path.name for path in instances.iterdir()] == ["mine"]
    assert damon_markers.read_all(machine.roots) == []


def test_only_our_own_leftovers_are_touched(machine: FakeMachine) -> None:
    machine.files.write("nr_kdamonds", 3)
    running, prepared = machine.foreign(0), machine.foreign(2, thread=None, pid=98)
    killed = owner_of(machine, DamonParams(kdamonds_list=(1,)))
    killed.claim()
    work(machine, killed, 1, PID)
    crashed(machine, killed)
    assert recover(machine.roots) == []
    assert (machine.files_of(0), machine.files_of(2)) == (running, prepared)
    facts = machine.sysfs.facts(1)
    assert (facts.thread, facts.is_set_up) == (None, False)
    assert machine.sysfs.kdamonds() == 3


@pytest.mark.parametrize("thread", [4000, None])
def test_a_kdamond_that_somebody_has_taken_since_the_crash_is_left_alone(
    machine: FakeMachine, thread: int | None
) -> None:
    machine.files.write("nr_kdamonds", 1)
    killed = owner_of(machine, DamonParams(kdamonds_list=(0,)))
    killed.claim()
    work(machine, killed, 0, PID)
    crashed(machine, killed)
    machine.files.end(0)
    foreign = machine.foreign(0, thread)
    assert recover(machine.roots) == []
    assert machine.files_of(0) == foreign


def test_a_thread_with_the_same_id_is_another_one_after_a_while(machine: FakeMachine) -> None:
    machine.files.write("nr_kdamonds", 1)
    killed = owner_of(machine, DamonParams(kdamonds_list=(0,)))
    killed.claim()
    work(machine, killed, 0, PID)
    crashed(machine, killed)
    thread = machine.sysfs.facts(0).thread
    assert thread is not None
    machine.process(thread, start_ticks=999_999)
    before = machine.files_of(0)
    recover(machine.roots)
    assert machine.files_of(0) == before


def test_a_crash_between_starting_and_writing_that_down(machine: FakeMachine) -> None:
    machine.files.write("nr_kdamonds", 1)
    killed = owner_of(machine, DamonParams(kdamonds_list=(0,)))
    killed.claim()
    machine.process(PID)
    killed.note(0, None, (PID,))
    machine.sysfs.configure(0, setup(PID))
    machine.sysfs.start(0)
    crashed(machine, killed)
    assert recover(machine.roots) == []
    assert machine.files.values["0/contexts/nr_contexts"] == "0"


def test_what_can_not_be_removed_stays_noted_and_is_said(machine: FakeMachine) -> None:
    machine.files.write("nr_kdamonds", 1)
    killed = owner_of(machine, DamonParams(kdamonds_list=(0,)))
    killed.claim()
    work(machine, killed, 0, PID)
    crashed(machine, killed)
    machine.files.refuse[("0/state", "off")] = 5
    (problem,) = recover(machine.roots)
    assert "write off" in problem
    assert len(damon_markers.read_all(machine.roots)) == 1
    machine.files.refuse.clear()
    assert recover(machine.roots) == []
    assert damon_markers.read_all(machine.roots) == []


def test_kdamonds_whose_number_somebody_has_changed_are_not_unmade(machine: FakeMachine) -> None:
    killed = owner_of(machine, DamonParams(nr_kdamonds=1))
    killed.claim()
    crashed(machine, killed)
    machine.files.write("nr_kdamonds", 4)
    assert recover(machine.roots) == []
    assert machine.sysfs.kdamonds() == 4


def test_notes_of_an_earlier_boot_and_garbage_are_none(machine: FakeMachine) -> None:
    marker = Marker(ProcessKey(1, 1), "sysfs", (Claim(0, ProcessKey(2, 2), (3,)),))
    damon_markers.write(marker, machine.roots)
    assert damon_markers.read_all(machine.roots) == [marker]
    machine.trees.put("run/memtierd/damon-9-sysfs-0.json", "{not json")
    machine.trees.put("run/memtierd/damon-8-sysfs-0.json", "[]")
    assert damon_markers.read_all(machine.roots) == [marker]
    machine.trees.put("proc/sys/kernel/random/boot_id", "another\n")
    assert damon_markers.read_all(machine.roots) == []


def test_a_marker_that_names_more_kdamonds_than_there_are(machine: FakeMachine) -> None:
    marker = attrs.evolve(Marker(ProcessKey(1, 1), "sysfs", (Claim(7),)))
    assert give_back(marker, machine.sysfs, machine.roots) == []
