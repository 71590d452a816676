"""What makes a policy complete: whom it watches, also in the short forms, and the parts that a file may leave out."""

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from memtierd.config import tree
from memtierd.config.keys import key_of
from memtierd.config.leaves import is_nothing
from memtierd.config.mappings import Entries, entries_of, fields_by_key
from memtierd.config.problems import Collected
from memtierd.config.structuring import Registries, Structurer
from memtierd.parameters import Part
from memtierd.policies.common import PolicyParams

SHORT_FORMS = {"cgroups": "cgroups", "pids": "pidlist"}
"""Keys of a policy that stand for the pidwatcher of that name with the same key."""
_WHOM = "whom to watch: pidwatcher, or in short cgroups (a list of directories) or pids (a list of process ids)"


def policy_structurer(registries: Registries) -> Structurer:
    """Return a Structurer for whole configurations: one that completes policies."""
    structurer = Structurer(registries)

    def complete(node: tree.Node, cls: type[PolicyParams]) -> PolicyParams:
        return _complete_policy(structurer, node, cls)

    structurer.register(lambda wanted: isinstance(wanted, type) and issubclass(wanted, PolicyParams), complete)
    return structurer


def _complete_policy(structurer: Structurer, node: tree.Node, cls: type[PolicyParams]) -> PolicyParams:
    found = Collected()
    params: Any = None
    pidwatcher: Part | None = None
    with found.under():
        params = structurer.fields_of(node, cls)
    if isinstance(node, tree.Mapping) and cls.watches:
        with found.under():
            pidwatcher = _from_short_form(structurer, node, cls)
    found.finish()
    made: PolicyParams = attrs.evolve(
        params,
        pidwatcher=params.pidwatcher or pidwatcher,
        tracker=params.tracker or default_tracker(params, structurer.default),
        mover=structurer.default("mover") if params.mover is None else params.mover,
        **dict.fromkeys(SHORT_FORMS, ()),
    )
    return made


def default_tracker(params: PolicyParams, default_part: Callable[[str, str], Any]) -> Part | None:
    """Return the tracker of a policy that names none; `default_part` gives a part by kind and name."""
    if not params.watches:
        return None
    default: Part = default_part("tracker", params.default_tracker)
    return attrs.evolve(default, params=attrs.evolve(default.params, **params.tracker_defaults))


def _from_short_form(structurer: Structurer, node: tree.Mapping, cls: type[PolicyParams]) -> Part | None:
    """Return the pidwatcher that a short form stands for, None when a pidwatcher is given.

    Raises Invalid when more than one thing says whom to watch, or nothing although no other field does.
    """
    entries, _ = entries_of(node, fields_by_key(cls), "")
    given = _given(entries, ("pidwatcher", *SHORT_FORMS))
    finders = [key_of(name) for name in cls.finders]
    found = Collected()
    if not given and not _given(entries, finders):
        found.add(node.place, "missing key", ", or ".join((_WHOM, *finders)), "pidwatcher")
    for key in given[1:]:
        found.add(
            entries[key][0].place, f"{key} beside {given[0]}", f"only one of pidwatcher, {', '.join(SHORT_FORMS)}", key
        )
    found.finish()
    return None if not given or given[0] == "pidwatcher" else _short_form(structurer, node, entries, given[0])


def _given(entries: Entries, keys: Iterable[str]) -> list[str]:
    """Return those of the keys that have a value."""
    return [key for key in keys if key in entries and not is_nothing(entries[key][1])]


def _short_form(structurer: Structurer, node: tree.Mapping, entries: Entries, key: str) -> Part:
    alone = tree.Mapping(place=node.place, entries=[entries[key]])
    return Part(SHORT_FORMS[key], structurer.named_params(alone, "pidwatcher", SHORT_FORMS[key]))
