"""Splitting a command line into words and the shell command behind its pipe."""

import attrs

from memtierd.errors import CommandError

_CLOSING = {"{": "}", "[": "]"}
_STRING_MAY_START_AFTER = frozenset("{[,:")
"""In YAML's flow style a ' is a quote only where a value or a key begins; elsewhere it is an apostrophe."""


@attrs.frozen
class Line:
    """A command line taken apart."""

    words: tuple[str, ...]
    shell: str | None
    """What is behind the first pipe, for ``sh -c``; None without a pipe."""


def parse_line(text: str) -> Line:
    """Return the words of a command line.

    White space separates words.  Inside '…' everything is literal; inside "…" and outside of quotes a backslash
    makes the next character literal.  A word, or the value behind ``-flag=``, that begins with ``{`` or ``[``
    goes on to the matching bracket, with its quotes and backslashes kept, so JSON needs no quoting.  ``#`` at the
    start of a word begins a comment.  Raises CommandError.
    """
    if "\0" in text:
        raise CommandError("the command holds a NUL character")
    return _Reader(text).line()


class _Reader:
    """Walks over one line; `at` is the next character to read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def line(self) -> Line:
        words: list[str] = []
        while True:
            self._skip_space()
            if self._at == len(self._text) or self._peek() == "#":
                return Line(tuple(words), None)
            if self._peek() == "|":
                shell = self._text[self._at + 1 :].strip()
                if not shell:
                    raise CommandError("no shell command behind the pipe (|)")
                return Line(tuple(words), shell)
            words.append(self._word())

    def _peek(self) -> str:
        return self._text[self._at]

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._peek().isspace():
            self._at += 1

    def _word(self) -> str:
        pieces: list[str] = []
        while self._at < len(self._text):
            character = self._peek()
            if character.isspace() or character == "|":
                break
            if character in _CLOSING and _value_begins(pieces):
                pieces.append(self._bracketed())
            elif character == "'":
                pieces.append(self._single_quoted())
            elif character == '"':
                pieces.append(self._double_quoted())
            elif character == "\\":
                pieces.append(self._escaped())
            else:
                pieces.append(character)
                self._at += 1
        return "".join(pieces)

    def _escaped(self) -> str:
        self._at += 1
        if self._at == len(self._text):
            raise CommandError("the command ends behind a backslash; a character must follow")
        self._at += 1
        return self._text[self._at - 1]

    def _single_quoted(self) -> str:
        opened = self._at
        closing = self._text.find("'", opened + 1)
        if closing < 0:
            raise self._open("quote", opened)
        self._at = closing + 1
        return self._text[opened + 1 : closing]

    def _double_quoted(self) -> str:
        opened = self._at
        self._at += 1
        pieces: list[str] = []
        while self._at < len(self._text):
            if self._peek() == '"':
                self._at += 1
                return "".join(pieces)
            if self._peek() == "\\":
                pieces.append(self._escaped())
            else:
                pieces.append(self._peek())
                self._at += 1
        raise self._open("quote", opened)

    def _bracketed(self) -> str:
        """Return everything up to the bracket that closes the one here; brackets in strings don't count."""
        opened = self._at
        expected = []
        before = ""
        while self._at < len(self._text):
            character = self._peek()
            if character == '"' or (character == "'" and before in _STRING_MAY_START_AFTER):
                self._skip_string(character)
                before = character
                continue
            if character in _CLOSING:
                expected.append(_CLOSING[character])
            elif character in _CLOSING.values() and expected.pop() != character:
                raise CommandError(f"unexpected {character} at column {self._at + 1}; it closes no open bracket")
            self._at += 1
            if not expected:
                return self._text[opened : self._at]
            if not character.isspace():
                before = character
        raise self._open("bracket", opened)

    def _skip_string(self, quote: str) -> None:
        opened = self._at
        self._at += 1
        while self._at < len(self._text):
            character = self._peek()
            self._at += 2 if character == "\\" and quote == '"' else 1
            if character == quote:
                return
        raise self._open("quote", opened)

    def _open(self, what: str, opened: int) -> CommandError:
        return CommandError(f"the {what} {self._text[opened]} at column {opened + 1} is not closed")


def _value_begins(pieces: list[str]) -> bool:
    """Return whether a bracket behind these pieces of a word begins a value: at its start, or behind ``-flag=``."""
    return not pieces or (pieces[0] == "-" and pieces[-1] == "=" and pieces.count("=") == 1)
