"""Declaring a part's parameters: one attrs field carries default, bounds, unit and description.

`config/` reads the metadata to check a file and to explain it; nothing else interprets it.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import attrs

METADATA_KEY = "memtierd"

UNIT_BOUNDS: dict[str, tuple[int, int]] = {
    "node": (0, 1023),  # MAX_NUMNODES is at most 1 << 10 (include/linux/numa.h, NODES_SHIFT)
    "pid": (1, 4_194_303),  # PID_MAX_LIMIT is 4 * 1024 * 1024 (include/linux/threads.h)
    "ms": (0, 1_000_000_000_000),  # 31 years: in nanoseconds still 64 bits
}
"""Smallest and largest value of a unit, where an option doesn't say otherwise.

A list of nodes moreover may name no node twice.
"""


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
    """Returns what was expected when the value is wrong, None when it is right; it gets the whole list or map."""

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Return the smallest and largest number allowed; for a list or map they hold for each of its values."""
        low, high = UNIT_BOUNDS.get(self.unit, (None, None))
        return (low if self.at_least is None else self.at_least, high if self.at_most is None else self.at_most)


class FieldProblem(NamedTuple):
    """What a params class finds wrong with one of its fields in the light of the others."""

    field: str
    """Its name; empty: the whole is wrong."""
    expected: str
    problem: str = ""
    """What is wrong; empty: the value itself is shown."""
    key: str | int | None = None
    """The key or index of the entry at fault, when the field is a map or a list."""
    depends_on: tuple[str, ...] = ()
    """Other fields that were looked at: when one of them is wrong itself, this problem isn't told."""


@runtime_checkable
class ChecksItself(Protocol):
    """A params class with checks over several fields."""

    def problems(self) -> Iterable[FieldProblem]:
        """Return what is wrong; pure, and called only with fields that are right one by one."""
        ...


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
MANY_KEY = "memtierd.many"


def part(kind: str, default: Any = attrs.NOTHING, *, doc: str, named: bool = True, many: bool = False) -> Any:
    """Return an attrs field that holds a part of the registry `kind` ("tracker", "pidwatcher", "mover", …).

    A named part is a Part, written as a mapping with `name` and `config`; an unnamed one is the
    params instance itself, written as a mapping of its parameters.  `many` parts are a tuple, written
    as a list.  `default` is a value or a factory.
    """
    described = Option(doc=doc, required=default is attrs.NOTHING)
    metadata = {METADATA_KEY: described, KIND_KEY: kind, NAMED_KEY: named, MANY_KEY: many}
    if callable(default):
        return attrs.field(factory=default, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)
