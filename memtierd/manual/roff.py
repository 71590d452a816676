"""Manual pages in the man(7) macros, in plain ASCII."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import NoReturn

_COLUMNS = 78
_SPECIAL = {
    "\\": r"\e",
    "-": r"\-",
    "'": r"\(aq",
    "`": r"\(ga",
    "^": r"\(ha",
    "~": r"\(ti",
    '"': r"\(dq",
}
_MARKED = re.compile(r"`([^`]+)`|_([^_\s]+)_")
_SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=[A-Z0-9(\\])")

REQUESTS = frozenset({"TH", "SH", "SS", "PP", "TP", "RS", "RE", "EX", "EE"})
"""All requests that these pages use."""


def escaped(text: str) -> str:
    """Return `text` so that every character is shown as it is."""
    return "".join(_SPECIAL.get(character) or _ascii(character) for character in text)


def bold(text: str) -> str:
    """Return text to be typed as it is."""
    return rf"\fB{escaped(text)}\fR"


def italic(text: str) -> str:
    """Return what stands for something else."""
    return rf"\fI{escaped(text)}\fR"


def marked(text: str) -> str:
    """Return prose in which `this` is bold and _this_ is italic."""
    parts = []
    at = 0
    for found in _MARKED.finditer(text):
        parts.append(escaped(text[at : found.start()]))
        parts.append(bold(found[1]) if found[1] else italic(found[2]))
        at = found.end()
    return "".join(parts) + escaped(text[at:])


def _ascii(character: str) -> str:
    if character == "\n":
        _refuse("a line break", "one line")
    return character if " " <= character <= "~" else rf"\[u{ord(character):04X}]"


def _refuse(what: str, expected: str) -> NoReturn:
    raise ValueError(f"{what} in a manual page, expected {expected}")


class Page:
    """One page, written from top to bottom."""

    def __init__(self, title: str, section: int, source: str, manual: str) -> None:
        # No date: the page is the same whenever it is made, and the version says how old it is.
        self._lines = [f'.TH {title} {section} "" "{escaped(source)}" "{escaped(manual)}"']

    @property
    def text(self) -> str:
        """Return the page as far as it is written."""
        return "\n".join(self._lines) + "\n"

    def section(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f".SH {escaped(title)}")

    def subsection(self, title: str) -> None:
        """Begin a part of a section."""
        self._lines.append(f".SS {escaped(title)}")

    def paragraph(self, roff: str) -> None:
        """Add a paragraph, from what `marked` and the like have returned."""
        if not self._lines[-1].startswith((".SH", ".SS")):
            self._lines.append(".PP")
        self._lines += _filled(roff)

    def entry(self, tag: str, *roff: str) -> None:
        """Add an entry of a list: a tag, and what there is to say of it."""
        self._lines += [".TP", tag]
        for text in roff:
            self._lines += _filled(text)

    def indented(self) -> None:
        """Let what follows belong to the entry before, up to `back`."""
        self._lines.append(".RS")

    def back(self) -> None:
        """End what `indented` began."""
        self._lines.append(".RE")

    def example(self, lines: Iterable[str]) -> None:
        """Add lines that are shown as they are."""
        if not self._lines[-1].startswith((".SH", ".SS")):
            self._lines.append(".PP")
        self._lines += [".RS 4", ".EX", *(_guarded(escaped(line)) for line in lines), ".EE", ".RE"]


def _filled(roff: str) -> Iterator[str]:
    """Yield the source lines of running text; every sentence begins with a line of its own."""
    for sentence in _SENTENCE_END.split(roff):
        for line in textwrap.wrap(sentence, _COLUMNS, break_long_words=False, break_on_hyphens=False):
            yield _guarded(line)


def _guarded(line: str) -> str:
    """Return a line of text that is not taken for a request."""
    return rf"\&{line}" if line.startswith(".") else line


def problems(text: str) -> list[str]:
    """Return what is wrong with a page, by what these pages may have: requests, escapes, printable ASCII."""
    found = []
    depth = 0
    in_example = False
    for number, line in enumerate(text.splitlines(), 1):
        request = line[1:].split(" ")[0] if line.startswith(".") else ""
        if line.startswith("'") or (line.startswith(".") and request not in REQUESTS):
            found.append(f"line {number}: unknown request {line}")
        if not line.strip() and not in_example:
            found.append(f"line {number}: an empty line")
        if not line.isascii() or not line.isprintable():
            found.append(f"line {number}: more than printable ASCII")
        if re.sub(r"\\(e|&|-|\(aq|\(ga|\(ha|\(ti|\(dq|\[u[0-9A-F]{4,5}\]|f[BIR])", "", line).count("\\"):
            found.append(f"line {number}: unknown escape in {line}")
        depth += {"RS": 1, "RE": -1}.get(request, 0)
        in_example = request == "EX" or (in_example and request != "EE")
        if depth < 0:
            found.append(f"line {number}: .RE without .RS")
    found += ["a font that goes on"] if len(re.findall(r"\\f[BI]", text)) != text.count(r"\fR") else []
    return found + (["an .RS without .RE"] if depth else []) + ([".EX without .EE"] if in_example else [])
