"""Declaring a part's parameters: one attrs field carries default, bounds, unit and description.

`config/` reads the metadata to check a file and to explain it; nothing else interprets it.
"""

from collections.abc import Callable
from typing import Any

import attrs

METADATA_KEY = "memtierd"


@attrs.frozen
class Option:
    """What is known of one parameter beside its type and default."""

    doc: str
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    """Allowed texts; empty: any."""
    required: bool = False
    check: Callable[[Any], str | None] | None = None
    """Returns what was expected when the value is wrong, None when it is right."""


def option(
    default: Any = attrs.NOTHING,
    *,
    doc: str,
    unit: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[Any], str | None] | None = None,
    factory: Callable[[], Any] | None = None,
) -> Any:
    """Return an attrs field for one parameter; without `default` and `factory` it must be given in the file."""
    described = Option(doc, unit, at_least, at_most, choices, default is attrs.NOTHING and factory is None, check)
    if factory is not None:
        return attrs.field(factory=factory, metadata={METADATA_KEY: described})
    return attrs.field(default=default, metadata={METADATA_KEY: described})


def option_of(field: "attrs.Attribute[Any]") -> Option:
    """Return the Option of an attrs field declared with `option`."""
    found: Option = field.metadata[METADATA_KEY]
    return found


@attrs.frozen
class Part:
    """A named part with its parameters, such as ``{name: softdirty, config: {…}}`` in a file."""

    name: str
    params: Any
    """Instance of the params class that the part's registry gives for `name`."""


KIND_KEY = "memtierd.kind"
NAMED_KEY = "memtierd.named"


def part(kind: str, default: Any = attrs.NOTHING, *, doc: str, named: bool = True) -> Any:
    """Return an attrs field that holds a part of the registry `kind` ("tracker", "pidwatcher", "mover", …).

    A named part is a Part, written as a mapping with `name` and `config`; an unnamed one is the
    params instance itself, written as a mapping of its parameters.  `default` is a value or a factory.
    """
    described = Option(doc=doc, required=default is attrs.NOTHING)
    metadata = {METADATA_KEY: described, KIND_KEY: kind, NAMED_KEY: named}
    if callable(default):
        return attrs.field(factory=default, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)
