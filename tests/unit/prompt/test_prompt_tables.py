"""Tables as txt, csv and json."""

import csv
import io
import json

import numpy as np
import pytest

from memtierd.prompt.tables import Column, Table, from_rows, write_table, write_tables

COLUMNS = (
    Column("pid", "pid", "%6d", "%d"),
    Column("start", "start", "%8x", "%x"),
    Column("seconds", "time[s]", "%8.3f", "%.6f"),
    Column("name", "name", "%s"),
)
ROWS = [(7, 0x1000, 0.12345678, "100%d"), (42, 0xABC000, 2.0, 'a,"b"')]


def text_of(table: Table, style: str) -> str:
    out = io.StringIO()
    write_table(out, table, style)
    return out.getvalue()


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (
            "txt",
            'table: t\n   pid    start  time[s] name\n     7     1000    0.123 100%d\n    42   abc000    2.000 a,"b"\n',
        ),
        ("csv", 'table: t\npid,start,time[s],name\n7,1000,0.123457,100%d\n42,abc000,2.000000,"a,""b"""\n'),
        (
            "json",
            '[\n  {"pid": 7, "start": "1000", "seconds": 0.123457, "name": "100%d"},\n'
            '  {"pid": 42, "start": "abc000", "seconds": 2.0, "name": "a,\\"b\\""}\n]\n',
        ),
    ],
)
def test_formats(style: str, expected: str) -> None:
    assert text_of(from_rows(COLUMNS, ROWS, "table: t"), style) == expected


@pytest.mark.parametrize(("style", "expected"), [("txt", "   pid    start  time[s] name\n"), ("json", "[]\n")])
def test_no_rows(style: str, expected: str) -> None:
    assert text_of(from_rows(COLUMNS, []), style) == expected


def test_many_rows_of_numpy_columns_come_out_whole_and_in_order() -> None:
    numbers = np.arange(10_000, dtype=np.uint64)
    table = Table(
        (Column("a", "a", "%d", "%d"), Column("b", "b", "%.1f", "%.1f")), (numbers, numbers.astype(np.float32))
    )
    rows = list(csv.DictReader(io.StringIO(text_of(table, "csv"))))
    assert [int(row["a"]) for row in rows] == list(range(10_000))
    assert json.loads(text_of(table, "json"))[-1] == {"a": 9999, "b": 9999.0}


def test_several_tables() -> None:
    tables = {"x": from_rows(COLUMNS[:1], [(1,)], "table: x"), "y": from_rows(COLUMNS[:1], [], "table: y")}
    out = io.StringIO()
    write_tables(out, tables, "csv")
    assert out.getvalue() == "table: x\npid\n1\n\ntable: y\npid\n"
    out = io.StringIO()
    write_tables(out, tables, "json")
    assert json.loads(out.getvalue()) == {"x": [{"pid": 1}], "y": []}
