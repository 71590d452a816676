"""tracker -dump raw and stats -dump moves."""

import re

import pytest

from memtierd.statistics import MAX_RECORDED_REGIONS
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt, process_scan, scan

SCAN = process_scan([3, 0, 512], 1.0)


@pytest.fixture
def prompt() -> Prompt:
    return Prompt(FakeDaemon())


def test_what_scans_count_is_recorded_from_start_to_stop(prompt: Prompt) -> None:
    prompt.daemon.reconciler.observe(scan(SCAN))
    assert prompt.good("tracker -dump raw start") == "raw access events recording started\n"
    prompt.daemon.reconciler.observe(scan(SCAN))
    first = prompt.good("tracker -dump raw new").splitlines()
    assert re.fullmatch(r" +timestamp +pid +addr +pages +accs +writes", first[0])
    assert len(first) == 1 + len(SCAN.start)
    row = first[1].split()
    assert (int(row[1]), int(row[2], 16)) == (SCAN.key.pid, int(SCAN.start[0]))
    assert len(first[1]) == 20 + 1 + 8 + 1 + 16 + 1 + 8 + 1 + 8 + 1 + 8
    assert prompt.good("tracker -dump raw new").splitlines() == first[:1]
    assert prompt.good("tracker -dump raw stop") == "raw access events recording stopped\n"
    assert "not recording" in prompt.bad("tracker -dump raw new")


def test_what_was_dropped_is_said(prompt: Prompt) -> None:
    prompt.good("tracker -dump raw start")
    recording = prompt.daemon.reconciler.statistics.recorded_scans
    recording.add(SCAN, MAX_RECORDED_REGIONS)
    recording.add(SCAN)
    status, out, err = prompt.run("tracker -dump raw new")
    assert status == 0
    assert str(MAX_RECORDED_REGIONS) in err
    assert len(out.splitlines()) == 1 + len(SCAN.start)


def test_calls_of_the_mover_are_recorded(prompt: Prompt) -> None:
    assert prompt.good("stats -dump moves start") == "recording moves started\n"
    assert prompt.good("stats -dump moves new") == ""
    assert prompt.good("stats -dump moves stop") == "recording moves stopped\n"
    assert "not recording" in prompt.bad("stats -dump moves new")


@pytest.mark.parametrize("line", ["tracker -dump", "tracker -dump raw", "tracker -dump raw x", "stats -dump moves x y"])
def test_anything_else_is_wrong_usage(prompt: Prompt, line: str) -> None:
    assert "start" in prompt.bad(line, 2)
