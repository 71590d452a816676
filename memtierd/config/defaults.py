"""The defaults of the values that a configuration has."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from memtierd.config.compare import below, has_values, values
from memtierd.config.keys import Field, key_of
from memtierd.config.policies import SHORT_FORMS, default_tracker
from memtierd.parameters import Part
from memtierd.policies.common import PolicyParams

_FACTORY: type[Any] = type(attrs.Factory(list))


def default_of(field: Field) -> Any:
    """Return the default of a field, NOTHING when it has none."""
    return field.default.factory() if isinstance(field.default, _FACTORY) else field.default


def defaults(tree: Any, default_part: Callable[[str, str], Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every value that the parts in `tree` would have if nobody had given it."""
    if isinstance(tree, Part):
        yield from defaults(tree.params, default_part, path)
    elif isinstance(tree, tuple):
        for number, item in enumerate(tree):
            yield from defaults(item, default_part, below(path, str(number)))
    elif attrs.has(type(tree)):
        for field in attrs.fields(type(tree)):
            if not (isinstance(tree, PolicyParams) and field.name in SHORT_FORMS):
                yield from _of_field(tree, field, default_part, below(path, key_of(field.name)))


def _of_field(
    params: Any, field: Field, default_part: Callable[[str, str], Any], path: str
) -> Iterator[tuple[str, str]]:
    value = getattr(params, field.name)
    if isinstance(params, PolicyParams) and field.name == "tracker":
        default = default_tracker(params, default_part)
        if default is not None and value is not None and value.name == default.name:
            yield from values(default, path)
            return
    if has_values(value):
        yield from defaults(value, default_part, path)
    elif default_of(field) is not attrs.NOTHING:
        yield from values(default_of(field), path)
