"""Single values of a file: their types, their bounds, and how messages call them."""

import math
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from memtierd.config import tree
from memtierd.config.problems import Collected, Invalid, Problem, quoted, shortened
from memtierd.parameters import Option

INTEGER = "an integer"
NUMBER = "a number"
TEXT = "text"
_TYPE_NAMES = {bool: "boolean", int: "integer", float: "number"}


def wrong(node: tree.Node, expected: str) -> Invalid:
    """Return the error for a node that is not what was expected."""
    return Invalid([Problem(node.place, f"got {described(node)}", expected)])


def described(node: tree.Node) -> str:
    """Return what a node is and holds, for a message."""
    if not isinstance(node, tree.Scalar):
        if isinstance(node, tree.Sequence):
            return "a list" if node.items else "an empty list"
        return "a mapping"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return f"the text {quoted(node.raw)}"
    return f"the {_TYPE_NAMES[type(node.value)]} {shortened(node.raw)}"


def is_nothing(node: tree.Node) -> bool:
    """Return whether a key was written without a value (or with null)."""
    return isinstance(node, tree.Scalar) and node.value is None and node.tag is None


def refuse_tag(node: tree.Node) -> None:
    """Raise Invalid when `node` carries a tag such as ``!!str`` or ``!!python/object``."""
    if node.tag is not None:
        raise Invalid([Problem(node.place, f"the tag {quoted(node.tag)}", "a value without a tag")])


def structure_bool(node: tree.Node, _: Any) -> bool:
    """Return the boolean of a node."""
    if isinstance(node, tree.Scalar) and isinstance(node.value, bool):
        return node.value
    raise wrong(node, "true or false")


def structure_int(node: tree.Node, _: Any) -> int:
    """Return the integer of a node; neither ``1.0`` nor ``"1"`` nor ``true`` is one."""
    if isinstance(node, tree.Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    raise wrong(node, INTEGER)


def structure_float(node: tree.Node, _: Any) -> float:
    """Return the finite number of a node, written with or without a fraction."""
    if isinstance(node, tree.Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        value = float(node.value)
        if math.isfinite(value):
            return value
    raise wrong(node, NUMBER)


def structure_str(node: tree.Node, _: Any) -> str:
    """Return the text of a node; characters that no path and no message can carry are refused."""
    if not isinstance(node, tree.Scalar) or not isinstance(node.value, str):
        raise wrong(node, TEXT)
    for character in node.value:
        if character == "\0" or "\ud800" <= character <= "\udfff":
            problem = f"text with the character U+{ord(character):04X}"
            raise Invalid([Problem(node.place, problem, "text without it")])
    return node.value


LEAF_HOOKS: dict[type[Any], Callable[[tree.Node, Any], Any]] = {
    bool: structure_bool,
    int: structure_int,
    float: structure_float,
    str: structure_str,
}


def with_limits(expected: str, option: Option) -> str:
    """Return what was expected, with what the option says beyond the type."""
    if expected == TEXT and option.choices:
        return f"one of {', '.join(option.choices)}"
    if expected not in {INTEGER, NUMBER}:
        return expected
    low, high = option.bounds
    unit = f" ({option.unit})" if option.unit else ""
    if low is not None and high is not None:
        return f"{expected} from {low:.16g} to {high:.16g}{unit}"
    if low is not None:
        return f"{expected} of {low:.16g} or more{unit}"
    if high is not None:
        return f"{expected} of {high:.16g} or less{unit}"
    return expected + unit


def check_leaves(node: tree.Node, wanted: Any, option: Option, found: Collected) -> None:
    """Add which leaves of the field of type `wanted` are out of bounds, no choice, or nodes named twice.

    A leaf of a wrong type is somebody else's problem, and doesn't hide those of the others.
    """
    for path, leaf in _leaves(node) if option.choices or option.bounds != (None, None) else ():
        if not _allowed(leaf.value, option):
            found.add(leaf.place, f"got {described(leaf)}", with_limits(_kind(wanted), option), *path)
    if option.unit == "node":
        _check_doubles(node, found)


def check_whole(node: tree.Node, value: Any, option: Option, found: Collected) -> None:
    """Add what the option's own check has against a value of the right type."""
    if option.check is None:
        return
    try:
        expected = option.check(value)
    except (OverflowError, RecursionError) as error:  # re.compile on "x{9999999999}" and on endless nesting
        expected = f"something simpler ({error})"
    if expected is not None:
        found.add(node.place, f"got {described(node)}", expected)


def _kind(wanted: Any) -> str:
    """Return what a field of the type `wanted`, or each leaf of its list or map, has to be."""
    inner = [part for part in typing.get_args(wanted) if part not in {types.NoneType, Ellipsis}]
    return _kind(inner[-1]) if inner else {int: INTEGER, float: NUMBER}.get(wanted, TEXT)


def _allowed(value: Any, option: Option) -> bool:
    if isinstance(value, str):
        return not option.choices or value in option.choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low, high = option.bounds
    return (low is None or value >= low) and (high is None or value <= high)


def _check_doubles(node: tree.Node, found: Collected, *path: str) -> None:
    """Add a problem for every node number that a list holds a second time."""
    if isinstance(node, tree.Mapping):
        for key, value in node.entries:
            if isinstance(key, tree.Scalar):
                _check_doubles(value, found, *path, key.raw)
    if isinstance(node, tree.Sequence):
        seen = set()
        for index, item in enumerate(node.items):
            if isinstance(item, tree.Scalar) and type(item.value) is int:
                if item.value in seen:
                    found.add(item.place, f"node {item.raw} twice in the list", "each node once", *path, str(index))
                seen.add(item.value)


def _leaves(node: tree.Node, *path: str) -> Iterator[tuple[tuple[str, ...], tree.Scalar]]:
    """Yield the scalars below `node` with their paths; keys are none."""
    if isinstance(node, tree.Scalar):
        yield path, node
    elif isinstance(node, tree.Sequence):
        for index, item in enumerate(node.items):
            yield from _leaves(item, *path, str(index))
    elif isinstance(node, tree.Mapping):
        for key, value in node.entries:
            yield from _leaves(value, *path, key.raw if isinstance(key, tree.Scalar) else "?")
