"""Parameters to plain mappings, lists and values with the keys of a file, and these to the text of a file."""

import enum
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from memtierd.config import tree
from memtierd.config.defaults import default_of
from memtierd.config.keys import Field, key_of
from memtierd.config.policies import SHORT_FORMS, default_tracker
from memtierd.config.scalars import resolve
from memtierd.parameters import KIND_KEY, NAMED_KEY, Part, option_of
from memtierd.policies.common import PolicyParams

DefaultPart = Callable[[str, str], Any]
"""Gives the part of a kind and name with its defaults."""

_PLAIN_TEXT = re.compile(r"[/A-Za-z][A-Za-z0-9_./-]*")
_OTHER_MEANINGS = {"y", "n", "yes", "no", "on", "off"}
"""Words that are booleans to other readers of YAML."""


def to_plain(params: Any, default_part: DefaultPart, *, sparse: bool) -> Any:
    """Return what a file would have to say for `params`; when `sparse`, only what is no default."""
    if isinstance(params, Part):
        inner = to_plain(params.params, default_part, sparse=sparse)
        return {"name": params.name} | ({"config": inner} if inner else {})
    if attrs.has(type(params)):
        return {
            key_of(field.name): to_plain(getattr(params, field.name), default_part, sparse=sparse)
            for field in attrs.fields(type(params))
            if _is_told(params, field) and not (sparse and _is_default(params, field, default_part))
        }
    if isinstance(params, enum.Enum):
        return params.value
    if isinstance(params, dict):
        return {str(key): to_plain(value, default_part, sparse=sparse) for key, value in params.items()}
    return [to_plain(item, default_part, sparse=sparse) for item in params] if isinstance(params, tuple) else params


def _is_told(params: Any, field: Field) -> bool:
    """Return whether a file can say a value: it is one, and not a short form, which was turned into a pidwatcher."""
    is_short_form = isinstance(params, PolicyParams) and field.name in SHORT_FORMS
    return getattr(params, field.name) is not None and not is_short_form


def _is_default(params: Any, field: Field, default_part: DefaultPart) -> bool:
    value = getattr(params, field.name)
    if isinstance(params, PolicyParams) and field.name == "tracker":
        return bool(value == default_tracker(params, default_part))
    if field.metadata.get(KIND_KEY) and not field.metadata[NAMED_KEY]:
        return bool(value == default_part(field.metadata[KIND_KEY], ""))
    return not option_of(field).required and bool(value == default_of(field))


def yaml_text(plain: Any) -> str:
    """Return a mapping of plain values as YAML."""
    return "".join(f"{line}\n" for line in _mapping_lines(plain)) if plain else "{}\n"


def _mapping_lines(plain: dict[str, Any]) -> Iterator[str]:
    for key, value in plain.items():
        yield from _entry_lines(f"{key}:", value)


def _entry_lines(opening: str, value: Any) -> Iterator[str]:
    """Yield what follows `opening` (a key, or the dash of a list), on its line or on those below."""
    if isinstance(value, dict) and value:
        inner = list(_mapping_lines(value))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        inner = [line for item in value for line in _entry_lines("-", item)]
    else:
        yield f"{opening} {_flow(value)}"
        return
    if opening == "-":
        yield f"- {inner[0]}"
        inner = inner[1:]
    else:
        yield opening
    yield from (f"  {line}" for line in inner)


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(text: str) -> str:
    is_plain = _PLAIN_TEXT.fullmatch(text) and isinstance(resolve(text), str) and text.lower() not in _OTHER_MEANINGS
    if is_plain:
        return text
    return tree.FORBIDDEN.sub(lambda found: f"\\U{ord(found[0]):08x}", json.dumps(text, ensure_ascii=False))
