"""routines: making, choosing, configuring, starting and stopping them."""

from pathlib import Path

import pytest

from memtierd.routines import StatActionsParams
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt

NONE = "routines: no routines, create one with: routines -create NAME [-config CONFIG]"
HOURLY = '{"IntervalMs":3600000,"IntervalCommand":["true"]}'


@pytest.mark.parametrize("flags", ["-config {}", "-config-file /x", "-start", "-config-dump", "-stop", "-dump"])
def test_nothing_works_without_a_routine(prompt: Prompt, flags: str) -> None:
    assert prompt.bad(f"routines {flags}") == NONE


def test_wrong_usage_and_names(prompt: Prompt) -> None:
    assert prompt.bad("routines", status=2) == "routines: nothing to do; routines -h lists the flags"
    assert prompt.bad("routines -create bogus") == "routines: invalid routine name 'bogus'; there are: statactions"
    assert prompt.bad("routines -use 1") == "routines: invalid routine 1, the last one is 0"
    assert prompt.good("routines -ls") == "statactions\n"


def test_create_configure_start_and_stop_in_one_command(prompt: Prompt, daemon: FakeDaemon) -> None:
    out = prompt.good(f"routines -create statactions -config {HOURLY} -start -config-dump")
    first, dumped = out.splitlines()
    assert first == "routine 1 created, started using it"
    assert dumped.startswith('{"IntervalMs":3600000,"IntervalCommand":["true"],"IntervalCommandRunner":"exec",')
    (view,) = daemon.routines.views()
    assert view.params == StatActionsParams(interval_ms=3600000, interval_command=("true",))
    assert prompt.good("routines -dump") == '1 routine "statactions": running=true\n'
    assert prompt.good("routines -start -stop -stop=true") == "routine 1 stopped\n"
    assert prompt.good("routines -stop") == "routine 1 stopped\n"
    assert prompt.good("routines -dump") == '1 routine "statactions": running=false\n'


def test_the_last_one_made_is_used_until_another_is_chosen(prompt: Prompt, daemon: FakeDaemon, tmp_path: Path) -> None:
    prompt.good(f"routines -create statactions -config {HOURLY}")
    prompt.good("routines -create statactions")
    assert prompt.bad("routines -start").endswith(
        "start routine 2 statactions: it has no configuration; give one with: routines -config CONFIG"
    )
    assert prompt.bad("routines -config-dump").endswith(
        "routine 2 is not configured, configure it with: routines -config CONFIG"
    )
    file = tmp_path / "two.yaml"
    file.write_text("intervalms: 7200000\nintervalcommand: [date]\n")
    prompt.good(f"routines -config-file {file}")
    prompt.good("routines -use 1 -start")
    assert [view.is_running for view in daemon.routines.views()] == [True, False]
    assert prompt.bad("routines -use 3") == "routines: invalid routine 3, the last one is 2"
    daemon.routines.stop_all()
    assert [view.is_running for view in daemon.routines.views()] == [False, False]


def test_a_routine_without_an_action_is_refused(prompt: Prompt) -> None:
    prompt.good("routines -create statactions")
    assert "a routine without an action" in prompt.bad("routines -config {intervalms: 5}")
