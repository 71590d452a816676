"""Flags: how they are written, what is wrong with them, and how they are explained."""

import contextlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import AddressRange
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import ADDRESS, COUNT, DURATION, FORMAT, PFN, PIDS, RANGES, REST, SWITCH, TEXT, parse_range


@attrs.frozen(kw_only=True)
class Options:
    """Flags of every kind."""

    pids: tuple[int, ...] = flag(PIDS, "some processes", default=())
    in_: bool = flag(SWITCH, "swap in", default=False)
    page_count: int | None = flag(COUNT, "a number")
    text: str | None = flag(TEXT, "a text", metavar="JSON")
    f: str = flag(FORMAT, "a format", default="txt")
    dump: tuple[str, ...] | None = flag(REST, "the rest")


def run(_context: Context, _options: Options) -> None:
    """Do nothing."""


COMMAND = Command("thing", "do things", run, Options)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], Options()),
        (["-in"], Options(in_=True)),
        (["--in"], Options(in_=True)),
        (["-in=false"], Options(in_=False)),
        (["-in=T"], Options(in_=True)),
        (["-page-count", "3"], Options(page_count=3)),
        (["--page-count=3"], Options(page_count=3)),
        (["-text", "-in"], Options(text="-in")),
        (["-text="], Options(text="")),
        (["-text=a=b"], Options(text="a=b")),
        (["-pids", "1,2, 3"], Options(pids=(1, 2, 3))),
        (["-in", "-f", "csv", "-f", "json"], Options(in_=True, f="json")),
        (["-dump", "a", "-in", "b"], Options(dump=("a", "-in", "b"))),
        (["-dump"], Options(dump=())),
        (["-in", "--"], Options(in_=True)),
    ],
)
def test_flags(words: list[str], options: Options) -> None:
    assert COMMAND.parse(words) == options


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["-in", "-h"]])
def test_help_is_asked_for(words: list[str]) -> None:
    assert COMMAND.parse(words) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-zzz"], "unknown flag -zzz; thing -h lists the flags"),
        (["-pid", "3"], "unknown flag -pid; perhaps -pids; thing -h lists the flags"),
        (["-text"], "flag -text needs a value: -text JSON"),
        (["-in=maybe"], "flag -in: invalid value 'maybe', expected true or false"),
        (["-pids", "abc"], "flag -pids: invalid pid 'abc', expected a number from 1 to 4194303"),
        (["-pids", ","], "flag -pids: empty list, expected pids separated by commas"),
        (["-page-count", "-1"], "flag -page-count: invalid count '-1', expected a number 0 or more"),
        (["-f", "xml"], "flag -f: unknown format 'xml', expected txt, csv, json"),
        (
            ["42"],
            "unexpected argument '42'; flags begin with -, and the items of a list are separated by commas",
        ),
        (["-"], "unexpected argument '-'; flags begin with -, and the items of a list are separated by commas"),
    ],
)
def test_errors(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        COMMAND.parse(words)
    assert str(raised.value) == said


def test_usage_lists_the_flags_in_the_order_of_their_actions() -> None:
    assert COMMAND.usage() == (
        "thing: do things\n"
        "  -pids PID[,PID...]        some processes\n"
        "  -in                       swap in\n"
        "  -page-count N             a number\n"
        "  -text JSON                a text\n"
        "  -f txt|csv|json           a format\n"
        "  -dump ARGS                the rest\n"
    )


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("1000", 0x1000, 0x2000),
        ("0x1fff", 0x1000, 0x2000),
        ("1000-3000", 0x1000, 0x3000),
        ("3000-1000", 0x1000, 0x3000),
        ("1000-2fff", 0x1000, 0x2000),
        ("1000+8k", 0x1000, 0x3000),
        ("1000+1GiB", 0x1000, 0x1000 + (1 << 30)),
        ("1000+2M", 0x1000, 0x201000),
        ("1000+100", 0x1000, 0x1000),
        ("ffffffffffffffff+1T", (1 << 64) - 4096, (1 << 64) - 4096),
    ],
)
def test_ranges(text: str, start: int, end: int) -> None:
    assert parse_range(text) == AddressRange(start, end)


@pytest.mark.parametrize("text", ["zzz", "", "-", "1000-", "1000+", "1000+x", "1000-2000-3000", "1" * 17])
def test_bad_ranges(text: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        parse_range(text)


def test_other_kinds() -> None:
    assert DURATION.parse("1m") == 60.0
    assert ADDRESS.parse("0x7f00") == 0x7F00
    assert PFN.parse("12") == 12
    assert RANGES.parse("1000,3000+4k") == (AddressRange(0x1000, 0x2000), AddressRange(0x3000, 0x4000))


words = st.lists(
    st.sampled_from(["-", "--", "-h=", "-in", "-f", "-f=", "csv", "-pids", "1,2", "-dump", "-=", "=", "", "\x00"])
    | st.text(max_size=8),
    max_size=6,
)


@given(st.sampled_from([COMMAND, *COMMANDS.values()]), words)
def test_any_words_give_options_or_a_usage_error(command: Command, arguments: list[str]) -> None:
    with contextlib.suppress(UsageError):
        options = command.parse(arguments)
        assert options is None or isinstance(options, command.options)
