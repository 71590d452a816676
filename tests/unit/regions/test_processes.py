"""Rows of processes: stable while a process lives, reused afterwards, never mixed up by a reused pid."""

import pytest

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey
from memtierd.regions import processes
from memtierd.regions.processes import ProcessTable
from tests.unit.regions.region_samples import facts_of


def test_a_process_keeps_its_row_and_gets_its_latest_facts() -> None:
    table = ProcessTable()
    rows = [table.add(facts_of(pid)) for pid in (10, 20, 10)]
    assert rows == [0, 1, 0]
    table.add(facts_of(20, running_node=3))
    assert table.facts(1).running_node == 3
    assert [row for row, _ in table.rows()] == [0, 1]
    assert list(table) == [ProcessKey(10, 1), ProcessKey(20, 1)]
    assert table.pids[:2].tolist() == [10, 20]
    assert (len(table), ProcessKey(10, 1) in table, ProcessKey(10, 2) in table) == (2, True, False)


def test_a_row_is_reused_without_what_was_known_of_its_process() -> None:
    table = ProcessTable()
    table.add(facts_of(10))
    table.add(facts_of(20))
    assert table.observe(0, 500) == (0, 500)
    assert table.observe(0, 700) == (500, 700)
    assert table.remove(ProcessKey(10, 1)) == 0
    assert table.remove(ProcessKey(10, 1)) is None
    assert table.row(ProcessKey(10, 1)) is None
    assert table.add(facts_of(30)) == 0
    assert table.add(facts_of(40)) == 2
    assert table.observe(0, 400) == (0, 400)
    assert table.pids[0] == 30


def test_a_scan_that_comes_late_does_not_turn_time_back() -> None:
    table = ProcessTable()
    row = table.add(facts_of(10))
    assert [table.observe(row, at_ms) for at_ms in (500, 300, 600)] == [(0, 500), (500, 500), (500, 600)]


def test_a_pid_that_was_used_again_is_another_process() -> None:
    table = ProcessTable()
    assert (table.add(facts_of(10, 5)), table.add(facts_of(10, 9))) == (0, 1)
    assert table.by_pid(10) == ProcessKey(10, 9)
    table.remove(ProcessKey(10, 9))
    assert table.by_pid(10) == ProcessKey(10, 5)
    assert table.by_pid(11) is None


def test_more_processes_than_were_made_room_for() -> None:
    table = ProcessTable()
    for pid in range(1, 300):
        assert table.add(facts_of(pid)) == pid - 1
        table.observe(pid - 1, pid)
    assert table.pids[:299].tolist() == list(range(1, 300))
    assert table.observed_ms[:299].tolist() == list(range(1, 300))


def test_more_processes_than_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 2)
    table = ProcessTable()
    table.add(facts_of(10))
    table.add(facts_of(20))
    with pytest.raises(MemtierdError, match="track pid 30"):
        table.add(facts_of(30))
    assert len(table) == 2
    table.remove(ProcessKey(10, 1))
    assert table.add(facts_of(30)) == 0


def test_times_shift_and_stop_at_the_epoch() -> None:
    table = ProcessTable()
    for pid, at_ms in ((1, 100), (2, 5000)):
        table.observe(table.add(facts_of(pid)), at_ms)
    table.shift_times(1000)
    assert table.observed_ms[:2].tolist() == [0, 4000]
