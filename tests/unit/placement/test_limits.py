"""How many pages a node can still take."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import SWAP_NODE
from memtierd.placement.limits import room_pages
from memtierd.placement.wrong import outside, wrong_pages
from memtierd.policies.common import ANYWHERE_PLACE, Place
from memtierd.units import GIB, KIB, MIB, PAGE_BYTES, parse_limit_pages
from tests.unit.regions.region_samples import machine_of


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("0", 0),
        ("512k", 512 * KIB // PAGE_BYTES),
        ("64M", 64 * MIB // PAGE_BYTES),
        ("2G", 2 * GIB // PAGE_BYTES),
        ("2GiB", 2 * GIB // PAGE_BYTES),
        ("30%", 300),
        (" 12.5 % ", 125),
        ("0%", 0),
        ("100%", 1000),
    ],
)
def test_limits(text: str, pages: int) -> None:
    assert parse_limit_pages(text, 1000) == pages


@pytest.mark.parametrize("text", ["", "%", ".%", "-5%", "x", "1.5G", "10 percent"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        parse_limit_pages(text, 1000)


def test_a_node_takes_what_is_free_beyond_the_reserve() -> None:
    machine = machine_of((1000, 500, 20, 0), total_pages=1000, swap=(77, 33))
    assert room_pages(machine, 2, {}, {}, {}) == {0: 980, 1: 480, 2: 0, 3: 0, SWAP_NODE: 33}
    assert room_pages(machine, 0, {}, {}, {})[3] == 0
    assert room_pages(machine, 100, {}, {}, {})[0] == 0


def test_a_limit_leaves_what_is_not_tracked_there_yet() -> None:
    machine = machine_of((1000, 500, 20, 1000), total_pages=1000)
    limits = {0: "30%", 1: "90%", 2: "100%", 7: "10%"}
    tracked = {0: 100, 1: 899, 2: 0, 3: 5}
    assert room_pages(machine, 0, limits, tracked, {}) == {0: 200, 1: 1, 2: 20, 3: 1000, SWAP_NODE: 1 << 20}
    assert room_pages(machine, 0, {0: f"{50 * PAGE_BYTES}"}, tracked, {})[0] == 0


def test_a_limit_is_for_its_node_whatever_the_numbers_of_the_nodes_are() -> None:
    machine = machine_of((1000, 1000), total_pages=1000, nodes=(3, 9))
    assert room_pages(machine, 0, {9: "10%"}, {9: 40}, {}) == {3: 1000, 9: 60, SWAP_NODE: 1 << 20}


def test_a_node_takes_no_more_than_leaves_enough_available() -> None:
    machine = machine_of((1000, 500, 20, 1000), total_pages=1000)
    available = {0: 1200, 1: 700, 2: 90, 3: 10}
    nodes = tuple(attrs.evolve(facts, available_pages=available[facts.node]) for facts in machine.nodes)
    room = room_pages(attrs.evolve(machine, nodes=nodes), 0, {}, {}, {0: 300, 1: 300, 2: 300, 9: 1})
    assert room == {0: 900, 1: 400, 2: 0, 3: 1000, SWAP_NODE: 1 << 20}


PLACES = (ANYWHERE_PLACE, Place((0, 1)), Place((2,)), Place((SWAP_NODE,)), Place((SWAP_NODE, 3)))


def test_which_nodes_lie_outside_which_places() -> None:
    assert outside(PLACES, (0, 2, 3)).tolist() == [
        [False, False, True, True, True],
        [False, True, False, True, True],
        [False, True, True, True, False],
    ]
    assert outside(PLACES, ()).shape == (0, 5)


@given(st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 9), min_size=4, max_size=4)), max_size=9))
def test_wrong_pages_are_those_on_no_node_of_the_place(regions: list[tuple[int, list[int]]]) -> None:
    node_ids = (0, 1, 2, 5)
    desired = np.array([code for code, _ in regions], np.uint8)
    node_pages = np.array([pages for _, pages in regions], np.uint32).reshape(len(regions), 4).T
    expected = [
        sum(n for node, n in zip(node_ids, pages, strict=True) if PLACES[code].nodes and node not in PLACES[code].nodes)
        for code, pages in regions
    ]
    assert wrong_pages(desired, node_pages, PLACES, node_ids).tolist() == expected
