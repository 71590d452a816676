"""Limits of what is tracked: parts of mappings, to the page."""

import attrs
import numpy as np
import pytest

from memtierd.linux.pages_of_interest import AddressRanges
from memtierd.linux.proc import MappingUse
from memtierd.model import ProcessKey
from memtierd.trackers.limits import Limits
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.tracker_fakes import BASE_PAGE, mapping

KEY, OTHER, STRANGER = ProcessKey(1, 1), ProcessKey(2, 1), ProcessKey(3, 1)
MAPPINGS = [mapping(0, 100), mapping(100, 200, "r--p", "/lib"), mapping(200, 300, path="[heap]")]


def pages(*bounds: tuple[int, int]) -> AddressRanges:
    """Return ranges of pages behind BASE_PAGE."""
    array = (np.array(bounds, np.uint64).reshape(-1, 2) + np.uint64(BASE_PAGE)) * np.uint64(PAGE_BYTES)
    return AddressRanges(array[:, 0].copy(), array[:, 1].copy())


def clipped(limits: Limits, key: ProcessKey = KEY) -> list[tuple[int, int]]:
    """Return the tracked parts of MAPPINGS, in pages."""
    parts = limits.clip_mappings(key, MAPPINGS)
    assert [part for part in parts if not part.is_tracked] == [MAPPINGS[1]]
    found = [part for part in parts if part.is_tracked]
    return [(part.start // PAGE_BYTES - BASE_PAGE, part.end // PAGE_BYTES - BASE_PAGE) for part in found]


WHOLE = [(0, 100), (200, 300)]


@pytest.mark.parametrize(
    ("ranges", "parts"),
    [
        (pages(), []),
        (pages((0, 100)), [(0, 100)]),
        (pages((10, 11)), [(10, 11)]),
        (pages((10, 20), (30, 250), (299, 301)), [(10, 20), (30, 100), (200, 250), (299, 300)]),
        (pages((100, 200)), []),
        (pages((99, 201)), [(99, 100), (200, 201)]),
        (pages((300, 400)), []),
        (pages((0, 1 << 30)), WHOLE),
    ],
)
def test_parts(ranges: AddressRanges, parts: list[tuple[int, int]]) -> None:
    limits = Limits()
    limits.begin()({KEY: ranges})
    assert clipped(limits) == parts


def test_who_is_limited() -> None:
    limits = Limits()
    assert clipped(limits) == WHOLE
    limits.begin()({KEY: pages((1, 2)), OTHER: None})
    assert clipped(limits) == [(1, 2)]
    assert clipped(limits, OTHER) == WHOLE
    assert clipped(limits, STRANGER) == []
    limits.lift()
    assert clipped(limits) == clipped(limits, STRANGER) == WHOLE


def test_nothing_is_tracked_before_it_is_told_and_who_is_late_is_not_heard() -> None:
    limits = Limits()
    tell = limits.begin()
    assert clipped(limits) == []
    tell({KEY: pages((1, 2))})
    tell({KEY: pages((3, 4))})
    assert clipped(limits) == [(3, 4)]
    newer = limits.begin()
    tell({KEY: pages((1, 2))})
    assert clipped(limits) == []
    limits.lift()
    for late in (tell, newer):
        late({})
    assert clipped(limits) == WHOLE


def test_a_part_begins_further_on_in_its_file() -> None:
    limits = Limits()
    limits.begin()({KEY: pages((10, 20))})
    file = attrs.evolve(mapping(0, 100, path="/data"), offset=7 * PAGE_BYTES)
    assert [part.offset for part in limits.clip_mappings(KEY, [file])] == [17 * PAGE_BYTES]


def test_parts_have_as_many_referenced_pages_as_they_can_hold() -> None:
    limits = Limits()
    limits.begin()({KEY: pages((0, 10), (20, 99))})
    uses = limits.clip_uses(KEY, [MappingUse(MAPPINGS[0], 400, 200, 0, 0, 0), MappingUse(MAPPINGS[1], 1, 1, 0, 0, 0)])
    assert [use.referenced_kb for use in uses] == [40, 200, 1]
    assert limits.clip_uses(OTHER, [MappingUse(MAPPINGS[0], 400, 200, 0, 0, 0)]) == []


def test_what_is_tracked_now_can_be_kept_until_it_is_told_what_to_track() -> None:
    limits = Limits()
    limits.begin()({KEY: pages((1, 2))})
    tell = limits.begin(keep=True)
    assert clipped(limits) == [(1, 2)]
    tell({KEY: pages((3, 4))})
    assert clipped(limits) == [(3, 4)]
