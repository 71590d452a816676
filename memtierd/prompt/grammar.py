"""What a command is: one declaration that parses its arguments, explains them, and can be listed."""

import difflib
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from memtierd.errors import CommandError

if TYPE_CHECKING:
    from memtierd.prompt.context import Context

_FLAG_KEY = "memtierd.prompt.flag"
_HELP_FLAGS = ("h", "help")
_FLAG_COLUMNS = 28
HELP_COLUMNS = 100
"""How wide an explanation is where there is room."""


class UsageError(CommandError):
    """A flag or value is wrong; the command did nothing."""


@attrs.frozen
class Kind:
    """A type of values."""

    parse: Callable[[str], Any]
    """Returns the value; raises ValueError with a sentence that says what was expected."""
    metavar: str
    """What stands for the value in help; empty for a switch."""
    form: str = ""
    """What a value looks like, for the docs; empty: its metavar and the help of the flag say enough."""
    takes_rest: bool = False
    """All words to the end of the command belong to it; the parser gets them one by one."""
    choices: tuple[str, ...] = ()
    """All values there are, where they are known beforehand."""
    completes: str = ""
    """What its values name ("pid", "node", …), for completion; empty: nothing that is known."""
    is_list: bool = False
    """Values are separated by commas."""
    alone: str = ""
    """The value when none of `choices` follows, which only asks and changes nothing; empty: a value must follow."""
    repeats: bool = False
    """The flag may be given again and again; its field holds all values."""

    @property
    def is_switch(self) -> bool:
        """Return whether the flag stands alone: ``-x`` or ``-x=true``."""
        return not self.metavar


@attrs.frozen
class Flag:
    """One flag of a command, or (without a name) the words behind its flags."""

    name: str
    field: str
    kind: Kind
    help: str
    metavar: str
    changes: bool | None = None
    """Whether it changes something in the daemon or the machine, or makes the daemon run or write something; None:
    it was not declared, which counts as a change."""

    @property
    def spelling(self) -> str:
        """Return how it is written, with what stands for its value."""
        return f"-{self.name} {self.metavar}".rstrip() if self.name else f"[{self.metavar}]"


def flag(kind: Kind, text: str, *, metavar: str = "", default: Any = None, changes: bool | None = None) -> Any:
    """Return an attrs field for one flag; its name is the field's with ``-`` for ``_``, a ``_`` at the end dropped."""
    return attrs.field(default=default, metadata={_FLAG_KEY: (kind, text, metavar or kind.metavar, changes)})


def flags_of(options: type[Any]) -> tuple[Flag, ...]:
    """Return the flags of an options class, in the order of their actions."""
    return tuple(_flag_of(field) for field in attrs.fields(options))


def _flag_of(field: "attrs.Attribute[Any]") -> Flag:
    kind, text, metavar, changes = field.metadata[_FLAG_KEY]
    name = "" if field.name == "words" else field.name.rstrip("_").replace("_", "-")
    return Flag(name, field.name, kind, text, metavar, changes)


@attrs.frozen
class NoOptions:
    """The options of a command that has none."""


@attrs.frozen
class Command:
    """A command of the prompt."""

    name: str
    help: str
    """One line: what it is good for."""
    run: "Callable[[Context, Any], None]"
    """Gets an instance of `options`; writes to the context or raises MemtierdError."""
    options: type[Any] = NoOptions
    """An attrs class whose fields are made with `flag`, in the order in which their actions are taken."""
    examples: tuple[str, ...] = ()
    """Whole command lines."""
    changes: bool | None = None
    """Whether the command changes something (see `Flag.changes`) whatever its flags are; None: its flags tell."""

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Return the flags in the order of their actions."""
        return flags_of(self.options)

    def parse(self, words: Sequence[str]) -> Any:
        """Return the options that `words` (without the command's name) give, None when help is asked for.

        Flags are written as Go programs take them: -x, --x, -x VALUE, -x=VALUE.  Raises UsageError.
        """
        return _Parser(self).parse(words)

    def changing(self, options: Any) -> list[str]:
        """Return what in parsed options changes something (see `Flag.changes`): the flags, or the command itself."""
        if self.changes is not None:
            return [self.name] if self.changes else []
        defaults = {field.name: field.default for field in attrs.fields(self.options)}
        return [
            f"-{one.name}" if one.name else one.metavar
            for one in self.flags
            if one.changes is not False
            and getattr(options, one.field) not in (defaults[one.field], one.kind.alone or defaults[one.field])
        ]

    def usage(self, columns: int = HELP_COLUMNS) -> str:
        """Return the help text for lines of so many characters, with a newline at the end."""
        lines = textwrap.wrap(f"{self.name}: {self.help}", columns, subsequent_indent="  ")
        for one in self.flags:
            first = f"  {one.spelling}".ljust(_FLAG_COLUMNS - 1) + " "
            lines += textwrap.wrap(
                first + one.help, columns, subsequent_indent=" " * _FLAG_COLUMNS, break_on_hyphens=False
            )
        lines += ["examples:"] if self.examples else []
        lines += [f"  {example}" for example in self.examples]
        return "\n".join(lines) + "\n"


class _Parser:
    def __init__(self, command: Command) -> None:
        self._command = command
        self._flags = {one.name: one for one in command.flags}
        self._values: dict[str, Any] = {}

    def parse(self, words: Sequence[str]) -> Any:
        at = 0
        while at < len(words) and len(words[at]) > 1 and words[at].startswith("-"):
            at += 1
            if words[at - 1] == "--":
                break
            name, assigned, text = words[at - 1].lstrip("-").partition("=")
            if name in _HELP_FLAGS and name not in self._flags:
                return None
            at += self._take(self._known(name), text if assigned else None, words[at:])
        self._take_words(words[at:])
        return self._command.options(**self._values)

    def _known(self, name: str) -> Flag:
        if name and name in self._flags:
            return self._flags[name]
        raise UsageError(
            f"unknown flag -{name}; {_suggestion(name, self._flags)}{self._command.name} -h lists the flags"
        )

    def _take(self, one: Flag, assigned: str | None, following: Sequence[str]) -> int:
        """Read the value of a flag; return how many of the following words belong to it."""
        if one.kind.takes_rest:
            words = following if assigned is None else (assigned, *following)
            self._values[one.field] = tuple(self._value(one, word) for word in words)
            return len(following)
        if one.kind.is_switch:
            self._values[one.field] = True if assigned is None else self._value(one, assigned)
            return 0
        if one.kind.alone and assigned is None and not self._is_value(one, following[:1]):
            self._values[one.field] = one.kind.alone
            return 0
        if assigned is None and not following:
            raise UsageError(f"flag -{one.name} needs a value: -{one.name} {one.metavar}")
        value = self._value(one, following[0] if assigned is None else assigned)
        self._values[one.field] = (*self._values.get(one.field, ()), value) if one.kind.repeats else value
        return 1 if assigned is None else 0

    def _is_value(self, one: Flag, next_word: Sequence[str]) -> bool:
        """Return whether the next word is for a flag that can stand alone; a wrong one is if nothing else takes it."""
        if not next_word or next_word[0] in one.kind.choices:
            return bool(next_word)
        return "" not in self._flags and not next_word[0].startswith("-")

    def _take_words(self, words: Sequence[str]) -> None:
        if not words:
            return
        if "" in self._flags:
            self._take(self._flags[""], None, words)
            return
        raise UsageError(
            f"unexpected argument {words[0]!r}; flags begin with -, and the items of a list are separated by commas"
        )

    def _value(self, one: Flag, text: str) -> Any:
        try:
            return one.kind.parse(text)
        except ValueError as error:
            name = f"flag -{one.name}" if one.name else one.metavar
            raise UsageError(f"{name}: {error}") from error


def _suggestion(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, [one for one in known if one], n=1)
    return f"perhaps -{nearest[0]}; " if nearest else ""
