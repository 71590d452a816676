"""The bpftrace connection understands what the real program wrote, and runs what goes by its name."""

import time
from pathlib import Path

import pytest

from memtierd.errors import UnsupportedError
from memtierd.trackers.damon.bpftrace import LOST, SCRIPT, bpftrace_connection
from memtierd.trackers.damon.program_connection import ProgramConnection
from tests.unit.linux.fake_kernel import CASES
from tests.unit.trackers.damon.program_fakes import AT_ONCE, able_machine, case, make_program, until

OUTPUT = CASES / "damon/bpftrace-0.17-linux-6.12.txt"


def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> ProgramConnection:
    """Return a connection whose bpftrace is this script."""
    make_program(tmp_path, "bpftrace", script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return bpftrace_connection(able_machine(tmp_path), AT_ONCE)


def test_what_bpftrace_wrote_becomes_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bpftrace = connection(tmp_path, monkeypatch, f"cat {OUTPUT} -")
    bpftrace.open()
    kept = []
    until(lambda: kept.append(bpftrace.take()) or sum(map(len, kept)) >= 39)  # type: ignore[func-returns-value]
    assert bpftrace.conditions() == ()
    bpftrace.close()
    records = next(records for records in kept if len(records))
    assert (records.thread[0], records.target[0], records.nr_regions[0], records.nr_accesses[0]) == (83, 0, 17, 0)
    assert (records.start[0], records.end[0]) == (94830149562368, 94830168215552)
    suspended_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert abs(int(records.time_ns[0]) + suspended_ns - 26_470_462_812) < 1_000_000


def test_lost_events_are_counted_and_said_until_a_while_after(tmp_path: Path) -> None:
    bpftrace = bpftrace_connection(able_machine(tmp_path))
    bpftrace._receive(case("bpftrace-0.17-linux-6.12-losing"))
    assert bpftrace.counts.lost == 958 + 465 + 958
    assert len(bpftrace.take()) == 73
    (said,) = bpftrace.conditions()
    assert said.startswith("tracker damon: bpftrace can't keep up with DAMON and loses events; ")
    for _ in range(12):
        assert bpftrace.conditions() == (said,)
        bpftrace.take()
    assert bpftrace.conditions() == ()


@pytest.mark.parametrize("line", [b"Attaching 1 probe...\n", b"Attached 1 probe\n", b"stdin:1:1: WARNING: odd\n"])
def test_greetings_of_other_versions_are_passed_over(tmp_path: Path, line: bytes) -> None:
    bpftrace = bpftrace_connection(able_machine(tmp_path))
    bpftrace._receive(line)
    assert (len(bpftrace.take()), bpftrace.conditions(), LOST.findall(line)) == (0, (), [])


def test_events_that_are_not_understood_are_said(tmp_path: Path) -> None:
    bpftrace = bpftrace_connection(able_machine(tmp_path))
    bpftrace._receive(b"kdamond damon_aggregated target_id=0 in another form\n")
    assert len(bpftrace.take()) == 0
    assert "is not understood" in bpftrace.conditions()[0]


def test_a_bpftrace_that_dies_is_said_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = f"test -e {tmp_path}/died || {{ touch {tmp_path}/died; echo 'ERROR: no memory' >&2; exit 1; }}"
    bpftrace = connection(tmp_path, monkeypatch, f"{died}; test -e {tmp_path}/mended && cat {OUTPUT}; cat")
    bpftrace.open()
    until(lambda: bpftrace.starts == 2)
    (said,) = bpftrace.conditions()
    assert said.startswith("tracker damon: bpftrace ended with status 1: ERROR: no memory; it is started again")
    bpftrace.close()
    assert (bpftrace.starts, bpftrace.conditions()) == (0, ())


def test_reports_end_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = f"test -e {tmp_path}/died || {{ touch {tmp_path}/died; exit 1; }}"
    bpftrace = connection(tmp_path, monkeypatch, f"{died}; cat {OUTPUT} -")
    bpftrace.open()
    until(lambda: len(bpftrace.take()))
    assert (bpftrace.starts, bpftrace.conditions()) == (2, ())
    bpftrace.close()


def test_bpftrace_gets_a_script_and_a_leash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bpftrace = connection(
        tmp_path, monkeypatch, f'for a; do printf "%s\\n" "$a" >>{tmp_path}/said; done; touch {tmp_path}/end; cat'
    )
    bpftrace.open()
    until((tmp_path / "end").exists)
    bpftrace.close()
    options, _, rest = (tmp_path / "said").read_text().partition("-e\n")
    assert options.splitlines()[:3] == ["-B", "line", "-c"]
    assert options.splitlines()[3].endswith("/cat")
    assert rest == f"{SCRIPT}\n"


def test_without_bpftrace_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match="there is no bpftrace in PATH; install it"):
        bpftrace_connection(able_machine(tmp_path)).open()
