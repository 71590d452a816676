"""The JSON Schema of a configuration file, made from the declarations of its parameters, for editors and checkers.

Keys are in their documented form: in a file they may also be written with capitals, `_` and `-`, which a schema
can't say without becoming unreadable.
"""

import enum
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from memtierd.config.keys import Field, key_of
from memtierd.config.loader import Config
from memtierd.config.mappings import fields_by_key
from memtierd.config.structuring import Registries
from memtierd.model import Auto
from memtierd.parameters import KIND_KEY, MANY_KEY, NAMED_KEY, Option, option_of

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LEAVES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def schema_of(registries: Registries) -> Schema:
    """Return the schema of a whole configuration file made of the parts in `registries`."""
    root = _class_schema(Config)
    definitions: Schema = {}
    for kind, registry in registries.items():
        if isinstance(registry, type):
            definitions[kind] = _with_text(_reference(registry.__name__))
        else:
            definitions[kind] = _named_part(registry)
    for cls in sorted(_classes(registries), key=lambda cls: cls.__name__):
        definitions[cls.__name__] = _class_schema(cls)
    return {"$schema": DIALECT, "title": "memtierd configuration"} | root | {"$defs": definitions}


def _classes(registries: Registries) -> set[type[Any]]:
    """Return all params classes that parts have, and those inside them."""
    found: set[type[Any]] = set()
    waiting = [
        cls
        for registry in registries.values()
        for cls in ([registry] if isinstance(registry, type) else registry.values())
    ]
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            plain = (field for field in fields_by_key(cls).values() if KIND_KEY not in field.metadata)
            waiting.extend(inner for field in plain for inner in _inner_classes(field.type))
    return found


def _inner_classes(wanted: Any) -> Iterator[type[Any]]:
    if isinstance(wanted, type) and attrs.has(wanted):
        yield wanted
    for inner in typing.get_args(wanted):
        yield from _inner_classes(inner)


def _class_schema(cls: type[Any]) -> Schema:
    """Return the schema of a mapping with the parameters of `cls`."""
    fields = fields_by_key(cls)
    required = [key for key, field in fields.items() if option_of(field).required]
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip().splitlines()[0],
        "properties": {key: _field_schema(field) for key, field in fields.items()},
        "additionalProperties": False,
    } | ({"required": required} if required else {})


def _named_part(registry: Mapping[str, type[Any]]) -> Schema:
    """Return the schema of a mapping with a name and the parameters that go with it."""
    branches = [
        {
            "if": {"properties": {"name": {"const": name}}},
            "then": {"properties": {"config": _with_text(_reference(cls.__name__))}},
        }
        for name, cls in sorted(registry.items())
    ]
    return {
        "type": "object",
        "properties": {"name": {"enum": sorted(registry)}, "config": {}},
        "required": ["name"],
        "additionalProperties": False,
        "allOf": branches,
    }


def _field_schema(field: Field) -> Schema:
    option = option_of(field)
    described: Schema = {"description": f"{option.doc} ({option.unit})" if option.unit else option.doc}
    if KIND_KEY in field.metadata:
        part = _reference(field.metadata[KIND_KEY])
        described |= {"type": "array", "items": part} if field.metadata[MANY_KEY] else _or_nothing(part, field)
        return described
    described |= _value_schema(field.type, option)
    default = field.default.factory() if isinstance(field.default, _FACTORY) else field.default
    return described if option.required else described | {"default": _plain(default)}


_FACTORY: type[Any] = type(attrs.Factory(list))


def _or_nothing(schema: Schema, field: Field) -> Schema:
    """Return the schema of a part; one that may be None may be written without a value."""
    may_be_nothing = types.NoneType in typing.get_args(field.type) or not field.metadata[NAMED_KEY]
    return {"anyOf": [schema, {"type": "null"}]} if may_be_nothing else schema


def _value_schema(wanted: Any, option: Option) -> Schema:
    """Return the schema of a value of the type `wanted`, within what the option allows."""
    if wanted in _LEAVES:
        return _leaf_schema(wanted, option)
    if isinstance(wanted, type) and attrs.has(wanted):
        return _reference(wanted.__name__)
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        return {"type": "array", "items": _value_schema(inner[0], option)}
    if origin is dict:
        return {
            "type": "object",
            "patternProperties": {"^-?[0-9]+$": _value_schema(inner[1], option)},
            "additionalProperties": False,
        }
    return {"anyOf": [_choice_schema(choice, option) for choice in inner]}


def _choice_schema(wanted: Any, option: Option) -> Schema:
    if wanted is types.NoneType:
        return {"type": "null"}
    return {"const": Auto.AUTO.value} if wanted is Auto else _value_schema(wanted, option)


def _leaf_schema(wanted: type[Any], option: Option) -> Schema:
    schema: Schema = {"type": _LEAVES[wanted]}
    if wanted is str and option.choices:
        schema["enum"] = list(option.choices)
    if wanted in {int, float}:
        low, high = option.bounds
        schema |= {"minimum": low} if low is not None else {}
        schema |= {"maximum": high} if high is not None else {}
    return schema


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _with_text(schema: Schema) -> Schema:
    """Return the schema of parameters written as a mapping, as a text that holds one, or not at all."""
    return {"anyOf": [schema, {"type": "string"}, {"type": "null"}]}


def _plain(value: Any) -> Any:
    """Return a default as JSON has it."""
    if isinstance(value, enum.Enum):
        return value.value
    if attrs.has(type(value)):
        return {key_of(field.name): _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
