"""A tree of nodes to parameters: types, bounds and keys of attrs classes, with every problem found.

cattrs picks the hook for a type and all hooks are our own: cattrs' hooks for classes, lists and unions stop at the
first problem, accept ``"5"`` for 5, and get plain data, whereas these need the places in the file.
A hook gets a Node and returns the value, or raises Invalid with all problems of the node and what is below it.
"""

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from cattrs import Converter

from memtierd.config import tree
from memtierd.config.keys import Field, key_of, known_names
from memtierd.config.leaves import LEAF_HOOKS, check_leaves, check_whole, is_nothing, refuse_tag, with_limits, wrong
from memtierd.config.mappings import Entries, add_field_problem, empty, entries_of, fields_by_key, integer_key
from memtierd.config.problems import Collected, Invalid, quoted, shortened
from memtierd.model import Auto
from memtierd.parameters import KIND_KEY, MANY_KEY, NAMED_KEY, ChecksItself, FieldProblem, Part, option_of

Registries = Mapping[str, Mapping[str, type[Any]] | type[Any]]
"""For each kind of part its params classes by name; for a kind without names the class itself."""


class Structurer:
    """Turns nodes into parameters, with the parts that `registries` names."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._converter = Converter()
        for leaf, hook in LEAF_HOOKS.items():
            self._converter.register_structure_hook(leaf, hook)
        for predicate, container_hook in (
            (_is_tuple, self._list),
            (_is_dict, self._map),
            (_is_optional, self._optional),
            (_is_auto, self._auto),
            (attrs.has, self.fields_of),
        ):
            self.register(predicate, container_hook)

    def register(self, predicate: Callable[[Any], bool], hook: Callable[[Any, Any], Any]) -> None:
        """Use `hook` for the types for which `predicate` holds; later ones go before earlier ones."""
        self._converter.register_structure_hook_func(predicate, hook)

    def structure(self, node: tree.Node, wanted: Any) -> Any:
        """Return the value of type `wanted` that `node` stands for."""
        refuse_tag(node)
        return self._converter.structure(node, wanted)

    def part(self, node: tree.Node, kind: str) -> Part:
        """Return the named part that a mapping with ``name`` and ``config`` describes."""
        registry = self._named(kind)
        entries, found = entries_of(
            node, ("name", "config"), f"a mapping with name and config, such as {_sample(registry)}"
        )
        name = ""
        if "name" in entries:
            with found.under("name"):
                name = self._name(entries["name"][1], kind)
        else:
            found.add(node.place, "missing key", f"the name of a {kind}: {known_names('', registry)}", "name")
        params = None
        if name:
            with found.under("config"):
                params = self.params(entries["config"][1] if "config" in entries else empty(node), registry[name])
        found.finish()
        return Part(name, params)

    def params(self, node: tree.Node, cls: type[Any]) -> Any:
        """Return an instance of `cls` from a mapping, or from a text that holds one; nothing means all defaults."""
        if isinstance(node, tree.Scalar) and isinstance(node.value, str):
            refuse_tag(node)
            node = tree.parse(node.inner())
        if isinstance(node, tree.Scalar) and node.value is None:
            node = empty(node)
        return self.structure(node, cls)

    def named_params(self, node: tree.Node, kind: str, name: str) -> Any:
        """Return the params of the part `name`, empty for a kind without names.  Raises KeyError for no kind."""
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
        fields = fields_by_key(cls)
        entries, found = entries_of(node, fields, f"a mapping with {', '.join(fields) or 'nothing in it'}")
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in entries:
                with found.under(key):
                    values[field.name] = self._field(entries[key][1], field)
            elif option_of(field).required:
                found.add(node.place, "missing key", _required(field), key)
        bad = {field.name for key, field in fields.items() if field.name not in values and key in entries}
        return _build(cls, values, bad, node, entries, found)

    def _field(self, node: tree.Node, field: Field) -> Any:
        if KIND_KEY in field.metadata:
            if is_nothing(node) and _is_optional(field.type):
                return None
            kind = field.metadata[KIND_KEY]

            def one(item: tree.Node) -> Any:
                return self.part(item, kind) if field.metadata[NAMED_KEY] else self.params(item, self._unnamed(kind))

            return _each(node, one) if field.metadata[MANY_KEY] else one(node)
        option = option_of(field)
        found = Collected()
        value = None
        with found.under():
            value = self.structure(node, field.type)
        found.problems[:] = [attrs.evolve(p, expected=with_limits(p.expected, option)) for p in found.problems]
        check_leaves(node, field.type, option, found)
        if not found.problems and value is not None:
            check_whole(node, value, option, found)
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
        return _each(node, lambda item: self.structure(item, item_type))

    def _map(self, node: tree.Node, wanted: Any) -> dict[int, Any]:
        key_type, value_type = typing.get_args(wanted)
        if key_type is not int:
            raise TypeError(f"{wanted}: only maps with integer keys are known")
        if not isinstance(node, tree.Mapping):
            raise wrong(node, "a mapping with integer keys")
        found = Collected()
        values: dict[int, Any] = {}
        for key_node, value_node in node.entries:
            key = integer_key(key_node, found)
            if key is None:
                continue
            if key in values:
                found.add(key_node.place, "the same key twice", "each key once", str(key))
            with found.under(str(key)):
                values[key] = self.structure(value_node, value_type)
        found.finish()
        return values

    def _auto(self, node: tree.Node, wanted: Any) -> Any:
        """Return Auto.AUTO, or the value of the other type in a union with Auto."""
        if isinstance(node, tree.Scalar) and node.value == Auto.AUTO.value:
            return Auto.AUTO
        (other,) = (choice for choice in typing.get_args(wanted) if choice is not Auto)
        found = Collected()
        value = None
        with found.under():
            value = self.structure(node, other)
        found.problems[:] = [attrs.evolve(p, expected=f"{p.expected}, or auto") for p in found.problems]
        found.finish()
        return value

    def _optional(self, node: tree.Node, wanted: Any) -> Any:
        if is_nothing(node):
            return None
        (inner,) = (choice for choice in typing.get_args(wanted) if choice is not types.NoneType)
        return self.structure(node, inner)


def _each(node: tree.Node, structure: Callable[[tree.Node], Any]) -> tuple[Any, ...]:
    """Return what `structure` makes of every item of a list."""
    if not isinstance(node, tree.Sequence):
        raise wrong(node, f"a list, such as [{shortened(node.raw)}]" if isinstance(node, tree.Scalar) else "a list")
    found = Collected()
    items = []
    for index, item in enumerate(node.items):
        with found.under(str(index)):
            items.append(structure(item))
    found.finish()
    return tuple(items)


def _build(
    cls: type[Any], values: dict[str, Any], bad: set[str], node: tree.Node, entries: Entries, found: Collected
) -> Any:
    """Return the instance; with bad fields look, with their defaults, whether the others fit together, too."""
    fields = attrs.fields_dict(cls)
    if all(name in values or field.default is not attrs.NOTHING for name, field in fields.items()):
        made = cls(**values)
        if isinstance(made, ChecksItself):
            for problem in made.problems():
                told = FieldProblem(*problem)
                if not bad & {told.field, *told.depends_on}:
                    add_field_problem(told, node, entries, found)
        if not found.problems:
            return made
    raise Invalid(found.problems)


def _required(field: Field) -> str:
    doc = option_of(field).doc
    return f"{key_of(field.name)}: {doc[:1].lower()}{doc[1:].rstrip('.')}"


def _sample(registry: Mapping[str, Any]) -> str:
    return f"{{name: {min(registry)}, config: {{…}}}}"


def _is_tuple(wanted: Any) -> bool:
    return typing.get_origin(wanted) is tuple


def _is_dict(wanted: Any) -> bool:
    return typing.get_origin(wanted) is dict


def _is_auto(wanted: Any) -> bool:
    return Auto in typing.get_args(wanted)


def _is_optional(wanted: Any) -> bool:
    is_union = typing.get_origin(wanted) in {typing.Union, types.UnionType}
    return is_union and len(typing.get_args(wanted)) == 2 and types.NoneType in typing.get_args(wanted)
