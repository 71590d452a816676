"""A tree of nodes to parameters: types, bounds and keys of attrs classes, with every problem found.

cattrs picks the hook for a type and all hooks are our own: cattrs' hooks for classes, lists and unions stop at the
first problem, accept ``"5"`` for 5, and get plain data, whereas these need the places in the file.
A hook gets a Node and returns the value, or raises Invalid with all problems of the node and what is below it.
"""

import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from cattrs import Converter

from memtierd.config import tree
from memtierd.config.keys import Field, key_of, known_names, normalized
from memtierd.config.problems import Collected, Invalid, Place, quoted
from memtierd.config.scalars import INTEGER
from memtierd.parameters import KIND_KEY, NAMED_KEY, ChecksItself, FieldProblem, Option, Part, option_of

Registries = Mapping[str, Mapping[str, type[Any]] | type[Any]]
"""For each kind of part its params classes by name; for a kind without names the class itself."""

Entries = dict[str, tuple[Place, tree.Node]]
"""What a mapping gives for each field: place of the key, and value."""


class Structurer:
    """Turns nodes into parameters, with the parts that `registries` names."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._converter = Converter()
        for leaf, hook in _LEAF_HOOKS.items():
            self._converter.register_structure_hook(leaf, hook)
        for predicate, container_hook in (
            (_is_tuple, self._list),
            (_is_dict, self._map),
            (_is_optional, self._optional),
            (attrs.has, self.fields_of),
        ):
            self._converter.register_structure_hook_func(predicate, container_hook)

    def structure(self, node: tree.Node, wanted: Any) -> Any:
        """Return the value of type `wanted` that `node` stands for."""
        _refuse_tag(node)
        return self._converter.structure(node, wanted)

    def part(self, node: tree.Node, kind: str) -> Part:
        """Return the named part that a mapping with ``name`` and ``config`` describes."""
        registry = self._named(kind)
        entries, found = _entries(node, ("name", "config"), f"a mapping with name and config, such as {_sample(registry)}")
        name = ""
        if "name" in entries:
            with found.under("name"):
                name = self._name(entries["name"][1], kind)
        else:
            found.add(node.place, "missing key", f"the name of a {kind}: {known_names('', registry)}", "name")
        params = None
        if name:
            with found.under("config"):
                params = self.params(entries["config"][1] if "config" in entries else _empty(node), registry[name])
        found.finish()
        return Part(name, params)

    def params(self, node: tree.Node, cls: type[Any]) -> Any:
        """Return an instance of `cls` from a mapping, or from a text that holds one; nothing at all means all defaults."""
        if isinstance(node, tree.Scalar) and isinstance(node.value, str):
            _refuse_tag(node)
            node = tree.parse(node.inner())
        if isinstance(node, tree.Scalar) and node.value is None:
            node = _empty(node)
        return self.structure(node, cls)

    def named_params(self, node: tree.Node, kind: str, name: str) -> Any:
        """Return the params of the part `name` (empty for a kind without names).  Raises KeyError for an unknown kind."""
        if name or not isinstance(self._registries[kind], type):
            registry = self._named(kind)
            if name not in registry:
                found = Collected()
                found.add(node.place, f"unknown {kind} {quoted(name)}", known_names(name, registry))
                found.finish()
            return self.params(node, registry[name])
        return self.params(node, self._unnamed(kind))

    def default(self, kind: str, name: str = "") -> Any:
        """Return the part `name` of `kind` with its defaults, or those of a kind without names."""
        return Part(name, self._named(kind)[name]()) if name else self._unnamed(kind)()

    def fields_of(self, node: tree.Node, cls: type[Any]) -> Any:
        """Return an instance of the attrs class `cls` from a mapping."""
        fields = _fields(cls)
        entries, found = _entries(node, fields, f"a mapping with {', '.join(fields) or 'nothing in it'}")
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in entries:
                with found.under(key):
                    values[field.name] = self._field(entries[key][1], field)
            elif option_of(field).required:
                found.add(node.place, "missing key", _required(field), key)
        wrong = {field.name for key, field in fields.items() if field.name not in values and key in entries}
        return _build(cls, values, wrong, node, entries, found)

    def _field(self, node: tree.Node, field: Field) -> Any:
        if KIND_KEY in field.metadata:
            if _is_nothing(node) and _is_optional(field.type):
                return None
            kind = field.metadata[KIND_KEY]
            return self.part(node, kind) if field.metadata[NAMED_KEY] else self.params(node, self._unnamed(kind))
        option = option_of(field)
        found = Collected()
        value = None
        with found.under():
            value = self.structure(node, field.type)
        found.problems[:] = [attrs.evolve(p, expected=p.expected + _limits_after(p.expected, option)) for p in found.problems]
        if not found.problems and value is not None:
            _check(node, value, option, found)
        found.finish()
        return value

    def _name(self, node: tree.Node, kind: str) -> str:
        registry = self._named(kind)
        given: str = self.structure(node, str)
        if given not in registry:
            found = Collected()
            found.add(node.place, f"unknown {kind} {quoted(given)}", known_names(given, registry))
            found.finish()
        return given

    def _named(self, kind: str) -> Mapping[str, type[Any]]:
        registry = self._registries[kind]
        if isinstance(registry, type):
            raise TypeError(f"{kind} parts have no names")
        return registry

    def _unnamed(self, kind: str) -> type[Any]:
        registry = self._registries[kind]
        if not isinstance(registry, type):
            raise TypeError(f"{kind} parts have names")
        return registry

    def _list(self, node: tree.Node, wanted: Any) -> tuple[Any, ...]:
        item_type = typing.get_args(wanted)[0]
        if not isinstance(node, tree.Sequence):
            raise _wrong(node, "a list")
        found = Collected()
        items = []
        for index, item in enumerate(node.items):
            with found.under(str(index)):
                items.append(self.structure(item, item_type))
        found.finish()
        return tuple(items)

    def _map(self, node: tree.Node, wanted: Any) -> dict[int, Any]:
        key_type, value_type = typing.get_args(wanted)
        if key_type is not int:
            raise TypeError(f"{wanted}: only maps with integer keys are known")
        if not isinstance(node, tree.Mapping):
            raise _wrong(node, "a mapping with integer keys")
        found = Collected()
        values: dict[int, Any] = {}
        for key_node, value_node in node.entries:
            key = _integer_key(key_node, found)
            if key is None:
                continue
            if key in values:
                found.add(key_node.place, "the same key twice", "each key once", str(key))
            with found.under(str(key)):
                values[key] = self.structure(value_node, value_type)
        found.finish()
        return values

    def _optional(self, node: tree.Node, wanted: Any) -> Any:
        if _is_nothing(node):
            return None
        (inner,) = (choice for choice in typing.get_args(wanted) if choice is not types.NoneType)
        return self.structure(node, inner)


def _build(
    cls: type[Any], values: dict[str, Any], wrong: set[str], node: tree.Node, entries: Entries, found: Collected
) -> Any:
    """Return the instance; with wrong fields look, with their defaults, whether the others fit together, too."""
    fields = attrs.fields_dict(cls)
    if all(name in values or field.default is not attrs.NOTHING for name, field in fields.items()):
        made = cls(**values)
        if isinstance(made, ChecksItself):
            for problem in made.problems():
                told = FieldProblem(*problem)
                if not wrong & {told.field, *told.depends_on}:
                    _add_field_problem(told, node, entries, found)
        if not found.problems:
            return made
    raise Invalid(found.problems)


def _add_field_problem(told: FieldProblem, node: tree.Node, entries: Entries, found: Collected) -> None:
    path = [key_of(told.field)]
    place, problem = node.place, told.problem or "wrong default"
    if path[0] in entries:
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


def _fields(cls: type[Any]) -> dict[str, Field]:
    """Return the fields of an attrs class by key, their types resolved."""
    return {key_of(field.name): field for field in attrs.fields(attrs.resolve_types(cls))}


def _entries(node: tree.Node, keys: Mapping[str, Any] | tuple[str, ...], expected: str) -> tuple[Entries, Collected]:
    """Return what the mapping `node` gives for each known key, and the problems with its keys."""
    _refuse_tag(node)
    if not isinstance(node, tree.Mapping):
        raise _wrong(node, expected)
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
            found.add(key_node.place, "unknown key", known_names(key, keys), *_shown_key(key_node))
        elif key in entries:
            first = entries[key][0]
            problem = f"the same key as in line {first.line}, column {first.column}"
            found.add(key_node.place, problem, "each key once", key)
        else:
            entries[key] = (key_node.place, value)
    return entries, found


def _shown_key(key_node: tree.Scalar) -> tuple[str]:
    from_file = quoted(key_node.raw)
    bare = from_file[1:-1]
    return (bare.lower() if bare and not bare.isspace() else from_file,)
