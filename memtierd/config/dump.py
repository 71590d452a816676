"""Parameters to JSON with the keys of the seed, as ``-config-dump`` shows them and ``-config`` reads them."""

import enum
import json
from typing import Any

import attrs

from memtierd.config.keys import camel_of
from memtierd.config.policies import SHORT_FORMS
from memtierd.parameters import Part
from memtierd.policies.common import PolicyParams


def dump_json(params: Any) -> str:
    """Return `params` (an attrs instance or a Part) as one line of JSON; what is None is left out."""
    return json.dumps(_plain(params), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return {"Name": value.name, "Config": _plain(value.params)}
    if attrs.has(type(value)):
        return {camel_of(name): _plain(inner) for name, inner in _fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return value


def _fields(params: Any) -> list[tuple[str, Any]]:
    """Return the fields to show; a policy's short forms were turned into its pidwatcher when it was loaded."""
    hidden = SHORT_FORMS if isinstance(params, PolicyParams) else {}
    values = [(field.name, getattr(params, field.name)) for field in attrs.fields(type(params))]
    return [(name, value) for name, value in values if value is not None and name not in hidden]
