"""Where in the operator's file a piece of text stands, also when it stands in a text inside that file."""

from collections.abc import Callable
from typing import Any

import attrs

from memtierd.config.problems import Invalid, Place, Problem

MAX_BYTES = 1 << 20
"""Size of all files together; all texts inside them together may have as many characters again."""
MAX_LINE_CHARACTERS = 1 << 17
"""Longest line: ruamel.yaml takes a time for a tag that grows with the square of its length (16 s for a megabyte)."""
MAX_NODES = 20_000
"""Scalars, lists and mappings in all files and in the texts inside them, each alias counted as what it stands for."""
MAX_DEPTH = 32
"""Lists and mappings around a value, within one text."""
MAX_TEXT_LEVELS = 5
"""Texts around a text."""

Locate = Callable[[int, int], Place]
"""From line and column (both from 0) in a text to the place in the file."""


@attrs.define(eq=False)
class Budget:
    """What one load may still use; shared by a file, its drop-ins, and all texts inside them."""

    characters: int = 2 * MAX_BYTES
    nodes: int = MAX_NODES

    def take_characters(self, count: int, place: Place) -> None:
        """Raise Invalid at `place` when `count` more characters are too many."""
        self.characters -= count
        if self.characters < 0:
            raise Invalid(
                [Problem(place, "too much text, counting texts inside texts", f"at most {MAX_BYTES >> 10} KiB")]
            )

    def take_nodes(self, count: int, place: Place) -> None:
        """Raise Invalid at `place` when `count` more nodes are too many."""
        self.nodes -= count
        if self.nodes < 0:
            expected = f"at most {MAX_NODES} values, each alias counted as what it stands for"
            raise Invalid([Problem(place, "too many values", expected)])


@attrs.frozen(eq=False)
class Source:
    """One text to parse: the file, or a text inside it."""

    text: str
    locate: Locate
    budget: Budget
    level: int = 0
    """How many texts are around this one."""


def file_source(text: str, file: str = "", budget: Budget | None = None) -> Source:
    """Return the source for a whole file or a prompt argument; a drop-in says which, and shares the budget."""
    return Source(text, lambda line, column: Place(line + 1, column + 1, file=file), budget or Budget())


def inner_source(outer: Source, text: str, locate: Locate) -> Source:
    """Return the source for `text`, the value of a scalar of `outer`.  Raises Invalid when a limit is exceeded."""
    if outer.level >= MAX_TEXT_LEVELS:
        raise Invalid(
            [Problem(locate(0, 0), "a text nested too deeply", f"at most {MAX_TEXT_LEVELS} texts inside texts")]
        )
    outer.budget.take_characters(len(text), locate(0, 0))
    return Source(text, locate, outer.budget, outer.level + 1)


def locate_in_lines(outer: Source, first_line: int, offsets: list[int]) -> Locate:
    """Return an exact Locate for a text whose line i begins at column offsets[i] of line first_line + i of `outer`."""

    def locate(line: int, column: int) -> Place:
        offset = offsets[line] if line < len(offsets) else 0
        return outer.locate(first_line + line, offset + column)

    return locate


def locate_in_words(start: Place) -> Locate:
    """Return a Locate for a text that was unfolded or unescaped: the place where it starts, the rest in words."""

    def locate(line: int, column: int) -> Place:
        inside = f"line {line + 1}, column {column + 1} of the text that begins here"
        return attrs.evolve(start, inside=f"{inside}, {start.inside}" if start.inside else inside)

    return locate


def locate_literal(outer: Source, text: str, first_line: int) -> Locate | None:
    """Return an exact Locate for a ``|`` block whose content begins at `first_line` (from 0), if it is there."""
    lines = text.removesuffix("\n").split("\n")
    written = outer.text.split("\n")[first_line : first_line + len(lines)]
    if len(written) != len(lines) or not all(map(str.endswith, written, lines)):
        return None
    return locate_in_lines(outer, first_line, [len(w) - len(t) for w, t in zip(written, lines, strict=True)])


def locate_at_mark(outer: Source, mark: Any) -> Place:
    """Return the place of a mark of ruamel.yaml."""
    return outer.locate(mark.line, mark.column)
