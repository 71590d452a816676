"""What differs between two configurations, value by value, in the words of the file."""

import enum
import json
from collections.abc import Iterator
from typing import Any

import attrs

from memtierd.config.keys import key_of
from memtierd.config.policies import SHORT_FORMS
from memtierd.parameters import MANY_KEY, Part
from memtierd.policies.common import PolicyParams


@attrs.frozen
class Change:
    """One value that is another now."""

    path: str
    """Where it is in the file, such as policy.tracker.scanintervalms; the keys `config` are left out."""
    before: str | None
    """As it would be written in the file; None: it was not there."""
    after: str | None

    def __str__(self) -> str:
        return f"{self.path} {_shown(self.before)} → {_shown(self.after)}"


def changes(before: Any, after: Any, path: str = "") -> list[Change]:
    """Return what differs between two parameter trees (attrs instances, Parts, or tuples of them), in file order."""
    old, new = dict(values(before, path)), dict(values(after, path))
    paths = dict.fromkeys((*new, *old))
    return [Change(at, old.get(at), new.get(at)) for at in paths if old.get(at) != new.get(at)]


def values(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every value in a parameter tree."""
    if isinstance(tree, Part):
        yield below(path, "name"), tree.name
        yield from values(tree.params, path)
    elif attrs.has(type(tree)):
        for field in attrs.fields(type(tree)):
            value = getattr(tree, field.name)
            has_no_parts = field.metadata.get(MANY_KEY) and not value
            if not has_no_parts and not (isinstance(tree, PolicyParams) and field.name in SHORT_FORMS):
                yield from values(value, below(path, key_of(field.name)))
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from values(value, below(path, str(key)))
    elif isinstance(tree, tuple) and any(map(has_values, tree)):
        for number, item in enumerate(tree):
            yield from values(item, below(path, str(number)))
    elif tree is not None:
        yield path, _text(tree)


def has_values(value: Any) -> bool:
    """Return whether `value` is a part or parameters, or a tuple of them, and no value itself."""
    if isinstance(value, tuple):
        return any(map(has_values, value))
    return attrs.has(type(value))


def below(path: str, key: str) -> str:
    """Return the path of what has this key in what is at `path`."""
    return f"{path}.{key}" if path else key


def _text(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    return value if isinstance(value, str) else json.dumps(value)


def _shown(text: str | None) -> str:
    return "(not set)" if text is None else text
