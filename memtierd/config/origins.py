"""Where each value of a configuration comes from: a place in the file, a default, or the prompt."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from memtierd.config import tree
from memtierd.config.compare import below, has_values, values
from memtierd.config.defaults import defaults
from memtierd.config.keys import key_of, normalized
from memtierd.config.leaves import is_nothing
from memtierd.config.loader import ConfigFile, parse_documents
from memtierd.config.policies import SHORT_FORMS
from memtierd.config.problems import Place
from memtierd.parameters import Part
from memtierd.policies.common import PolicyParams

DEFAULT = "default"
PROMPT = "prompt"


@attrs.frozen
class Setting:
    """One value that is in force."""

    path: str
    value: str
    origin: str
    """"default", "prompt", or FILE:LINE:COLUMN."""


def settings(effective: Any, file: ConfigFile | None, default_part: Callable[[str, str], Any]) -> list[Setting]:
    """Return every value of a parameter tree with its origin, in the order of a file.

    A value that is the same as in the file that was loaded is the file's, or a default when the file doesn't give
    it.  Parts that the file doesn't have, or has by another name, owe nothing to it.
    """
    in_force = dict(values(effective))
    in_file = _of_same_parts(in_force, dict(values(file.config))) if file else {}
    written = {path: place_text(file.path, place) for path, place in places(file)} if file else {}
    by_default = dict(defaults(effective, default_part))

    def origin(path: str, text: str) -> str:
        if path in in_file:
            return written.get(path, DEFAULT) if in_file[path] == text else PROMPT
        return DEFAULT if by_default.get(path) == text else PROMPT

    return [Setting(path, text, origin(path, text)) for path, text in in_force.items()]


def _of_same_parts(in_force: dict[str, str], in_file: dict[str, str]) -> dict[str, str]:
    """Return the values of the file without those of parts that are others now."""
    others = [
        path.removesuffix("name")
        for path, name in in_file.items()
        if path.endswith(".name") and in_force.get(path) not in {name, None}
    ]
    return {path: text for path, text in in_file.items() if not path.startswith(tuple(others))}


def place_text(path: str, place: Place) -> str:
    """Return a place in a file as messages show it."""
    inside = f" (at {place.inside})" if place.inside else ""
    return f"{place.text(path)}{inside}"


def places(file: ConfigFile) -> Iterator[tuple[str, Place]]:
    """Yield the path of every value that the file gives, and where it is written."""
    yield from _places(parse_documents(file.documents), file.config, "")


def _places(node: tree.Node, value: Any, path: str) -> Iterator[tuple[str, Place]]:
    """Walk along a tree of nodes and what was made of it."""
    if isinstance(value, Part):
        entries = _entries(node)
        if "name" in entries:
            yield below(path, "name"), entries["name"].place
        if "config" in entries:
            yield from _places(entries["config"], value.params, path)
    elif attrs.has(type(value)):
        yield from _places_of_fields(_entries(_opened(node)), value, path)
    elif isinstance(value, dict) and isinstance(node, tree.Mapping):
        for key, inner in node.entries:
            number = int(key.raw) if isinstance(key, tree.Scalar) else -1
            yield from _places(inner, value.get(number), below(path, str(number)))
    elif has_values(value) and isinstance(node, tree.Sequence):
        for number, (item, inner_value) in enumerate(zip(node.items, value, strict=True)):
            yield from _places(item, inner_value, below(path, str(number)))
    else:
        yield path, node.place


def _places_of_fields(entries: dict[str, tree.Node], params: Any, path: str) -> Iterator[tuple[str, Place]]:
    short_forms = SHORT_FORMS if isinstance(params, PolicyParams) else {}
    for field in attrs.fields(type(params)):
        key = key_of(field.name)
        if key not in entries or is_nothing(entries[key]):
            continue
        if field.name in short_forms:
            for short in ("name", key):
                yield below(path, f"pidwatcher.{short}"), entries[key].place
        else:
            yield from _places(entries[key], getattr(params, field.name), below(path, key))


def _entries(node: tree.Node) -> dict[str, tree.Node]:
    if not isinstance(node, tree.Mapping):
        return {}
    return {normalized(key.raw): value for key, value in node.entries if isinstance(key, tree.Scalar)}


def _opened(node: tree.Node) -> tree.Node:
    """Return the tree in a text that holds a configuration; any other node as it is."""
    if isinstance(node, tree.Scalar) and isinstance(node.value, str):
        return tree.parse(node.inner())
    return node
