"""The event damon:damon_aggregated as text, as trace_pipe and perf script write it, to columns.

Linux 5.15 to 6.x write the same but for `age`, which the first ones lack and which is not needed here:

    kdamond.0-1234    [001] .....   123.456789: damon_aggregated: target_id=0 nr_regions=11 4096-8192: 3 12
    kdamond.0  1234 [001]   123.456789: damon:damon_aggregated: target_id=0 nr_regions=11 4096-8192: 3 12
"""

import re
from collections.abc import Sequence

import numpy as np

from memtierd.model import U64
from memtierd.trackers.damon.connection import Records

_EVENT = re.compile(
    rb"[- ](\d+) +(?:\([^)]*\) +)?\[\d+\] +(?:\S+ +)?(\d+)\.(\d+): +(?:damon:)?damon_aggregated: +"
    rb"target_id=(\d+) nr_regions=(\d+) (\d+)-(\d+): (\d+)"
)
"""Thread; seconds and their fraction; target_id, nr_regions, start, end, nr_accesses."""
_LOST = re.compile(rb"LOST (\d+) EVENTS")
_NS_PER_S = 1_000_000_000
_NS_DIGITS = 9


def parse_events(text: bytes) -> Records:
    """Return the records of whole lines of text; lines of anything else are passed over."""
    found = _EVENT.findall(text)
    if not found:
        return Records.none()
    thread, seconds, fraction, target, nr_regions, start, end, nr_accesses = numbers_of(found).T
    fraction_ns = 10 ** (_NS_DIGITS - len(found[0][2]))  # always as many digits in one source
    return Records(
        time_ns=seconds.astype(np.int64) * _NS_PER_S + fraction.astype(np.int64) * fraction_ns,
        thread=thread.astype(np.uint32),
        target=target,
        nr_regions=nr_regions.astype(np.uint32),
        start=start,
        end=end,
        nr_accesses=nr_accesses.astype(np.uint32),
    )


def lost_events(text: bytes) -> int:
    """Return how many events trace_pipe says were overwritten before they were read."""
    return sum(int(count) for count in _LOST.findall(text))


def numbers_of(fields: Sequence[tuple[bytes, ...]]) -> U64:
    """Return decimal numbers, which need not be checked any more, as an array of the shape of `fields`."""
    text = b" ".join(map(b" ".join, fields))
    flat: U64 = np.fromstring(text, dtype=np.uint64, sep=" ")
    return flat.reshape(len(fields), -1)


class Lines:
    """Cuts a stream of bytes into whole lines; a line without an end that grows too long is dropped."""

    def __init__(self, most_bytes: int = 1 << 16) -> None:
        self._most_bytes = most_bytes
        self._rest = b""

    def whole(self, chunk: bytes) -> bytes:
        """Return all lines that `chunk` completes, and keep what is behind the last."""
        head, newline, tail = chunk.rpartition(b"\n")
        lines = self._rest + head + newline if newline else b""
        rest = tail if newline else self._rest + tail
        self._rest = rest if len(rest) <= self._most_bytes else b""
        return lines
