"""The perf connection understands what the real program wrote, and runs what goes by its name."""

from pathlib import Path

import numpy as np
import pytest

from memtierd.errors import UnsupportedError
from memtierd.trackers.damon.perf import perf_connection
from tests.unit.linux.fake_kernel import CASES
from tests.unit.trackers.damon.program_fakes import AT_ONCE, able_machine, case, make_program, until

OUTPUT = CASES / "damon/perf-6.1-linux-6.12.txt"
PERF = f"""
echo "$0 $@ $LC_ALL $PERF_CONFIG" | tr '\\n' ' ' >>$HERE/said.$1
case $1 in
record) echo data; exec cat ;;
script) read -r data; test "$data" = data && cat {OUTPUT} && exec cat ;;
esac"""


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    make_program(tmp_path, "perf", script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("HERE", str(tmp_path))


def test_what_perf_wrote_becomes_records(tmp_path: Path) -> None:
    perf = perf_connection(roots=able_machine(tmp_path))
    perf._receive(case("perf-6.1-linux-6.12"))
    records = perf.take()
    assert len(records) == 36
    assert (records.thread[0], records.target[0], records.nr_regions[0], records.nr_accesses[0]) == (83, 0, 16, 0)
    assert (records.start[0], records.end[0], records.time_ns[0]) == (94077678866432, 94077739773952, 35_988_905_535)
    assert set(records.thread.tolist()) == {82, 83}
    assert np.all(records.start < records.end)
    assert perf.conditions() == ()


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (case("perf-6.1-linux-6.12-losing"), 934 + 1964),
        (b" kdamond.0   114 [000]    58.43: PERF_RECORD_LOST_SAMPLES lost samples 12\n", 12),
    ],
)
def test_lost_events_are_counted_and_said(tmp_path: Path, lines: bytes, lost: int) -> None:
    perf = perf_connection(roots=able_machine(tmp_path))
    perf._receive(lines)
    perf.take()
    assert perf.counts.lost == lost
    assert "perf can't keep up with DAMON and loses events" in perf.conditions()[0]


def test_both_perfs_run_joined_with_the_options_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, PERF)
    perf = perf_connection("-m 4M --filter 'nr_accesses > 0'", able_machine(tmp_path), AT_ONCE)
    perf.open()
    until(lambda: len(perf.take()))
    perf.close()
    record, script = ((tmp_path / f"said.{name}").read_text() for name in ("record", "script"))
    assert " -a -e damon:damon_aggregated -m 4M --filter nr_accesses > 0 -o - -- /" in record
    assert record.endswith("/cat C /dev/null ")
    assert " script -i - --ns --show-lost-events -F " in script


def test_a_wrong_option_is_said_in_perfs_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = CASES / "damon/perf-6.1-wrong-option.txt"
    install(tmp_path, monkeypatch, f"test $1 = record && {{ cat {usage} >&2; exit 129; }}; cat >/dev/null; exit 255")
    perf = perf_connection("--nonsense", able_machine(tmp_path))
    perf.open()
    until(perf.conditions)
    assert perf.conditions()[0].startswith(
        "tracker damon: perf ended with status 129: Error: unknown option `nonsense'; it is started again"
    )
    perf.close()


def test_an_open_quote_in_the_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no closing quotation"):
        perf_connection("--filter 'nr", able_machine(tmp_path))


def test_without_perf_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UnsupportedError, match=r"there is no perf in PATH; install it \(Debian's package is linux-perf\)"
    ):
        perf_connection(roots=able_machine(tmp_path)).open()
