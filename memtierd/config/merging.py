"""Configuration files merged into one tree: what comes later goes before what came earlier.

Mappings merge key by key; everything else replaces what was there.  A part with another name is another part, of which
nothing of the old one stays.  Every node keeps its place, also that of the file.
"""

import attrs

from memtierd.config import tree
from memtierd.config.keys import normalized
from memtierd.config.leaves import is_nothing
from memtierd.config.scalars import INTEGER

_MAY_BE_TEXT = ("config", "mover")
"""Keys whose mapping may be written as a text that holds it."""


def merged(base: tree.Node, over: tree.Node) -> tree.Node:
    """Return `base` with everything that `over` says.  Raises Invalid for a broken text in one of them.

    A key that is written twice in one of them stays there twice, so that it is told of where the tree is used.
    """
    if not isinstance(base, tree.Mapping) or not isinstance(over, tree.Mapping) or _is_renamed(base, over):
        return over
    entries = list(base.entries)
    free = {_identity(key): index for index, (key, _) in reversed(list(enumerate(entries)))}
    for key, value in over.entries:
        index = free.pop(_identity(key), None)
        if index is None:
            entries.append((key, value))
        else:
            entries[index] = (key, _merged_values(key, entries[index][1], value))
    return attrs.evolve(base, entries=entries, tag=base.tag or over.tag)


def is_empty(node: tree.Node) -> bool:
    """Return whether a file says nothing: it is empty, or has comments only."""
    return is_nothing(node) and isinstance(node, tree.Scalar) and not node.raw


def _merged_values(key: tree.Node, base: tree.Node, over: tree.Node) -> tree.Node:
    if _identity(key) in _MAY_BE_TEXT:
        base, over = _opened(base), _opened(over)
    return merged(base, over)


def _opened(node: tree.Node) -> tree.Node:
    """Return the mapping in a text that holds one; any other node as it is."""
    if isinstance(node, tree.Scalar) and isinstance(node.value, str) and node.tag is None:
        inner = tree.parse(node.inner())
        return inner if isinstance(inner, tree.Mapping) else node
    return node


def _is_renamed(base: tree.Mapping, over: tree.Mapping) -> bool:
    old, new = _name(base), _name(over)
    return old is not None and new is not None and old != new


def _name(node: tree.Mapping) -> str | None:
    names = (value.raw for key, value in node.entries if _identity(key) == "name" and isinstance(value, tree.Scalar))
    return next(names, None)


def _identity(key: tree.Node) -> str | tree.Node:
    """Return what is equal for keys that mean the same; keys that are no plain ones are equal to none other."""
    if not isinstance(key, tree.Scalar):
        return key
    return key.raw if INTEGER.fullmatch(key.raw) else normalized(key.raw)
