"""The keys of a mapping: which fields they name, which are unknown, written twice or no keys at all."""

from collections.abc import Collection
from typing import Any

import attrs

from memtierd.config import tree
from memtierd.config.keys import Field, key_of, known_names, normalized
from memtierd.config.leaves import described, refuse_tag, wrong
from memtierd.config.problems import Collected, Place, quoted, shortened
from memtierd.config.scalars import INTEGER
from memtierd.parameters import FieldProblem

Entries = dict[str, tuple[tree.Scalar, tree.Node]]
"""What a mapping gives for each field: key and value as written."""


def empty(node: tree.Node) -> tree.Mapping:
    """Return a mapping that gives nothing, in the place of `node`."""
    return tree.Mapping(place=node.place, entries=[])


def add_field_problem(told: FieldProblem, node: tree.Node, entries: Entries, found: Collected) -> None:
    path = [key_of(told.field)] if told.field else []
    place, problem = node.place, told.problem or "wrong default"
    if path and path[0] in entries:
        value = entries[path[0]][1]
        place, problem = value.place, told.problem or f"got {described(value)}"
        if told.key is not None:
            place = _entry_place(value, told.key)
    if told.key is not None:
        path.append(str(told.key))
    found.add(place, problem, told.expected, *path)


def _entry_place(node: tree.Node, key: str | int) -> Place:
    if isinstance(node, tree.Sequence) and isinstance(key, int) and key < len(node.items):
        return node.items[key].place
    if isinstance(node, tree.Mapping):
        for key_node, _ in node.entries:
            if isinstance(key_node, tree.Scalar) and key_node.raw == str(key):
                return key_node.place
    return node.place


def fields_by_key(cls: type[Any]) -> dict[str, Field]:
    """Return the fields of an attrs class by key, their types resolved."""
    return {key_of(field.name): field for field in attrs.fields(attrs.resolve_types(cls))}


def entries_of(node: tree.Node, keys: Collection[str], expected: str) -> tuple[Entries, Collected]:
    """Return what the mapping `node` gives for each known key, and the problems with its keys."""
    refuse_tag(node)
    if not isinstance(node, tree.Mapping):
        raise wrong(node, expected)
    found = Collected()
    entries: Entries = {}
    for key_node, value in node.entries:
        if not isinstance(key_node, tree.Scalar) or key_node.tag:
            found.add(key_node.place, f"{described(key_node)} as a key", "a plain key")
            continue
        key = normalized(key_node.raw)
        if key_node.raw == "<<":
            found.add(key_node.place, "a merge key", "every key written out", "<<")
        elif key not in keys:
            found.add(key_node.place, "unknown key", known_names(key, keys), _shown_key(key_node))
        elif key in entries:
            first = entries[key][0].place
            of_file = f" of {first.file}" if first.file and first.file != key_node.place.file else ""
            problem = f"the same key as in line {first.line}, column {first.column}{of_file}"
            found.add(key_node.place, problem, "each key once", key)
        else:
            entries[key] = (key_node, value)
    return entries, found


def _shown_key(key_node: tree.Scalar) -> str:
    shown = shortened(key_node.raw)
    return shown if shown.strip() else quoted(shown)


def integer_key(node: tree.Node, found: Collected) -> int | None:
    """Return a key that is an integer; JSON can only write it as text."""
    if isinstance(node, tree.Scalar) and not node.tag and INTEGER.fullmatch(node.raw):
        return int(node.raw)
    found.add(node.place, f"{described(node)} as a key", "an integer key")
    return None
