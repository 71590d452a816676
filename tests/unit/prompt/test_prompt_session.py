"""A session: statuses, pipes, ends, and what goes wrong."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memtierd.errors import CommandError
from memtierd.prompt import conversation as conversation_module
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.grammar import Command
from memtierd.prompt.session import Session
from memtierd.prompt.terminal import history_path
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt


@pytest.mark.parametrize(
    ("line", "status", "out", "err"),
    [
        ("", 0, "", ""),
        ("   # nothing", 0, "", ""),
        ("nop", 0, "", ""),
        ("q", 0, "quit.\n", ""),
        ("nop | echo from shell", 0, "from shell\n", ""),
        ("| echo alone", 0, "alone\n", ""),
        ("help nop q | wc -l", 0, "2\n", ""),
        ("nop -h", 0, "nop: do nothing\n", ""),
        ("nop -h | tr a-z A-Z", 0, "NOP: DO NOTHING\n", ""),
        ("nop | exit 3", 3, "", ""),
        ("nop | kill -9 $$", 137, "", ""),
        (
            "tracker -counters | cat",
            1,
            "",
            "tracker: no tracker, create one with: tracker -create NAME [-config CONFIG]\n",
        ),
        ("bogus", 2, "", "memtierd: unknown command 'bogus'; help lists the commands\n"),
        ("stat", 2, "", "memtierd: unknown command 'stat'; perhaps stats; help lists the commands\n"),
        ("help nope", 2, "", "help: unknown command 'nope'; perhaps nop; help lists the commands\n"),
        ("nop -x", 2, "", "nop: unknown flag -x; nop -h lists the flags\n"),
        ("nop -x | touch /nonexistent/must-not-run", 2, "", "nop: unknown flag -x; nop -h lists the flags\n"),
        ("nop 'a", 1, "", "memtierd: the quote ' at column 5 is not closed\n"),
    ],
)
def test_lines(prompt: Prompt, line: str, status: int, out: str, err: str) -> None:
    assert prompt.run(line) == (status, out, err)


def test_every_command_explains_itself_and_is_listed(prompt: Prompt) -> None:
    listed = prompt.good("help")
    for name, command in COMMANDS.items():
        assert command.name == name
        assert f"  {name} " in listed
        text = prompt.good(f"{name} -h")
        assert text.startswith(f"{name}: ")
        assert all(f"-{flag.name} " in text for flag in command.flags if flag.name)
        assert max(map(len, text.splitlines())) <= 120


def test_a_reader_that_leaves_early_is_no_failure(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(context: Any, _options: Any) -> None:
        context.lines(str(number) for number in range(200_000))

    monkeypatch.setitem(COMMANDS, "count", Command("count", "count", run))
    assert prompt.run("count | head -1") == (0, "0\n", "")


@pytest.mark.parametrize("count", [0, 1, 256, 1000])
def test_what_was_found_before_an_error_is_printed(count: int, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers() -> Iterator[str]:
        yield from map(str, range(count))
        raise CommandError("no more")

    monkeypatch.setitem(COMMANDS, "count", Command("count", "count", lambda context, _: context.lines(numbers())))
    assert prompt.run("count") == (1, "".join(f"{number}\n" for number in range(count)), "count: no more\n")


def test_a_bug_in_a_command_is_one_line_and_its_traceback_is_logged(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(_context: Any, _options: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(COMMANDS, "buggy", Command("buggy", "fail", run))
    assert prompt.run("buggy") == (70, "", "buggy: internal error: ZeroDivisionError: by zero\n")
    assert "Traceback" in caplog.text


def test_an_interrupt_ends_the_command_only(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_context: Any, _options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "slow", Command("slow", "wait", run))
    assert prompt.run("slow") == (130, "", "slow: interrupted\n")
    assert prompt.run("nop") == (0, "", "")


def test_a_text_ends_at_q_but_the_session_goes_on(prompt: Prompt) -> None:
    assert prompt.session.run_text("nop | echo 1\nq\nnop | echo 2") == 0
    assert prompt.session.run_text("nop | echo 3") == 0
    assert prompt.out.getvalue() == "1\nquit.\n3\n"


def test_the_status_of_a_text_is_that_of_its_last_failure(prompt: Prompt) -> None:
    assert prompt.session.run_text("nop | exit 5\nbogus\nnop") == 2
    assert prompt.session.run_text("bogus\nnop | exit 5\nnop") == 5


def test_files(prompt: Prompt, tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    commands.write_text("nop | echo one\n# comment\n\nnop | echo two")
    assert prompt.session.run_file(str(commands)) == 0
    assert prompt.out.getvalue() == "one\ntwo\n"
    missing = str(tmp_path / "missing")
    assert prompt.session.run_file(missing) == 1
    assert prompt.err.getvalue() == (
        f"memtierd: read commands from '{missing}': no such file or directory (ENOENT); give a readable file\n"
    )


def test_a_piped_loop_takes_the_last_line_without_newline_and_prints_no_prompt(prompt: Prompt) -> None:
    assert prompt.session.loop(io.StringIO("nop | echo 1\nbogus\nnop | echo 2")) == 0
    assert prompt.out.getvalue() == "1\n2\n"


def test_a_loop_ends_at_q(prompt: Prompt) -> None:
    prompt.session.loop(io.StringIO("q\nnop | echo no"))
    assert prompt.out.getvalue() == "quit.\n"


def test_echo(daemon: FakeDaemon) -> None:
    out = io.StringIO()
    session = Session(daemon, out, io.StringIO(), echo=True)
    session.loop(io.StringIO("nop\nnop | echo 1"))
    assert out.getvalue() == "memtierd> nop\nmemtierd> nop | echo 1\n1\n"


def test_bytes_that_are_no_text_do_no_harm(daemon: FakeDaemon) -> None:
    raw_out, raw_err = io.BytesIO(), io.BytesIO()
    session = Session(daemon, io.TextIOWrapper(raw_out, "ascii"), io.TextIOWrapper(raw_err, "ascii"))
    session.loop(io.TextIOWrapper(io.BytesIO(b"nop \xff\xfe\nhelp \xc3\xa4\n"), "utf-8"))
    assert raw_err.getvalue().count(b"\n") == 2


def test_an_output_without_reader_ends_the_session_quietly(daemon: FakeDaemon) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    err = io.StringIO()
    with open(writing, "w", encoding="utf-8") as out:
        session = Session(daemon, out, err)
        assert session.loop(io.StringIO("help\nbogus\n")) == 0
    assert err.getvalue() == ""


def test_the_history_is_kept_below_the_state_directory() -> None:
    assert history_path({"XDG_STATE_HOME": "/state"}) == "/state/memtierd/history"
    assert history_path({}).endswith("/.local/state/memtierd/history")


def test_a_terminal_gets_a_prompt_and_interrupts_and_end_are_handled(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed: Iterator[str | BaseException] = iter(["nop | echo 1", KeyboardInterrupt(), "bogus", EOFError()])
    prompts: list[str] = []

    def type_in(prompt: str) -> str:
        prompts.append(prompt)
        what = next(typed)
        if isinstance(what, BaseException):
            raise what
        return what

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(conversation_module, "input", type_in, raising=False)
    out, err = Terminal(), io.StringIO()
    assert Session(daemon, out, err, echo=True).loop(Terminal()) == 0
    assert prompts == ["memtierd> "] * 4
    assert out.getvalue() == "1\n\nquit: EOF\n"
    assert err.getvalue() == "memtierd: unknown command 'bogus'; help lists the commands\n"
    assert (tmp_path / "memtierd" / "history").exists()
