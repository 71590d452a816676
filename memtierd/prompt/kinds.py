"""The types of values that flags take."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from memtierd.parameters import UNIT_BOUNDS
from memtierd.prompt.grammar import Kind
from memtierd.units import PAGE_BYTES, parse_duration_ns, parse_size

if TYPE_CHECKING:
    from memtierd.model import AddressRange

_RANGE = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})(?:-(?:0x)?([0-9a-fA-F]{1,16})|\+(\S+))?")
_ADDRESS = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})")
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_LAST_ADDRESS = (1 << 64) - PAGE_BYTES
MAX_COUNT = (1 << 63) - 1


def _boolean(text: str) -> bool:
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise ValueError(f"invalid value {text!r}, expected true or false")
    return found


def _integer(what: str, low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        digits = text.strip()
        if re.fullmatch(r"-?[0-9]{1,20}", digits) and low <= int(digits) <= high:
            return int(digits)
        bounds = f"{low} or more" if high == MAX_COUNT else f"from {low} to {high}"
        raise ValueError(f"invalid {what} {text!r}, expected a number {bounds}")

    return parse


def _list(parse: Callable[[str], Any], what: str) -> Callable[[str], tuple[Any, ...]]:
    def parse_all(text: str) -> tuple[Any, ...]:
        items = [item for item in text.split(",") if item.strip()]
        if not items:
            raise ValueError(f"empty list, expected {what} separated by commas")
        return tuple(parse(item) for item in items)

    return parse_all


def _choice(what: str, choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"unknown {what} {text!r}, expected {', '.join(choices)}")
        return text

    return parse


def parse_address(text: str) -> int:
    """Return a hexadecimal address, with or without 0x.  Raises ValueError with a sentence for the user."""
    found = _ADDRESS.fullmatch(text.strip())
    if not found:
        raise ValueError(f"invalid address {text!r}, expected a hexadecimal number")
    return int(found[1], 16)


def parse_range(text: str) -> "AddressRange":
    """Return the range START (one page), START-END or START+SIZE; addresses are hexadecimal.

    Both ends are rounded down to whole pages, reversed ones are swapped.  Raises ValueError with a sentence.
    """
    from memtierd.model import AddressRange  # noqa: PLC0415  it brings NumPy, and a client starts without

    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f"invalid address range {text!r}, expected START, START-END or START+SIZE, such as 7f00000000+64M"
        )
    start = int(found[1], 16)
    end = start + PAGE_BYTES
    if found[2]:
        start, end = sorted((start, int(found[2], 16)))
    elif found[3]:
        end = start + parse_size(found[3])
    return AddressRange(*(min(_page_start(address), _LAST_ADDRESS) for address in (start, end)))


def _page_start(address: int) -> int:
    return address // PAGE_BYTES * PAGE_BYTES


def _duration_s(text: str) -> float:
    return parse_duration_ns(text) / 1e9


_LOW_PID, _HIGH_PID = UNIT_BOUNDS["pid"]
_parse_pid = _integer("pid", _LOW_PID, _HIGH_PID)

SWITCH = Kind(_boolean, "")
TEXT = Kind(str, "TEXT")
COUNT = Kind(_integer("count", 0, MAX_COUNT), "N", "a number, 0 or more")
PAGE_COUNT = Kind(_integer("number of pages", 1, 1 << 40), "PAGES", "a number of pages, 1 or more")
NODE = Kind(_integer("node", *UNIT_BOUNDS["node"]), "NODE", "the number of a NUMA node", completes="node")
PFN = Kind(_integer("page frame number", 0, (1 << 52) - 1), "PFN", "the number of a page frame of the machine's memory")
PID = Kind(_parse_pid, "PID", "the id of a process", completes="pid")
PIDS = Kind(_list(_parse_pid, "pids"), "PID[,PID...]", completes="pid", is_list=True)
ADDRESS = Kind(parse_address, "ADDR", "a hexadecimal address, with or without `0x`")
RANGES = Kind(
    _list(parse_range, "address ranges"),
    "RANGE[,RANGE...]",
    "`START` (one page), `START-END` or `START+SIZE`, such as `7f2a40000000+64M`; addresses are hexadecimal, both ends"
    " are rounded down to whole pages; SIZE is a number with `k`, `M`, `G` or `T`, or bytes",
)
NAMES = Kind(_list(str.strip, "names"), "NAME[,NAME...]", is_list=True)
STATES = attrs.evolve(
    NAMES,
    metavar="STATE[,STATE...]",
    form="states of regions, of how they are used or where they are: see [states](states.md)",
    completes="state",
)
FILE = Kind(str, "FILE", "the path of a file", completes="file")
DURATION = Kind(_duration_s, "TIME", "a number with `ms`, `s`, `m`, `h` or `d`; without a unit it is seconds")
"""Seconds as float."""
EDITS = Kind(
    str,
    "PATH=VALUE[,PATH=VALUE...]",
    "where a value is in a configuration file, without the keys `config`, and the value in YAML; entries of lists are"
    " numbered from 0; the flag may be given again and again",
    completes="setting",
    is_list=True,
    repeats=True,
)
SETTING = Kind(str, "PATH", "where a value, or several, are in a configuration file", completes="setting")
REST = Kind(str, "ARGS", takes_rest=True)


def one_of(what: str, metavar: str, *choices: str) -> Kind:
    """Return the kind of a value that must be one of `choices`."""
    return Kind(_choice(what, choices), metavar, choices=choices)


def some_of(what: str, metavar: str, *choices: str) -> Kind:
    """Return the kind of a list whose items must be of `choices`."""
    return Kind(_list(_choice(what, choices), "names"), metavar, choices=choices, is_list=True)


def name_of(what: str) -> Kind:
    """Return the kind of a name out of a registry: "policy", "tracker", "pidwatcher" or "routine"."""
    return Kind(str, "NAME", completes=what)


FORMAT = one_of("format", "txt|csv|json", "txt", "csv", "json")
