"""Changing single values of a configuration by their paths, before all of it is checked as a file is."""

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from memtierd.config import tree
from memtierd.config.keys import Field, known_names, normalized
from memtierd.config.leaves import refuse_tag
from memtierd.config.loader import parse_text
from memtierd.config.mappings import fields_by_key
from memtierd.config.policies import SHORT_FORMS
from memtierd.config.problems import Invalid, Problem, quoted
from memtierd.config.structuring import Registries
from memtierd.errors import ConfigError
from memtierd.parameters import KIND_KEY, MANY_KEY, NAMED_KEY
from memtierd.policies.common import PolicyParams

_EDIT = re.compile(r"\s*([A-Za-z][\w.-]*)\s*=(.*)", re.DOTALL)
_NEXT_EDIT = re.compile(r",\s*[A-Za-z][\w.-]*\s*=")
_CLOSING = {"[": "]", "{": "}"}

Plain = dict[str, Any]


@attrs.frozen
class Edit:
    """A value to be set."""

    path: str
    """As in a file, such as policy.tracker.scanintervalms; the keys `config` are left out."""
    value: str
    """In YAML; empty: what was given is taken back, so that the default holds."""


def parse_edits(text: str) -> list[Edit]:
    """Return the edits in ``PATH=VALUE[,PATH=VALUE…]``.  Raises ConfigError when it is something else."""
    edits = []
    for piece in _pieces(text):
        found = _EDIT.fullmatch(piece)
        if not found:
            raise ConfigError([f"{quoted(piece)}: expected PATH=VALUE, such as policy.idledurationms=30000"])
        edits.append(Edit(found[1], found[2].strip()))
    return edits


def _pieces(text: str) -> Iterator[str]:
    """Yield what is between the commas outside of quotes and brackets behind which another path begins."""
    begin = 0
    open_brackets: list[str] = []
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _CLOSING:
            open_brackets.append(_CLOSING[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        elif character == "," and not open_brackets and _NEXT_EDIT.match(text, at):
            yield text[begin:at]
            begin = at + 1
    yield text[begin:]


def edited(plain: Plain, cls: type[Any], edits: list[Edit], registries: Registries) -> list[str]:
    """Change what a file would say for an instance of `cls`, and return the problems with edits that were left out.

    Names come first, whatever the order, since it depends on them what else there can be.  Values are not looked at.
    """
    editor = _Editor(registries)
    problems = []
    for edit in sorted(edits, key=lambda edit: not edit.path.lower().endswith(".name")):
        try:
            editor.put(plain, cls, edit.path.split("."), *_value(edit))
        except (ValueError, Invalid) as error:
            said = error.problems[0].problem if isinstance(error, Invalid) else str(error)
            problems.append(f"{edit.path}: {said}")
    return problems


def _value(edit: Edit) -> tuple[Any, bool]:
    """Return the value as plain data, and whether there is one."""
    return (_plain(parse_text(edit.value)), True) if edit.value else (None, False)


def _plain(node: tree.Node) -> Any:
    refuse_tag(node)
    if isinstance(node, tree.Scalar):
        return node.value
    if isinstance(node, tree.Sequence):
        return [_plain(item) for item in node.items]
    assert isinstance(node, tree.Mapping)
    return {_key(key): _plain(value) for key, value in node.entries}


def _key(node: tree.Node) -> str:
    refuse_tag(node)
    if not isinstance(node, tree.Scalar):
        raise Invalid([Problem(node.place, "a list or mapping as a key", "a plain key")])
    return node.raw


class _Editor:
    """Finds the place of a path among plain data with the help of the classes that they are for."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    def put(self, plain: Plain, cls: type[Any], keys: list[str], value: Any, is_given: bool) -> None:
        """Set, or take out, what is at the path `keys` in the parameters `plain` of a `cls`.  Raises ValueError."""
        fields = fields_by_key(cls)
        key = normalized(keys[0])
        if key not in fields:
            raise ValueError(f"unknown key {quoted(keys[0])}, expected {known_names(key, fields)}")
        if issubclass(cls, PolicyParams) and key in SHORT_FORMS and is_given:
            plain.pop("pidwatcher", None)
        if len(keys) == 1:
            _set(plain, key, value, is_given)
            return
        field = fields[key]
        if field.metadata.get(MANY_KEY):
            items = _items(plain, key)
            self._put_part(items[_index(keys[1], items, {"name": ""})], field, keys[2:], value, is_given)
        elif KIND_KEY in field.metadata:
            inner = plain.setdefault(key, {"name": ""} if field.metadata[NAMED_KEY] else {})
            self._put_part(inner, field, keys[1:], value, is_given)
        else:
            self._put_inner(plain, key, field, keys[1:], value, is_given)

    def _put_part(self, plain: Any, field: Field, keys: list[str], value: Any, is_given: bool) -> None:
        registry = self._registries[field.metadata[KIND_KEY]]
        if isinstance(registry, type):
            self.put(plain, registry, keys, value, is_given)
        elif not keys:
            raise ValueError("the number of a list entry alone, expected what to set of it, such as its name")
        elif normalized(keys[0]) == "name" and len(keys) == 1:
            _rename(plain, str(value), registry)
        elif plain["name"] not in registry:
            raise ValueError(f"there is no {field.metadata[KIND_KEY]}, set its name first")
        else:
            self.put(plain.setdefault("config", {}), registry[plain["name"]], keys, value, is_given)

    def _put_inner(self, plain: Plain, key: str, field: Field, keys: list[str], value: Any, is_given: bool) -> None:
        """Go on into a field that is no part: parameters, a list of such, or a map."""
        inner_cls = _params_class(field.type)
        origin = typing.get_origin(field.type)
        if origin is dict and len(keys) == 1:
            _set(plain.setdefault(key, {}), keys[0], value, is_given)
        elif inner_cls is None:
            raise ValueError(f"there is nothing below {key}, its value is set as a whole")
        elif origin is tuple:
            items = _items(plain, key)
            index = _index(keys[0], items, {})
            if len(keys) == 1:
                items[index : index + 1] = [value] if is_given else []
            else:
                self.put(items[index], inner_cls, keys[1:], value, is_given)
        else:
            self.put(plain.setdefault(key, {}), inner_cls, keys, value, is_given)


def _set(plain: Plain, key: str, value: Any, is_given: bool) -> None:
    if is_given:
        plain[key] = value
    else:
        plain.pop(key, None)


def _rename(plain: Plain, name: str, registry: Mapping[str, type[Any]]) -> None:
    """Make it another part, which keeps what it has a parameter for, too."""
    if name not in registry:
        raise ValueError(f"unknown name {quoted(name)}, expected {known_names(name, registry)}")
    known = fields_by_key(registry[name])
    plain["config"] = {key: value for key, value in plain.get("config", {}).items() if key in known}
    plain["name"] = name


def _items(plain: Plain, key: str) -> list[Any]:
    items: list[Any] = plain.setdefault(key, [])
    return items


def _index(key: str, items: list[Any], new: Any) -> int:
    """Return the index that a key stands for; the one behind the last appends `new`."""
    if not re.fullmatch("[0-9]{1,4}", key) or int(key) > len(items):
        raise ValueError(f"unknown entry {quoted(key)}, expected a number from 0 to {len(items)}")
    if int(key) == len(items):
        items.append(new)
    return int(key)


def _params_class(wanted: Any) -> type[Any] | None:
    """Return the class of parameters in a field's type, None when it holds plain values."""
    if isinstance(wanted, type) and attrs.has(wanted):
        return wanted
    inner = filter(None, map(_params_class, typing.get_args(wanted)))
    return next(inner, None)
