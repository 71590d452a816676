"""What a person sees in a window, and what programs get instead."""

import io
import os
import re

import pytest

from memtierd.prompt.fitting import fitted
from memtierd.prompt.output import Output
from memtierd.prompt.region_rows import Choice, region_table
from memtierd.prompt.tables import Column, from_rows, write_table
from memtierd.prompt.window import Window, window_of
from memtierd.regions.lifecycle import PLACEMENT, age_activity
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt, process_scan, scan

CELLS = ["pid 4242", "idle    ", "a text that is long enough to go on below"]
PLAIN = ["", "", ""]


def fit(columns: int, *, ends_in_text: bool) -> str:
    return fitted(CELLS, PLAIN, Window(columns), ends_in_text=ends_in_text)


def test_a_row_that_fits_is_left_alone() -> None:
    whole = " ".join(CELLS)
    assert fitted(CELLS, PLAIN, Window(), ends_in_text=True) == whole
    assert fit(len(whole), ends_in_text=True) == whole


@pytest.mark.parametrize("columns", range(1, len(" ".join(CELLS))))
def test_a_row_that_is_too_wide_is_cut_with_a_mark(columns: int) -> None:
    shown = fit(columns, ends_in_text=False)
    assert shown.endswith("…")
    assert " ".join(CELLS).startswith(shown[:-1])
    assert columns - 1 <= len(shown) <= columns  # a space before the mark is left out


def test_text_at_the_end_goes_on_below_itself() -> None:
    assert fit(44, ends_in_text=True).split("\n") == [
        "pid 4242 idle     a text that is long enough",
        "                  to go on below",
    ]


def test_text_that_would_get_too_little_room_is_cut() -> None:
    shown = fit(30, ends_in_text=True)
    assert "\n" not in shown
    assert len(shown) == 30


def test_spaces_at_the_end_are_not_what_is_too_wide() -> None:
    assert fitted(["a", "b   "], ["", ""], Window(3), ends_in_text=False).rstrip() == "a b"


def test_colours_take_no_room() -> None:
    coloured = fitted(CELLS, ["", "blue", "red"], Window(44, has_colours=True), ends_in_text=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == fit(44, ends_in_text=True)
    assert "\x1b[34midle    \x1b[0m" in coloured
    cut = fitted(CELLS, ["", "blue", "red"], Window(25, has_colours=True), ends_in_text=False)
    assert re.sub(r"\x1b\[\d+m", "", cut) == fit(25, ends_in_text=False)


def test_only_states_that_exist_have_colours() -> None:
    daemon = FakeDaemon()
    table = region_table(daemon.reconciler, Choice(None, (), (), None))
    states = set(age_activity().declaration.states) | set(PLACEMENT.declaration.states)
    coloured = {value for column in table.columns for value in column.colours}
    assert coloured
    assert coloured <= states


def test_what_is_no_terminal_has_no_window() -> None:
    out = Output(io.StringIO())
    assert window_of(out) == Window()
    assert Window().width(100) == 100
    assert Window(60).width(100) == 60


def test_a_table_in_a_file_is_neither_cut_nor_coloured() -> None:
    out = io.StringIO()
    table = from_rows((Column("state", "state", "%-300s", colours={"works": "green"}),), [("works",)])
    write_table(out, table, "txt")
    assert out.getvalue() == f"{'state':<300}\n{'works':<300}\n"


def test_whole_lines_go_into_a_pipe_at_once() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(writer, "w", encoding="utf-8") as stream:
        out = Output(stream, by_line=True)
        out.write("a line\nand a ")
        out.write("half")
        assert os.read(reader, 100).startswith(b"a line\n")
    os.close(reader)


EVIL = "\x1b[31me\nv\til\x07\u202e"
COMMANDS = (
    "regions",
    "regions -f csv",
    "regions -f json",
    "regions -why 7f0000000000",
    "plan -now",
    "plan -f csv",
    "plan -f json",
    "stats",
    "stats -t events,memory_scans,move_pages,outcomes",
    "top -count 1",
    "tracker -counters",
    "health",
)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_process_can_not_send_the_terminal_what_it_likes(line: str) -> None:
    daemon = FakeDaemon()
    for at_s in (1.0, 2.0, 200.0):
        daemon.reconciler.observe(scan(process_scan([1, 0], at_s, name=EVIL)))
    daemon.tracker_name = "softdirty"
    _, out, err = Prompt(daemon).run(line)
    assert out
    assert all(text.isprintable() for text in (out + err).split("\n"))


def test_words_that_are_said_again_are_printable() -> None:
    prompt = Prompt(FakeDaemon())
    for line in ("time -start 'a\x1bb'", "bogus\x1b", "nop -\x1b", "help '\x1b'"):
        _, out, err = prompt.run(line)
        assert all(text.isprintable() for text in (out + err).split("\n"))
