"""Plans become batches for the mover and spans for people, with every region in exactly one of them."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import SWAP_NODE
from memtierd.placement.batches import Span, batches, spans
from memtierd.placement.plan import Obstacle, Plan, empty_plan
from memtierd.placement.text import describe_obstacle, describe_span, describe_target
from memtierd.policies.age import AgeParams, AgePolicy
from memtierd.units import PAGE_BYTES
from tests.unit.regions.region_samples import BASE, addresses, u32

Entry = tuple[int, int, int, int]
"""(process row, first page, pages, target)"""


def plan_of(
    entries: Sequence[Entry],
    *,
    source: Sequence[int] | None = None,
    activity: Sequence[int] | None = None,
    value: Sequence[float] | None = None,
    obstacle: Sequence[int] | None = None,
) -> Plan:
    """Return a plan in the order given; all pages move, and columns that are not given are 0."""
    zeros = [0] * len(entries)
    return Plan(
        made_ms=0,
        row=np.arange(len(entries)),
        process=np.array([e[0] for e in entries], np.uint16),
        start=addresses(*(e[1] for e in entries)),
        pages=u32(*(e[2] for e in entries)),
        move_pages=u32(*(e[2] for e in entries)),
        source=np.array(source or zeros, np.int16),
        target=np.array([e[3] for e in entries], np.int16),
        activity=np.array(activity or zeros, np.uint8),
        value=np.array(value or zeros, np.float32),
        obstacle=np.array(obstacle or zeros, np.uint8),
    )


def lists(plan: Plan, limit_pages: int) -> list[list[int]]:
    """Return the batches as lists."""
    return [piece.tolist() for piece in batches(plan, limit_pages)]


@pytest.mark.parametrize(
    ("entries", "limit_pages", "expected"),
    [
        ([], 10, []),
        ([(0, 0, 5, 1)], 10, [[0]]),
        ([(0, 20, 5, 1), (0, 10, 5, 1)], 10, [[1, 0]]),
        ([(0, 0, 5, 1), (0, 10, 6, 1), (0, 20, 5, 1)], 11, [[0, 1], [2]]),
        ([(0, 0, 5, 1), (0, 10, 6, 1), (0, 20, 6, 1)], 10, [[0], [1], [2]]),
        ([(0, 0, 99, 1), (0, 100, 1, 1)], 10, [[0], [1]]),
        ([(0, 0, 5, 1), (1, 0, 5, 1), (0, 10, 5, 1), (1, 10, 5, 2)], 100, [[0, 2], [1], [3]]),
        ([(0, 0, 5, SWAP_NODE), (0, 10, 5, 0), (0, 20, 5, SWAP_NODE)], 100, [[0, 2], [1]]),
        # the second piece of process 0 comes after the first of process 1: importance, not process order
        ([(0, 0, 9, 1), (1, 0, 9, 1), (0, 10, 9, 1), (1, 10, 9, 1)], 10, [[0], [1], [2], [3]]),
    ],
)
def test_batches(entries: list[Entry], limit_pages: int, expected: list[list[int]]) -> None:
    assert lists(plan_of(entries), limit_pages) == expected


entries_of_plans = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 500), st.integers(1, 30), st.sampled_from([SWAP_NODE, 0, 1, 1023])),
    max_size=40,
    unique_by=lambda e: (e[0], e[1]),
)


@given(entries_of_plans, st.integers(1, 100))
def test_any_batches_keep_their_promises(entries: list[Entry], limit_pages: int) -> None:
    pieces = lists(plan_of(entries), limit_pages)
    assert sorted(i for piece in pieces for i in piece) == list(range(len(entries)))
    for piece in pieces:
        assert len({(entries[i][0], entries[i][3]) for i in piece}) == 1
        assert sum(entries[i][2] for i in piece) <= limit_pages or len(piece) == 1
        assert [entries[i][1] for i in piece] == sorted(entries[i][1] for i in piece)
    firsts = [min(piece) for piece in pieces]
    assert firsts == sorted(firsts)
    assert len(pieces) <= 2 * sum(e[2] for e in entries) // limit_pages + len({(e[0], e[3]) for e in entries})


def test_a_batch_may_hold_more_pages_than_32_bits_count() -> None:
    plan = plan_of([(0, i << 32, (1 << 32) - 1, 1) for i in range(3)])
    assert lists(plan, 1 << 34) == [[0, 1, 2]]


def test_neighbours_that_move_alike_are_one_span() -> None:
    entries = [(1, 4, 4, 2), (0, 0, 4, 2), (1, 0, 4, 2), (1, 8, 2, 2), (1, 20, 1, 2)]
    found = spans(plan_of(entries, value=[3, 1, 5, 4, 9]))
    assert found == [
        Span(0, BASE, BASE + 4 * PAGE_BYTES, 1, 4, 0, 2, 0, 1.0, 0),
        Span(1, BASE, BASE + 10 * PAGE_BYTES, 3, 10, 0, 2, 0, 3.0, 0),
        Span(1, BASE + 20 * PAGE_BYTES, BASE + 21 * PAGE_BYTES, 1, 1, 0, 2, 0, 9.0, 0),
    ]


def test_what_moves_otherwise_is_another_span() -> None:
    entries = [(0, 0, 4, 2), (0, 4, 4, 2), (0, 8, 4, 2)]
    for plan in (
        plan_of(entries, source=[0, 1, 1]),
        plan_of(entries, activity=[0, 1, 1]),
        plan_of(entries, obstacle=[0, 1, 1]),
    ):
        assert [span.regions for span in spans(plan)] == [1, 2]


def test_another_target_is_another_span() -> None:
    assert [s.target for s in spans(plan_of([(0, 0, 4, 2), (0, 4, 4, 3), (0, 8, 4, SWAP_NODE)]))] == [2, 3, SWAP_NODE]


def test_no_plan_has_no_spans() -> None:
    assert spans(empty_plan()) == []


@given(entries_of_plans)
def test_spans_cover_every_region_once(entries: list[Entry]) -> None:
    apart = [(process, 100 * first, pages, target) for process, first, pages, target in entries]
    found = spans(plan_of(apart))
    assert sum(span.regions for span in found) == len(entries)
    assert sum(span.move_pages for span in found) == sum(e[2] for e in entries)
    assert [(s.process, s.start) for s in found] == sorted((s.process, s.start) for s in found)


AGE = AgePolicy(AgeParams(idle_duration_ms=15_000, idle_numas=(2, 3), swap_out_ms=60_000))


def span_of(state: str, target: int, obstacle: Obstacle = Obstacle.NONE) -> Span:
    """Return a span of two pages in one region."""
    return Span(0, BASE, BASE + 2 * PAGE_BYTES, 1, 2, 0, target, AGE.activity.state(state), 20.5, int(obstacle))


def test_a_line_has_everything_of_a_span() -> None:
    line = describe_span(span_of("idle", 2), 4242, "server", AGE)
    for part in ("4242", "server", f"{BASE:x}-{BASE + 2 * PAGE_BYTES:x}", "node 0", "node 2", "idle", "20.5", "15 s"):
        assert part in line
    assert "\n" not in line


def test_a_blocked_span_tells_where_it_is_wanted_and_why_it_stays() -> None:
    span = span_of("idle", SWAP_NODE, Obstacle.NO_ROOM)
    assert describe_target(span, AGE) == "node 2 or node 3"
    assert describe_obstacle(Obstacle.NO_ROOM) in describe_span(span, 1, "x", AGE)
    assert describe_target(span_of("cold", SWAP_NODE), AGE) == "swap"


def test_every_obstacle_has_its_own_words() -> None:
    texts = [describe_obstacle(obstacle) for obstacle in Obstacle]
    assert len(set(texts)) == len(texts)
    assert [not text for text in texts] == [obstacle is Obstacle.NONE for obstacle in Obstacle]
