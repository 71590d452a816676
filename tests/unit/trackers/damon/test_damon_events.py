"""The event as text, as kernels and perf write it, to columns; streams to lines."""

import numpy as np
import pytest

from memtierd.trackers.damon.connection import Records
from memtierd.trackers.damon.events import Lines, lost_events, parse_events
from memtierd.trackers.damon.inbox import Inbox
from tests.unit.trackers.damon.damon_fakes import aggregation

TRACE_6_12 = b"""\
       kdamond.0-412     [001] .....   198.207123: damon_aggregated: target_id=0 nr_regions=11 94371840-98304000: 3 12
       kdamond.0-412     [001] .....   198.207125: damon_aggregated: target_id=1 nr_regions=2 4096-8192: 0 7
"""
TRACE_5_15 = (
    b"       kdamond.0-77      [000] ....    12.000001: damon_aggregated: target_id=18446612682170114048"
    b" nr_regions=10 4096-8192: 20\n"
)
WITH_TGID = (
    b"  kdamond.3-12345   (-------) [012] d..1. 9198.207123: damon_aggregated: target_id=4 nr_regions=1 0-4096: 1 0\n"
)
PERF = b"kdamond.0   412 [001]   198.207123456: damon:damon_aggregated: target_id=0 nr_regions=1 4096-8192: 3 12\n"


def rows(records: Records) -> list[tuple[int, ...]]:
    """Return the records as plain tuples."""
    columns = (records.time_ns, records.thread, records.target, records.nr_regions, records.start, records.end)
    return [tuple(row) for row in np.array([*columns, records.nr_accesses], dtype=object).T.tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            TRACE_6_12,
            [
                (198_207_123_000, 412, 0, 11, 94371840, 98304000, 3),
                (198_207_125_000, 412, 1, 2, 4096, 8192, 0),
            ],
        ),
        (TRACE_5_15, [(12_000_001_000, 77, 18446612682170114048, 10, 4096, 8192, 20)]),
        (WITH_TGID, [(9_198_207_123_000, 12345, 4, 1, 0, 4096, 1)]),
        (PERF, [(198_207_123_456, 412, 0, 1, 4096, 8192, 3)]),
        (b"", []),
        (b"CPU:0 [LOST 12 EVENTS]\nsomething else\n", []),
    ],
)
def test_text_of_real_kernels(text: bytes, expected: list[tuple[int, ...]]) -> None:
    assert rows(parse_events(text)) == expected


def test_other_lines_between_are_passed_over() -> None:
    mixed = b"CPU:1 [LOST 3 EVENTS]\n" + TRACE_6_12 + b"Lost 4 events\n" + TRACE_6_12
    assert len(parse_events(mixed)) == 4
    assert lost_events(mixed + b"CPU:0 [LOST 40 EVENTS]\n") == 43


def test_a_stream_is_cut_into_whole_lines_wherever_it_is_torn() -> None:
    for size in (1, 7, 100, 1000):
        lines = Lines()
        chunks = [TRACE_6_12[at : at + size] for at in range(0, len(TRACE_6_12), size)]
        whole = [lines.whole(chunk) for chunk in chunks]
        assert b"".join(whole) == TRACE_6_12
        assert all(piece.endswith(b"\n") for piece in whole if piece)


def test_a_line_that_never_ends_is_dropped() -> None:
    lines = Lines(most_bytes=10)
    assert lines.whole(b"x" * 11) == b""
    assert lines.whole(b"y\nz") == b"y\n"


def test_the_inbox_keeps_the_newest_and_counts_the_rest() -> None:
    inbox = Inbox(most_records=5)
    for page in range(4):
        inbox.put(aggregation((page, page + 1, 0), (page + 1, page + 2, 0)))
    inbox.put(Records.none())
    assert inbox.dropped == 4
    assert (inbox.take().start // 4096).tolist() == [2, 3, 3, 4]
    assert len(inbox.take()) == 0
