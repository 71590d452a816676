"""The bytes of a state file: a checked prefix, a header in JSON, and compressed columns.  Nothing in it is code.

    8 bytes  "memtierd"
    uint32   version
    uint32   CRC-32 of all that follows
    uint32   bytes of the header
    header   JSON: the boot, the processes, the sizes of the columns
    columns  each compressed with zlib, in the order of _COLUMNS

All numbers are little-endian.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from memtierd.errors import MemtierdError
from memtierd.model import U64, ProcessKey
from memtierd.regions.learned import Learned
from memtierd.state.histories import Backed, ProcessHistory
from memtierd.units import PAGE_BYTES

VERSION = 1
MOST_REGIONS = 1 << 26
_MOST_MAPPINGS = 1 << 26
_MAGIC = b"memtierd"
_PREFIX = struct.Struct("<8sII")
_HEADER_BYTES = struct.Struct("<I")
_FASTEST = 1
_ADDRESS_LIMIT = 1 << 57  # five levels of page tables: Documentation/arch/x86/x86_64/5level-paging.rst
_REGION_COLUMNS = {
    "gap_pages": "<u8",  # from the end of the region before, modulo 2**64: mostly 0
    "pages": "<u4",
    "accesses": "<u4",
    "writes": "<u4",
    "idle_ms": "<u4",
    "active_ms": "<u4",
    "heat": "<f4",
    "judged": "<u1",
}
_MAPPING_COLUMNS = {"mapping_start": "<u8", "mapping_end": "<u8", "backing": "<u4"}
_COLUMNS = _REGION_COLUMNS | _MAPPING_COLUMNS


class DamagedError(MemtierdError):
    """The bytes are no state that this version can read; the message is said of the file: "ends too early"."""


@attrs.frozen(eq=False)
class State:
    """All that is kept."""

    boot: str
    """Which run of the machine it is of: pids and times mean nothing in another one."""
    histories: tuple[ProcessHistory, ...]


def encode(state: State) -> list[bytes]:
    """Return the bytes in pieces."""
    backings = {text: number for number, text in enumerate(sorted(_texts(state.histories)))}
    pieces = [zlib.compress(_packed(name, state.histories, backings), _FASTEST) for name in _COLUMNS]
    header = {
        "boot": state.boot,
        "processes": [_process_entry(history) for history in state.histories],
        "backings": list(backings),
        "column_bytes": [len(piece) for piece in pieces],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    rest = [_HEADER_BYTES.pack(len(text)), text, *pieces]
    checksum = 0
    for piece in rest:
        checksum = zlib.crc32(piece, checksum)
    return [_PREFIX.pack(_MAGIC, VERSION, checksum), *rest]


def decode(data: bytes) -> State:
    """Return what `encode` was given.  Raises DamagedError for anything else."""
    if len(data) < _PREFIX.size + _HEADER_BYTES.size:
        raise DamagedError("ends too early")
    magic, version, checksum = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise DamagedError("is no state file of memtierd")
    if version != VERSION:
        raise DamagedError(f"has version {version}, and this memtierd reads version {VERSION}")
    if zlib.crc32(memoryview(data)[_PREFIX.size :]) != checksum:
        raise DamagedError("is damaged: its checksum is wrong")
    try:
        return _decoded(data)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError, zlib.error) as error:
        raise DamagedError(f"is malformed: {error}") from error


def _decoded(data: bytes) -> State:
    header_at = _PREFIX.size + _HEADER_BYTES.size
    (header_bytes,) = _HEADER_BYTES.unpack_from(data, _PREFIX.size)
    header = json.loads(data[header_at : header_at + header_bytes])
    entries = [_Entry(*entry) for entry in header["processes"]]
    regions, mappings = sum(entry.regions for entry in entries), sum(entry.mappings for entry in entries)
    if not (0 <= regions <= MOST_REGIONS and 0 <= mappings <= _MOST_MAPPINGS):
        raise ValueError(f"{regions} regions and {mappings} mappings")
    columns: dict[str, Any] = {}
    at = header_at + header_bytes
    for (name, dtype), size in zip(_COLUMNS.items(), header["column_bytes"], strict=True):
        length = mappings if name in _MAPPING_COLUMNS else regions
        columns[name] = _column(data[at : at + size], dtype, length)
        at += size
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    starts = _starts(columns.pop("gap_pages"), columns["pages"])
    histories = []
    region_at, mapping_at = 0, 0
    for entry in entries:
        rows = slice(region_at, region_at + entry.regions)
        ranges = slice(mapping_at, mapping_at + entry.mappings)
        histories.append(_history(entry, starts[rows], columns, rows, ranges, header["backings"]))
        region_at, mapping_at = rows.stop, ranges.stop
    return State(_text(header["boot"]), tuple(histories))


def _count(_entry: Any, attribute: Any, value: Any) -> None:
    if type(value) is not int or value < 0:
        raise ValueError(f"{attribute.name} {value!r}")


@attrs.frozen
class _Entry:
    """A process in the header."""

    pid: int = attrs.field(validator=_count)
    start_ticks: int = attrs.field(validator=_count)
    image: str = attrs.field(validator=attrs.validators.instance_of(str))
    seen_ns: int = attrs.field(validator=_count)
    keeps_heat: bool = attrs.field(validator=attrs.validators.instance_of(bool))
    regions: int = attrs.field(validator=_count)
    mappings: int = attrs.field(validator=_count)


def _process_entry(history: ProcessHistory) -> tuple[Any, ...]:
    key, learned = history.key, history.learned
    entry = _Entry(
        key.pid,
        key.start_ticks,
        history.image,
        history.seen_ns,
        learned.keeps_heat,
        len(learned),
        len(history.mappings.start),
    )
    return attrs.astuple(entry)


def _texts(histories: Sequence[ProcessHistory]) -> set[str]:
    return {text for history in histories for text in history.mappings.backing}


def _packed(name: str, histories: Sequence[ProcessHistory], backings: dict[str, int]) -> bytes:
    """Return one column of all processes: one at a time needs the least memory."""
    match name:
        case "gap_pages":
            start = _joined([history.learned.start for history in histories], "<u8")
            pages = _joined([history.learned.pages for history in histories], "<u4")
            column = _gaps(start // np.uint64(PAGE_BYTES), pages)
        case "mapping_start":
            column = _joined([history.mappings.start for history in histories], "<u8")
        case "mapping_end":
            column = _joined([history.mappings.end for history in histories], "<u8")
        case "backing":
            column = np.array([backings[text] for history in histories for text in history.mappings.backing])
        case _:
            column = _joined([getattr(history.learned, name) for history in histories], _REGION_COLUMNS[name])
    return column.astype(_COLUMNS[name]).tobytes()


def _joined(parts: Sequence[Any], dtype: str) -> Any:
    return np.concatenate([np.zeros(0, dtype), *parts], dtype=dtype)


def _gaps(first_page: U64, pages: Any) -> U64:
    """Return for each region the pages since the end of the one before, modulo 2**64."""
    end = first_page + pages.astype(np.uint64)
    before: U64 = np.concatenate([np.zeros(min(1, len(end)), np.uint64), end[:-1]])
    return first_page - before


def _starts(gap_pages: U64, pages: Any) -> U64:
    """Return the addresses again."""
    wide = pages.astype(np.uint64)
    end = np.cumsum(gap_pages + wide, dtype=np.uint64)
    start: U64 = (end - wide) * np.uint64(PAGE_BYTES)
    return start


def _column(data: bytes, dtype: str, rows: int) -> Any:
    expected = rows * np.dtype(dtype).itemsize
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(data, expected + 1)
    if len(raw) != expected or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"a column is not of {rows} rows")
    return np.frombuffer(raw, dtype)


def _history(
    entry: _Entry, start: U64, columns: dict[str, Any], rows: slice, ranges: slice, backings: list[Any]
) -> ProcessHistory:
    """Return copies: what is kept of one process must not keep alive what was of all."""
    own = {name: columns[name][rows].copy() for name in _REGION_COLUMNS if name != "gap_pages"}
    learned = Learned(start=start.copy(), keeps_heat=entry.keeps_heat, **(own | {"judged": own["judged"] != 0}))
    _check_ranges(learned.start, learned.start + learned.pages.astype(np.uint64) * np.uint64(PAGE_BYTES))
    if not (np.isfinite(learned.heat).all() and (learned.heat >= 0).all()):
        raise ValueError("a heat that is none")
    mapping_start, mapping_end = columns["mapping_start"][ranges].copy(), columns["mapping_end"][ranges].copy()
    _check_ranges(mapping_start, mapping_end)
    texts = tuple(_text(backings[number]) for number in columns["backing"][ranges].tolist())
    return ProcessHistory(
        key=ProcessKey(entry.pid, entry.start_ticks),
        image=entry.image,
        seen_ns=entry.seen_ns,
        learned=learned,
        mappings=Backed(mapping_start, mapping_end, texts),
    )


def _check_ranges(start: U64, end: U64) -> None:
    if (start >= end).any() or (end > _ADDRESS_LIMIT).any() or (start[1:] < end[:-1]).any():
        raise ValueError("addresses that can't be")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} in place of a text")
    return value
