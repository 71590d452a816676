"""The JSON Schema of a configuration file, made from the declarations of its parameters, for editors and checkers.

Keys are in their documented form: in a file they may also be written with capitals, `_` and `-`, which a schema
can't say without becoming unreadable.  The schema takes every valid file in that form.  What it can't see is what a
text holds that stands for a mapping, and most of what several values must be together.
"""

import enum
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from memtierd.config.defaults import default_of
from memtierd.config.descriptions import DESCRIPTIONS
from memtierd.config.keys import Field, key_of
from memtierd.config.loader import Config
from memtierd.config.mappings import fields_by_key
from memtierd.config.policies import SHORT_FORMS
from memtierd.config.structuring import Registries
from memtierd.model import Auto
from memtierd.parameters import KIND_KEY, MANY_KEY, NAMED_KEY, ChecksItself, Option, option_of
from memtierd.policies.common import PolicyParams

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
UNIT_KEY = "x-unit"
"""Annotation with the unit of a number, which is also in its description."""
_SAID = {"", "node", "pid"}
"""Units that a description has no need to repeat."""
_LEAVES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_INTEGER_KEY = r"^\+?(0|[1-9][0-9]*)$"
_WATERMARK = r"^\s*([0-9]+\s*([kKMGT]i?)?B?|0*(100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+)\s*%)\s*$"
PATTERNS = {
    "CgroupsParams.cgroups": "^/",
    "DamonParams.connection": r"^((auto|bpftrace|tracefs|sysfs) ?|perf( [\s\S]*)?)$",
    "DemoteIdleParams.pages_of_interest_dir": "^/",
    "AvoidOomParams.start_freeing_memory": _WATERMARK,
    "AvoidOomParams.stop_freeing_memory": _WATERMARK,
    "HeatParams.numa_size": r"^([0-9]{1,15} *[kKMGT]?i?B?|(100|[0-9]{1,2}(\.[0-9]+)?) *%)$",
    "StatActionsParams.interval_command_runner": "^(|exec|memtier|memtier-prompt)$",
    "StatActionsParams.page_out_command_runner": "^(|exec|memtier|memtier-prompt)$",
    "StdioParams.stderr": r"^(|file:[\s\S]+)$",
}
"""What texts may be for which a parameter has a check of its own, by class and field; a test compares the two."""


def schema_of(registries: Registries) -> Schema:
    """Return the schema of a whole configuration file made of the parts in `registries`."""
    definitions: Schema = {}
    for kind, registry in registries.items():
        definitions[kind] = (
            _params(registry) if isinstance(registry, type) else _named_part(kind, registry, DESCRIPTIONS.get(kind, {}))
        )
    for cls in sorted(_classes(registries), key=lambda cls: cls.__name__):
        definitions[cls.__name__] = _class_schema(cls)
    return {"$schema": DIALECT, "title": "memtierd configuration"} | _class_schema(Config) | {"$defs": definitions}


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
    wrong = _wrong_when_empty(cls)
    properties = {key: _field_schema(cls, field, field.name in wrong) for key, field in fields.items()}
    required = [key for key, field in fields.items() if option_of(field).required]
    schema: Schema = {
        "type": "object",
        "description": (cls.__doc__ or "").strip().splitlines()[0],
        "properties": properties,
        "additionalProperties": False,
    }
    schema |= {"required": required} if required else {}
    schema |= {"minProperties": 1} if wrong and not required else {}
    return schema | (_whom(cls, properties) if issubclass(cls, PolicyParams) else {})


def _wrong_when_empty(cls: type[Any]) -> set[str]:
    """Return the fields, "" for the whole, with which an instance of `cls` finds fault when nothing is given."""
    required = {field.name: field for field in fields_by_key(cls).values() if option_of(field).required}
    if any(typing.get_origin(field.type) is not tuple for field in required.values()):
        return set()
    made = cls(**dict.fromkeys(required, ()))
    return {problem[0] for problem in made.problems()} if isinstance(made, ChecksItself) else set()


def _whom(cls: type[PolicyParams], properties: Schema) -> Schema:
    """Return what a policy must give that watches processes; one that watches none has nothing to say of them."""
    if not cls.watches:
        for key in ("pidwatcher", "tracker"):
            properties[key] = {"description": "This policy has none.", "type": "null"}
        for key in SHORT_FORMS:
            properties[key] = {"description": "This policy has none.", "type": "array", "maxItems": 0}
        return {}
    properties["tracker"] |= {"default": {"name": cls.default_tracker}}
    for key, name in SHORT_FORMS.items():
        del properties[key]["default"]
        properties[key] |= {"minItems": 1}
        if key == name:
            properties[key]["items"] |= {"pattern": PATTERNS["CgroupsParams.cgroups"]}
    alone = {"pidwatcher": {"type": "null"}}
    return {
        "anyOf": [_given(key) for key in ("pidwatcher", *SHORT_FORMS, *map(key_of, cls.finders))],
        "dependentSchemas": {
            "cgroups": {"properties": alone | {"pids": False}},
            "pids": {"properties": alone},
        },
    }


def _given(key: str) -> Schema:
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


def _named_part(kind: str, registry: Mapping[str, type[Any]], described: Mapping[str, str]) -> Schema:
    """Return the schema of a mapping with a name and the parameters that go with it."""
    branches = [
        {
            "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
            "then": {"description": described.get(name, ""), **_params_of(cls)},
        }
        for name, cls in sorted(registry.items())
    ]
    names = sorted(registry)
    return {
        "type": "object",
        "description": f"A {kind}: its name and its parameters.",
        "properties": {
            "name": {
                "description": f"Which {kind}.",
                "enum": names,
                "enumDescriptions": [described.get(name, "") for name in names],
            },
            "config": {"description": f"The parameters of this {kind}: a mapping, or a text that holds one."},
        },
        "required": ["name"],
        "additionalProperties": False,
        "allOf": branches,
    }


def _params_of(cls: type[Any]) -> Schema:
    """Return the schema of what a part has besides its name; it must have something when its parameters must."""
    needs_some = bool({"required", "anyOf", "minProperties"} & _class_schema(cls).keys())
    return {"properties": {"config": _params(cls)}} | ({"required": ["config"]} if needs_some else {})


def _params(cls: type[Any]) -> Schema:
    """Return the schema of parameters written as a mapping, as a text that holds one, or not at all."""
    return {"anyOf": [_reference(cls.__name__), {"type": "string"}, {"type": "null"}]}


def _field_schema(cls: type[Any], field: Field, needs_some: bool) -> Schema:
    option = option_of(field)
    described: Schema = {"description": f"{option.doc} ({option.unit})" if option.unit not in _SAID else option.doc}
    if KIND_KEY in field.metadata:
        part = _reference(field.metadata[KIND_KEY])
        if field.metadata[MANY_KEY]:
            return described | {"type": "array", "items": part} | ({"minItems": 1} if needs_some else {})
        return described | _or_nothing(part, field)
    described |= {UNIT_KEY: option.unit} if option.unit else {}
    described |= _value_schema(field.type, option, PATTERNS.get(f"{cls.__name__}.{field.name}", ""))
    if field.type is str and option.check is not None and option.check(""):
        described |= {"minLength": 1}
    return described if option.required else described | {"default": _plain(default_of(field))}


def _or_nothing(schema: Schema, field: Field) -> Schema:
    """Return the schema of a part; one that may be None may be written without a value."""
    may_be_nothing = types.NoneType in typing.get_args(field.type) or not field.metadata[NAMED_KEY]
    return {"anyOf": [schema, {"type": "null"}]} if may_be_nothing else schema


def _value_schema(wanted: Any, option: Option, pattern: str) -> Schema:
    """Return the schema of a value of the type `wanted`, within what the option allows."""
    if wanted in _LEAVES:
        return _leaf_schema(wanted, option, pattern)
    if isinstance(wanted, type) and attrs.has(wanted):
        return _reference(wanted.__name__)
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        return _list_schema(inner[0], option, pattern)
    if origin is dict:
        return {
            "type": "object",
            "patternProperties": {_INTEGER_KEY: _value_schema(inner[1], option, pattern)},
            "additionalProperties": False,
        }
    return {"anyOf": [_choice_schema(choice, option, pattern) for choice in inner]}


def _list_schema(wanted: Any, option: Option, pattern: str) -> Schema:
    schema: Schema = {"type": "array", "items": _value_schema(wanted, option, pattern)}
    schema |= {"minItems": 1} if option.check is not None and option.check(()) else {}
    return schema | ({"uniqueItems": True} if option.unit == "node" else {})


def _choice_schema(wanted: Any, option: Option, pattern: str) -> Schema:
    if wanted is types.NoneType:
        return {"type": "null"}
    return {"const": Auto.AUTO.value} if wanted is Auto else _value_schema(wanted, option, pattern)


def _leaf_schema(wanted: type[Any], option: Option, pattern: str) -> Schema:
    schema: Schema = {"type": _LEAVES[wanted]}
    if wanted is str:
        schema |= {"enum": list(option.choices)} if option.choices else {}
        schema |= {"pattern": pattern} if pattern else {}
    if wanted in {int, float}:
        low, high = option.bounds
        schema |= {"minimum": low} if low is not None else {}
        schema |= {"maximum": high} if high is not None else {}
    return schema


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _plain(value: Any) -> Any:
    """Return a default as JSON has it."""
    if isinstance(value, enum.Enum):
        return value.value
    if attrs.has(type(value)):
        return {key_of(field.name): _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
