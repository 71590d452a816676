"""What the shells complete: the flags of each program, and what kind of value each takes."""

import enum

import attrs

from memtierd.flags import COMMAND_LINE
from memtierd.manual.meme_usage import MemeUsage
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.grammar import Flag


class Value(enum.Enum):
    """What a flag takes."""

    NONE = "nothing"
    TEXT = "something that no shell knows"
    WORD = "one of some words"
    FILE = "the path of a file"
    DIRECTORY = "the path of a directory"
    GROUP = "the name of a group of users"


_BY_METAVAR = {
    "FILE": Value.FILE,
    "PATH": Value.FILE,
    "DIR": Value.DIRECTORY,
    "GROUP": Value.GROUP,
}


@attrs.frozen
class ProgramFlag:
    """One flag of a program."""

    name: str
    """Without dashes."""
    help: str
    value: Value = Value.NONE
    metavar: str = ""
    words: tuple[str, ...] = ()
    """For Value.WORD: what it may be, or how it may begin."""


@attrs.frozen
class Program:
    """A program; it has flags and no other arguments."""

    name: str
    flags: tuple[ProgramFlag, ...]


def memtierd() -> Program:
    """Return the flags of memtierd."""
    return Program("memtierd", (*map(_flag, COMMAND_LINE.flags), ProgramFlag("h", "print the flags and end")))


def meme(usage: MemeUsage) -> Program:
    """Return the flags of meme."""
    return Program(
        "meme",
        tuple(
            ProgramFlag(flag.name, flag.help, Value.TEXT if flag.metavar else Value.NONE, flag.metavar)
            for flag in usage.flags
        ),
    )


def _flag(flag: Flag) -> ProgramFlag:
    words = tuple(COMMANDS) if flag.metavar == "COMMANDS" else flag.kind.choices
    value = Value.NONE if flag.kind.is_switch else Value.WORD if words else _BY_METAVAR.get(flag.metavar, Value.TEXT)
    return ProgramFlag(flag.name, flag.help, value, flag.metavar, words)
