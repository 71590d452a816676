"""Configurations made up from the declarations, most of them valid."""

import types
import typing
from typing import Any

from hypothesis import strategies as st

from memtierd.config import REGISTRIES
from memtierd.config.keys import Field
from memtierd.config.mappings import fields_by_key
from memtierd.model import Auto
from memtierd.parameters import KIND_KEY, MANY_KEY, NAMED_KEY, Option, option_of
from memtierd.policies.common import PolicyParams

TEXTS = ["", "/a", "a", "8%", "16 %", "512M", "101%", "exec", "memtier", "auto", "perf -F 99", "file:/a", "rfc3339"]
DEEPEST = 3


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Return a whole configuration as JSON has it."""
    made: dict[str, Any] = {}
    if draw(st.integers(0, 9)):
        made["policy"] = draw(parts("policy", 0))
    if not made or not draw(st.integers(0, 3)):
        made["routines"] = draw(st.lists(parts("routine", 0), max_size=2))
    return made


@st.composite
def parts(draw: st.DrawFn, kind: str, depth: int) -> dict[str, Any]:
    """Return a part with a name."""
    registry = REGISTRIES[kind]
    assert not isinstance(registry, type)
    names = sorted(set(registry) - ({"filter", "multi", "chain"} if depth > DEEPEST else set()))
    name = draw(st.sampled_from(names))
    made = {"name": name, "config": draw(params(registry[name], depth + 1))}
    if made["config"] == {} and draw(st.booleans()):
        del made["config"]
    return made


@st.composite
def params(draw: st.DrawFn, cls: type[Any], depth: int) -> dict[str, Any]:
    """Return the parameters of a class: those that it must have, and few others."""
    fields = fields_by_key(cls)
    needed = {key for key, field in fields.items() if option_of(field).required}
    if issubclass(cls, PolicyParams) and cls.watches:
        needed.add(draw(st.sampled_from(["pidwatcher", "cgroups", "pids"])))
    more = draw(st.sets(st.sampled_from(sorted(fields)), max_size=2 if depth < DEEPEST else 1)) if fields else set()
    return {key: draw(values(field, depth)) for key, field in fields.items() if key in needed | more}


def values(field: Field, depth: int) -> st.SearchStrategy[Any]:
    """Return what a parameter may be, and now and then what it may not."""
    if KIND_KEY not in field.metadata:
        return _of_type(field.type, option_of(field), depth)
    kind = field.metadata[KIND_KEY]
    if field.metadata[MANY_KEY]:
        return st.lists(st.deferred(lambda: parts(kind, depth)), max_size=2)
    if field.metadata[NAMED_KEY]:
        return st.deferred(lambda: parts(kind, depth)) if depth else st.none()
    registry = REGISTRIES[kind]
    assert isinstance(registry, type)
    return st.one_of(st.none(), params(registry, depth))


def _of_type(wanted: Any, option: Option, depth: int) -> st.SearchStrategy[Any]:
    if isinstance(wanted, type):
        return _of_class(wanted, option, depth)
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        return st.lists(_of_type(inner[0], option, depth), max_size=2)
    if origin is dict:
        return st.dictionaries(st.sampled_from(["0", "1", "3", "-1"]), _of_type(inner[1], option, depth), max_size=2)
    choices = [_of_type(choice, option, depth) for choice in inner if choice not in {types.NoneType, Auto}]
    return st.one_of([*choices, st.just("auto") if Auto in inner else st.none()])


def _of_class(wanted: type[Any], option: Option, depth: int) -> st.SearchStrategy[Any]:
    if wanted is bool:
        return st.booleans()
    if wanted in {int, float}:
        return _numbers(option)
    if wanted is str:
        return st.sampled_from([*option.choices, *TEXTS[: 1 if option.choices else None]])
    return st.deferred(lambda: params(wanted, depth + 1)) if depth <= DEEPEST else st.just({})


def _numbers(option: Option) -> st.SearchStrategy[Any]:
    low, high = option.bounds
    edges = [1, *([low] if low is not None else []), *([high] if high is not None else [])]
    beyond = [*([low - 1] if low is not None else []), *([high + 1] if high is not None else [])]
    return st.sampled_from([*edges, *edges, *edges, *beyond])
