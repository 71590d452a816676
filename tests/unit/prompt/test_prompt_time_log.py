"""The commands time and log."""

import logging
import time

import pytest

from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt


@pytest.fixture
def prompt() -> Prompt:
    return Prompt(FakeDaemon())


def test_a_stopwatch_shows_the_time_since_its_start(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1795452145.803269)
    assert prompt.good("time -start a,b") == (
        'stopwatch "a" started 1795452145.803269\nstopwatch "b" started 1795452145.803269\n'
    )
    prompt.now_s += 3
    assert prompt.good("time -now -elapsed a") == "1795452145.803269\n3.000000\n"
    prompt.now_s += 1
    assert prompt.good("time -stop a,b") == ('stopwatch "a" stopped at 4.000000\nstopwatch "b" stopped at 4.000000\n')
    assert "'a' was not started" in prompt.bad("time -elapsed a")


def test_a_pause_takes_a_duration(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    prompt.good("time -sleep 0.5")
    prompt.good("time -sleep 20ms")
    assert slept == [0.5, 0.02]
    assert "duration" in prompt.bad("time -sleep long", 2)


def test_without_flags_they_say_how_to_use_them(prompt: Prompt) -> None:
    assert "time -h" in prompt.bad("time", 2)
    assert "log -h" in prompt.bad("log", 2)


def test_messages_go_to_the_log(prompt: Prompt, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "memtierd")
    assert prompt.good("log -i one -d two -e '100% of three'") == ""
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "one"),
        ("DEBUG", "two"),
        ("ERROR", "100% of three"),
    ]


def test_a_fatal_message_ends_memtierd(prompt: Prompt, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as raised:
        prompt.run("log -f bye")
    assert raised.value.code == 1
    assert caplog.messages == ["bye"]


def test_output_is_copied_captured_and_let_go_again(prompt: Prompt, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "memtierd")
    prompt.good("log -copy -prefix '> '")
    assert prompt.good("tracker -ls") != ""
    copied = list(caplog.messages)
    assert copied
    assert all(message.startswith("> ") for message in copied)
    caplog.clear()
    prompt.good("log -capture")
    assert prompt.good("tracker -ls") == ""
    assert caplog.messages == copied
    prompt.good("log -off")
    caplog.clear()
    assert prompt.good("tracker -ls") != ""
    assert caplog.messages == []


def test_a_prefix_needs_something_to_stand_before(prompt: Prompt) -> None:
    assert "log -copy" in prompt.bad("log -prefix x")
    assert "exclude each other" in prompt.bad("log -copy -off", 2)
