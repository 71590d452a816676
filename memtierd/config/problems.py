"""Problems of a configuration: where, of which parameter, what is wrong and what was expected."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs

from memtierd.errors import ConfigError
from memtierd.text import printable

MAX_SHOWN = 60
"""Longest piece of the operator's own text that a message repeats, in characters."""


@attrs.frozen
class Place:
    """A place in the outermost text, counted from 1."""

    line: int
    column: int
    inside: str = ""
    """In words: where within the text that begins here, when that can't be said with line and column."""
    file: str = ""
    """The file, if it is another one than the one that all is about: a drop-in."""

    def text(self, path: str) -> str:
        """Return FILE:LINE:COLUMN, given the path of the file that all is about."""
        return f"{self.file or path}:{self.line}:{self.column}"


@attrs.frozen
class Problem:
    """One thing that is wrong."""

    place: Place
    problem: str
    expected: str
    path: tuple[str, ...] = ()
    """Keys from the outermost mapping to the value, in the seed's lower-case spelling."""

    def under(self, key: str) -> "Problem":
        """Return the same problem as seen from the mapping or list that holds it at `key`."""
        return attrs.evolve(self, path=(key, *self.path))


class Invalid(Exception):  # noqa: N818 (never leaves this package: it becomes a ConfigError)
    """A value can't be used; `problems` says all reasons."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


@attrs.frozen
class Collected:
    """Problems gathered from several values, so that one bad value doesn't hide the others."""

    problems: list[Problem] = attrs.field(factory=list)

    def add(self, place: Place, problem: str, expected: str, *path: str) -> None:
        """Add one problem."""
        self.problems.append(Problem(place, problem, expected, path))

    @contextmanager
    def under(self, *path: str) -> Iterator[None]:
        """Gather the problems of the value at `path` and go on."""
        try:
            yield
        except Invalid as invalid:
            for found in invalid.problems:
                self.problems.append(attrs.evolve(found, path=path + found.path))

    def finish(self) -> None:
        """Raise Invalid when anything was gathered."""
        if self.problems:
            raise Invalid(self.problems)


def shortened(text: str) -> str:
    """Return `text` printable and not longer than a message can bear."""
    shown = printable(text[: MAX_SHOWN + 1])
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "…"


def quoted(text: str) -> str:
    """Return the operator's own text as a message shows it."""
    return f"'{shortened(text)}'"


def config_error(origin: str, problems: Iterable[Problem]) -> ConfigError:
    """Return the error for all problems of the text that `origin` names, in the order of the text and its drop-ins.

    What is wrong with one value in one way is told once, also when two looked at it: a short form and its watcher.
    """
    different = {(found.place, found.path, found.problem): found for found in problems}.values()
    ordered = sorted(different, key=lambda found: (found.place.file, found.place.line, found.place.column, found.path))
    return ConfigError([_line(origin, found) for found in ordered])


def _line(origin: str, found: Problem) -> str:
    path = "".join(f"{key}." for key in found.path)[:-1]
    inside = f" (at {found.place.inside})" if found.place.inside else ""
    named = f"{path}: " if path else ""
    return f"{printable(found.place.text(origin))}: {named}{found.problem}, expected {found.expected}{inside}"
