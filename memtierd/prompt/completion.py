"""What the word under the cursor may become: commands, flags, and the values that a flag takes."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from memtierd.prompt.grammar import Command, Flag, Kind


@attrs.frozen(order=True)
class Candidate:
    """One way to go on."""

    text: str
    """The whole word as it will stand."""
    shown: str = ""
    """How it is listed; empty: as its text."""


Values = Callable[[str, str], Iterable[tuple[str, str]]]
"""For what a kind completes ("pid", "node", "tracker", …) and how the value begins: each value, and what is said of it
such as a name."""


def complete(before: str, commands: Mapping[str, Command], values: Values) -> list[Candidate]:
    """Return the candidates for the last word of `before`, the text up to the cursor, ascending.

    A word that is quoted, or behind a pipe or a comment, has none: it is text, or the shell's.
    """
    if any(character in before for character in "|#'\"\\{["):
        return []
    *earlier, word = before.split(" ")
    words = [one for one in earlier if one]
    if not words:
        return [Candidate(name) for name in sorted(commands) if name.startswith(word)]
    command = commands.get(words[0])
    if command is None:
        return []
    return sorted(_argument(command, words[1:], word, values))


def _argument(command: Command, earlier: list[str], word: str, values: Values) -> list[Candidate]:
    flags = {one.name: one for one in command.flags}
    name, assigned, begun = word.partition("=")
    if assigned and name.startswith("-"):
        one = flags.get(name.lstrip("-"))
        return [] if one is None else _value(one.kind, begun, f"{name}=", values)
    last = flags.get(earlier[-1].lstrip("-")) if earlier and earlier[-1].startswith("-") else None
    if last is not None and not last.kind.is_switch:
        return _value(last.kind, word, "", values)
    return _flags(flags.values(), word)


def _flags(flags: Iterable[Flag], word: str) -> list[Candidate]:
    if word and not word.startswith("-"):
        return []
    dashes = "--" if word.startswith("--") else "-"
    names = [*(one.name for one in flags if one.name), "h"]
    return [Candidate(f"{dashes}{name}") for name in names if f"{dashes}{name}".startswith(word)]


def _value(kind: Kind, begun: str, prefix: str, values: Values) -> list[Candidate]:
    """Return how a value, or the last item of a list, may go on: by its own text or by its name."""
    head, comma, last = begun.rpartition(",") if kind.is_list else ("", "", begun)
    taken = set(head.split(",")) if comma else set()
    before = f"{prefix}{head}{comma}"
    known = [(choice, "") for choice in kind.choices] if kind.choices else values(kind.completes, last)
    return [
        Candidate(f"{before}{text}", f"{text} ({name})" if name else text)
        for text, name in known
        if text not in taken and (text.startswith(last) or (last and name.startswith(last)))
    ]


def files(begun: str) -> Iterator[tuple[str, str]]:
    """Yield the paths that begin so; that of a directory ends in a slash."""
    for path in glob.iglob(f"{glob.escape(begun)}*"):
        yield (f"{path}/" if os.path.isdir(path) else path), ""
