"""What a parameter of a configuration may be, in words."""

import types
import typing
from typing import Any

import attrs

from memtierd.config.defaults import default_of
from memtierd.config.keys import Field
from memtierd.model import Auto
from memtierd.parameters import KIND_KEY, MANY_KEY, Option, option_of

_SIMPLE = {bool: "true or false", str: "a text"}
_NUMBERS = {int: "integer", float: "number"}


def value_words(field: Field) -> str:
    """Return what a parameter may be and what it is when it is missing, such as 'An integer of 1 or more (ms)'."""
    option = option_of(field)
    kind = field.metadata.get(KIND_KEY)
    words = _part(kind, many=field.metadata[MANY_KEY]) if kind else _type(field.type, option)
    default = "to be given" if option.required else _default(default_of(field))
    return f"{words[0].upper()}{words[1:]}; {default}." if default else f"{words[0].upper()}{words[1:]}."


def inner_class(field: Field) -> type[Any] | None:
    """Return the class of the mapping that a parameter is, or that each item of its list is; None for others."""
    for wanted in (field.type, *typing.get_args(field.type)):
        if isinstance(wanted, type) and attrs.has(wanted) and KIND_KEY not in field.metadata:
            return wanted
    return None


def _part(kind: str, *, many: bool) -> str:
    name = {"mover": "a mapping, see MOVER"}.get(kind, f"a {kind}")
    return f"a list of {kind}s" if many else name


def _type(wanted: Any, option: Option) -> str:
    if wanted in _NUMBERS:
        return f"{'an' if wanted is int else 'a'} {_NUMBERS[wanted]}{_limits(option)}"
    if wanted is str and option.choices:
        return f"one of {', '.join(option.choices)}"
    if isinstance(wanted, type):
        return _SIMPLE.get(wanted, "a mapping")
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in {tuple, dict}:
        return _several(origin, inner, option)
    words = [_type(choice, option) for choice in inner if choice not in {types.NoneType, Auto}]
    return " or ".join(words + (["auto"] if Auto in inner else []))


def _several(origin: Any, inner: tuple[Any, ...], option: Option) -> str:
    if origin is tuple:
        return f"a list of {_items(inner[0], option)}"
    items = typing.get_args(inner[1])
    return f"a mapping of integers to {f'lists of {_items(items[0], option)}' if items else 'texts'}"


def _items(wanted: Any, option: Option) -> str:
    if wanted in _NUMBERS:
        return f"{_NUMBERS[wanted]}s{_limits(option)}"
    return "mappings" if attrs.has(wanted) else "texts"


def _limits(option: Option) -> str:
    low, high = option.bounds
    unit = {"": "", "node": ""}.get(option.unit, f" ({option.unit})")
    if low is None:
        return unit
    return f" from {low:.16g} to {high:.16g}{unit}" if high is not None else f" of {low:.16g} or more{unit}"


def _default(value: Any) -> str:
    """Return what is so when a parameter is missing, empty where there is nothing to say."""
    if value is None or attrs.has(type(value)):
        return ""
    if isinstance(value, bool):
        return f"default {str(value).lower()}"
    if isinstance(value, Auto):
        return f"default {value.value}"
    if isinstance(value, dict | tuple):
        return f"default [{', '.join(map(str, value))}]" if value else "default none"
    return f"default {value}" if value != "" else "default empty"
