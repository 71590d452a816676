"""Heats taken from the table and laid over its column, and the line of JSON between."""

import json

import numpy as np
import pytest

from memtierd.errors import MemtierdError
from memtierd.forecasters.heats import heat_column, heats_of, with_ages
from memtierd.forecasters.wire import from_json, to_json
from memtierd.regions.columns import JUDGED
from memtierd.regions.processes import ProcessTable
from memtierd.regions.table import RegionTable
from tests.unit.forecasters.forecast_samples import KEY, OTHER, as_rows, heats_of_pages, process_heats
from tests.unit.regions.region_samples import BASE, cut, facts_of, table_of

PAGE = 4096
FACTS = (facts_of(100), facts_of(200))


def two_processes() -> tuple[RegionTable, ProcessTable]:
    """Return three regions of pid 100, the middle one not judged, and one of pid 200, with different heats."""
    processes = ProcessTable()
    rows = [processes.add(facts) for facts in FACTS]
    table = table_of(cut(rows[0], [(0, 4), (4, 4), (8, 2)]), cut(rows[1], [(0, 4)]))
    table.heat[:] = [0.1, 0.2, 0.3, 0.4]
    table.flags[[0, 2, 3]] |= np.uint8(JUDGED)
    for row, at_ms in zip(rows, (50, 70), strict=True):
        processes.observe(row, at_ms)
    return table, processes


def test_only_what_was_judged_is_handed_out_with_the_time_of_its_scan() -> None:
    table, processes = two_processes()
    heats = heats_of(table, processes, now_ms=100, now_ns=9_000_000_000)
    first, second = heats[FACTS[0].key], heats[FACTS[1].key]
    assert (first.start.tolist(), first.pages.tolist()) == ([BASE, BASE + 8 * PAGE], [4, 2])
    assert first.heat.tolist() == pytest.approx([0.1, 0.3])
    assert (second.start.tolist(), second.pages.tolist()) == ([BASE], [4])
    assert heats[FACTS[0].key].updated_ns.tolist() == [8_950_000_000] * 2
    assert heats[FACTS[1].key].created_ns.tolist() == [8_970_000_000]
    table.heat[:] = 0
    assert heats[FACTS[1].key].heat.tolist() == [pytest.approx(0.4)]


def test_a_region_that_was_there_before_keeps_its_age() -> None:
    before = heats_of_pages((0, 4, 0.1), (16384, 4, 0.1), (65536, 4, 0.1), at_ns=10)
    now = {
        **heats_of_pages((0, 4, 0.9), (16384, 2, 0.9), (131072, 4, 0.9), at_ns=20),
        OTHER: process_heats([(0, 1, 1)], 20),
    }
    aged = with_ages(now, before)
    assert aged[KEY].created_ns.tolist() == [10, 20, 20]
    assert aged[KEY].updated_ns.tolist() == [20, 20, 20]
    assert aged[OTHER].created_ns.tolist() == [20]


def test_a_forecast_takes_the_place_of_heat_where_its_regions_are_the_same() -> None:
    table, processes = two_processes()
    forecast = {
        FACTS[0].key: process_heats([(BASE + 8 * PAGE, 2, 7.0), (BASE, 3, 0.9), (BASE + 4 * PAGE, 4, 0.5)]),
        OTHER: process_heats([(BASE, 4, 0.9)]),
    }
    column = heat_column(table, processes, forecast, maximum=1.0)
    assert column.tolist() == pytest.approx([0.1, 0.5, 1.0, 0.4])
    assert table.heat.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_forecast_for_an_empty_table() -> None:
    table, processes = two_processes()
    forecast = heats_of_pages((BASE, 4, 0.9), key=FACTS[0].key)
    assert heat_column(table.take(slice(0, 0)), processes, forecast, 1.0).tolist() == []


def test_the_line_is_as_programs_know_it_and_tells_heats_apart() -> None:
    tiny = float(np.float32(1.2345678e-9))
    heats = {**heats_of_pages((4096, 2, tiny), (8192, 1, 0.0), at_ns=123), OTHER: process_heats([])}
    line = to_json(heats)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "42": [
            {"addr": 4096, "length": 2, "heat": pytest.approx(tiny, rel=1e-8), "created": 123, "updated": 123},
            {"addr": 8192, "length": 1, "heat": 0, "created": 123, "updated": 123},
        ],
        "43": [],
    }
    assert as_rows(from_json(line, heats)) == as_rows(heats)


def test_an_answer_may_leave_out_times_and_name_others() -> None:
    answer = b'{"42":[{"addr":1,"length":2,"heat":3}],"99":"whatever","x":1}\n'
    assert as_rows(from_json(answer, heats_of_pages())) == {42: [(1, 2, 3.0)]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello", "not a line of JSON: hello"),
        (b"", "not a line of JSON: "),
        (b"\xff\x1b", "not a line of JSON: \\xff\\x1b"),
        (b"[" * 100_000, "not a line of JSON: [[["),
        (b"[]", "not a JSON object with pids: []"),
        (b'{"42":7}', "wrong heats of pid 42"),
        (b'{"42":[7]}', "wrong heats of pid 42"),
        (b'{"42":[{"addr":1,"length":2}]}', "wrong heats of pid 42: a region without 'heat'"),
        (b'{"42":[{"addr":1,"length":2,"heat":NaN}]}', "wrong heats of pid 42: nan as heat"),
        (b'{"42":[{"addr":1,"length":2,"heat":-1}]}', "wrong heats of pid 42: -1 as heat"),
        (b'{"42":[{"addr":1,"length":2,"heat":true}]}', "wrong heats of pid 42: True as heat"),
        (b'{"42":[{"addr":1,"length":2,"heat":1e999}]}', "wrong heats of pid 42: inf as heat"),
        (b'{"42":[{"addr":1.5,"length":2,"heat":1}]}', "wrong heats of pid 42: 1.5 where an integer"),
        (b'{"42":[{"addr":-1,"length":2,"heat":1}]}', "wrong heats of pid 42: -1 where an integer"),
        (b'{"42":[{"addr":1,"length":99999999999,"heat":1}]}', "wrong heats of pid 42"),
    ],
)
def test_nonsense_is_refused(line: bytes, said: str) -> None:
    with pytest.raises(MemtierdError) as raised:
        from_json(line, heats_of_pages())
    assert str(raised.value).startswith(said)
    assert len(str(raised.value)) < 300
