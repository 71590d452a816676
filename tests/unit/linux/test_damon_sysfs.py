"""DAMON's sysfs interface over files that answer like the kernel's; more of it in tests/unit/trackers/damon."""

import errno
from pathlib import Path

import pytest

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.damon_setup import Setup, Target
from memtierd.linux.damon_sysfs import DamonSysfs
from memtierd.linux.roots import Roots
from memtierd.model import AddressRange
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.damon.damon_fakes import FakeMachine

PID = 7


def setup(*targets: Target) -> Setup:
    """Return a setup for targets."""
    return Setup(5000, 100_000, 1_000_000, 10, 1000, targets)


def test_a_kernel_without_it_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="CONFIG_DAMON_SYSFS"):
        DamonSysfs(Roots(sys=str(tmp_path))).kdamonds()


def test_facts_of_a_free_and_of_a_running_kdamond(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 2)
    machine.foreign(1, thread=4000, pid=99)
    free, used = machine.sysfs.facts(0), machine.sysfs.facts(1)
    assert (free.thread, free.is_set_up, free.target_pids) == (None, False, ())
    assert (used.thread, used.is_set_up, used.target_pids) == (4000, True, (99,))


def test_targets_with_regions(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.sysfs.configure(0, setup(Target(PID, (AddressRange(0, 4096), AddressRange(8192, 12288))), Target(8)))
    values = machine.files.values
    targets = "0/contexts/0/targets"
    assert values[f"{targets}/nr_targets"] == "2"
    assert [values[f"{targets}/0/regions/1/{end}"] for end in ("start", "end")] == ["8192", "12288"]
    assert values[f"{targets}/1/regions/nr_regions"] == "0"
    assert values["0/state"] == "off"


def test_a_kernel_that_monitors_physical_memory_only_is_refused(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.files.write("0/contexts/nr_contexts", 1)
    machine.files.values["0/contexts/0/avail_operations"] = "paddr"
    with pytest.raises(UnsupportedError, match=r"only paddr.*CONFIG_DAMON_VADDR"):
        machine.sysfs._require_vaddr(0)


def test_starting_for_a_process_that_has_ended(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.sysfs.configure(0, setup(Target(PID)))
    with pytest.raises(KernelError) as raised:
        machine.sysfs.start(0)
    assert raised.value.errno == errno.EINVAL


def test_stopping_what_does_not_run_writes_nothing(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.sysfs.stop(0)
    assert machine.files.written == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_a_kdamond_that_ends_just_before_it_is_stopped(tmp_path: Path, number: int) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.foreign(0)
    machine.files.refuse[("0/state", "off")] = number
    machine.sysfs.stop(0)


def test_a_commit_tells_whether_the_kdamond_goes_on(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.process(PID)
    machine.sysfs.configure(0, setup(Target(PID)))
    machine.sysfs.start(0)
    assert machine.sysfs.commit(0, setup(Target(PID)))
    # The kernel says nothing of a process that has ended; the kdamond ends.
    assert not machine.sysfs.commit(0, setup(Target(PID), Target(8)))
    # And of one that does not run it refuses the word.
    assert not machine.sysfs.commit(0, setup(Target(PID)))


def test_the_number_of_kdamonds_can_not_change_while_one_runs(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    machine.foreign(0)
    with pytest.raises(KernelError, match="EBUSY"):
        machine.sysfs.make_kdamonds(2)


def test_tried_regions_in_the_order_of_addresses(tmp_path: Path) -> None:
    machine = FakeMachine.make(tmp_path, 1)
    directory = "0/contexts/0/schemes/2/tried_regions"
    machine.files.values[f"{directory}/total_bytes"] = "12288"
    for number, (start, end, accesses) in {9: (2, 4, 7), 10: (0, 1, 3)}.items():
        values = {"start": start * PAGE_BYTES, "end": end * PAGE_BYTES, "nr_accesses": accesses, "age": 5}
        machine.files.values.update((f"{directory}/{number}/{name}", str(value)) for name, value in values.items())
    starts, ends, nr_accesses = machine.sysfs.tried_regions(0, 2)
    assert (starts // PAGE_BYTES).tolist() == [0, 2]
    assert (ends // PAGE_BYTES).tolist() == [1, 4]
    assert nr_accesses.tolist() == [3, 7]
    assert [len(column) for column in machine.sysfs.tried_regions(0, 5)] == [0, 0, 0]
