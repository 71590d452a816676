"""YAML (and so JSON) text to a tree whose nodes know their place, within limits of depth and number.

ruamel.yaml scans and parses; the tree is built here from its events, without recursion, so that endless nesting
and aliases of aliases are stopped while they are read.  Tags, keys and types are judged where the tree is used.
"""

import re
from collections.abc import Callable
from typing import Any

import attrs
from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError

from memtierd.config.places import (
    MAX_DEPTH,
    MAX_LINE_CHARACTERS,
    Source,
    inner_source,
    locate_at_mark,
    locate_in_lines,
    locate_in_words,
    locate_literal,
)
from memtierd.config.problems import Invalid, Place, Problem, quoted
from memtierd.config.scalars import Value, resolve

# What YAML allows, without the line breaks that only YAML 1.1 knew (they would shift lines) and byte order marks.
FORBIDDEN = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+(?:#[^\n]*\s*)*)*")
_SYNTAX = "the syntax of YAML 1.2 or JSON"


@attrs.frozen(eq=False, kw_only=True)
class Node:
    """What all nodes have: place, tag, and how much they stand for."""

    place: Place
    tag: str | None = None
    nodes: int = 1
    """This node and all below it, aliases expanded."""
    height: int = 0
    """Most lists and mappings on a way down, this one included."""


@attrs.frozen(eq=False, kw_only=True)
class Scalar(Node):
    """A value that is neither list nor mapping."""

    value: Value
    raw: str
    """The text as YAML understood it, without quotes."""
    inner: Callable[[], Source]
    """Gives the source to parse the text as a configuration of its own."""


@attrs.frozen(eq=False, kw_only=True)
class Sequence(Node):
    """A list."""

    items: list[Node]


@attrs.frozen(eq=False, kw_only=True)
class Mapping(Node):
    """A mapping; keys may repeat and may be anything, that is judged later."""

    entries: list[tuple[Node, Node]]


def parse(source: Source) -> Node:
    """Return the root of the one document in `source`; an empty text is a Scalar None.

    Raises Invalid with the first error of syntax, or when a limit is exceeded.
    """
    _check_characters(source)
    builder = _Builder(source)
    try:
        for event in YAML(typ="safe", pure=True).parse(source.text):
            builder.take(event)
    except MarkedYAMLError as error:
        raise Invalid([_syntax_problem(source, error)]) from error
    except (ValueError, OverflowError, NotImplementedError, AssertionError) as error:
        # ruamel.yaml on a character number that doesn't exist ("\UFFFFFFFF"), and on states it thinks impossible
        problem = f"unreadable YAML after this place ({quoted(str(error))})"
        raise Invalid([Problem(builder.last_place, problem, _SYNTAX)]) from error
    if builder.root is None:
        return Scalar(place=source.locate(0, 0), value=None, raw="", inner=lambda: source)
    return builder.root


def _check_characters(source: Source) -> None:
    for line, text in enumerate(source.text.split("\n")):
        if len(text) > MAX_LINE_CHARACTERS:
            place = source.locate(line, MAX_LINE_CHARACTERS)
            raise Invalid([Problem(place, "the line is too long", f"at most {MAX_LINE_CHARACTERS} characters")])
    found = FORBIDDEN.search(source.text)
    if found:
        line = source.text.count("\n", 0, found.start())
        column = found.start() - (source.text.rfind("\n", 0, found.start()) + 1)
        problem = f"the character U+{ord(found[0]):04X}"
        raise Invalid([Problem(source.locate(line, column), problem, "printable text")])


def _syntax_problem(source: Source, error: Any) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = locate_at_mark(source, mark)
    lines = source.text.split("\n")
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        return Problem(place, "a tab", "spaces")
    said = "; ".join(str(part) for part in (error.context, error.problem) if part)
    return Problem(place, f"broken YAML: {' '.join(said.split())}", _SYNTAX)


@attrs.define(eq=False)
class _Open:
    """A list or mapping whose end was not met yet."""

    event: Any
    place: Place
    children: list[Node] = attrs.field(factory=list)
    nodes: int = 1
    height: int = 1

    @property
    def awaits_value(self) -> bool:
        """Whether the next node is the value of a mapping's key."""
        return isinstance(self.event, yaml_events.MappingStartEvent) and len(self.children) % 2 == 1


class _Builder:
    """Builds the tree of one text from the parser's events."""

    def __init__(self, source: Source) -> None:
        self.root: Node | None = None
        self.last_place = source.locate(0, 0)
        self._source = source
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        """Add what `event` says."""
        self.last_place = place = locate_at_mark(self._source, event.start_mark)
        match event:
            case yaml_events.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise Invalid([Problem(place, "a second document", "only one in a file")])
            case yaml_events.ScalarEvent():
                self._source.budget.take_nodes(1, place)
                self._add(self._scalar(event, place), event.anchor)
            case yaml_events.AliasEvent():
                self._add(self._alias(event, place), None)
            case yaml_events.CollectionStartEvent():
                self._start(event, place)
            case yaml_events.CollectionEndEvent():
                self._end()

    def _start(self, event: Any, place: Place) -> None:
        self._source.budget.take_nodes(1, place)
        if len(self._open) >= MAX_DEPTH:
            raise Invalid([_too_deep(place)])
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(event, place))

    def _end(self) -> None:
        opened = self._open.pop()
        common = {"place": opened.place, "tag": opened.event.tag, "nodes": opened.nodes, "height": opened.height}
        node: Node
        if isinstance(opened.event, yaml_events.MappingStartEvent):
            pairs = zip(opened.children[::2], opened.children[1::2], strict=True)
            node = Mapping(entries=list(pairs), **common)
        else:
            node = Sequence(items=opened.children, **common)
        self._add(node, opened.event.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        around = self._open[-1]
        around.children.append(node)
        around.nodes += node.nodes
        around.height = max(around.height, node.height + 1)

    def _alias(self, event: Any, place: Place) -> Node:
        name = f"*{event.anchor}"
        target = self._anchors.get(event.anchor)
        if target is None:
            inside = event.anchor in self._anchors
            problem = f"the alias {quoted(name)} {'inside what it stands for' if inside else 'of an unknown anchor'}"
            raise Invalid([Problem(place, problem, "an alias of an anchor before it")])
        self._source.budget.take_nodes(target.nodes, place)
        if len(self._open) + target.height > MAX_DEPTH:
            raise Invalid([_too_deep(place)])
        return target

    def _scalar(self, event: Any, place: Place) -> Scalar:
        plain = event.style in {None, ""}
        if plain and not event.value and self._open and self._open[-1].awaits_value:
            place = self._open[-1].children[-1].place  # ruamel.yaml puts an empty value at the next token
        source = self._source

        def inner() -> Source:
            return _text_inside(source, event, place)

        value = resolve(event.value) if plain else event.value
        return Scalar(place=place, tag=event.tag, value=value, raw=event.value, inner=inner)


def _too_deep(place: Place) -> Problem:
    return Problem(place, "lists and mappings nested too deeply", f"at most {MAX_DEPTH} levels")


def _text_inside(source: Source, event: Any, place: Place) -> Source:
    """Return the source for a scalar's text, with exact places wherever the text stands in the file as it is."""
    start, end = event.start_mark, event.end_mark
    locate = locate_in_words(place)
    if event.style == "|":
        properties = _PROPERTIES.match(source.text, start.index)
        header_end = properties.end() if properties else start.index
        first_line = start.line + source.text.count("\n", start.index, header_end) + 1
        locate = locate_literal(source, event.value, first_line) or locate
    else:
        quotes = 1 if event.style in {"'", '"'} else 0
        if source.text[start.index + quotes : end.index - quotes] == event.value and "\n" not in event.value:
            locate = locate_in_lines(source, start.line, [start.column + quotes])
    return inner_source(source, event.value, locate)
