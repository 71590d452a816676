"""Tables in three formats: txt for people, csv and json for programs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from memtierd.prompt.fitting import fitted
from memtierd.prompt.output import Writer
from memtierd.prompt.window import Window, window_of

_ROWS_AT_ONCE = 4096
_NEEDS_QUOTES = re.compile(r'[,"\n\r]')
_FORMAT = re.compile(r"%(-?[0-9]*)(?:\.[0-9]+)?[sdfx]")


@attrs.frozen
class Column:
    """One column: its names and how its values are printed, as % formats of one value."""

    key: str
    """Name in json."""
    heading: str
    """Name in txt and csv."""
    txt: str
    csv: str = "%s"
    colours: Mapping[str, str] = {}
    """The colour of some values on a terminal."""

    @property
    def heading_txt(self) -> str:
        """Return the heading as wide as the values."""
        found = _FORMAT.fullmatch(self.txt)
        if not found:
            raise ValueError(f"column {self.key}: {self.txt!r} is no format of one value")
        return f"%{found[1]}s" % self.heading


@attrs.frozen(eq=False)
class Table:
    """Columns with their values: one sequence (or NumPy array) a column, all of the same length."""

    columns: tuple[Column, ...]
    values: tuple[Sequence[Any] | np.ndarray[Any, Any], ...]
    title: str = ""
    """First line in txt and csv; empty: none."""

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0


def from_rows(columns: tuple[Column, ...], rows: Sequence[tuple[Any, ...]], title: str = "") -> Table:
    """Return a table of a few rows."""
    values = tuple(zip(*rows, strict=True)) if rows else tuple(() for _ in columns)
    return Table(columns, values, title)


def write_table(out: Writer, table: Table, style: str) -> None:
    """Write a table as "txt", "csv" or "json" (a list with one object a row)."""
    if style == "json":
        for piece in _json_pieces(table):
            out.write(piece)
        out.write("\n")
        return
    if table.title:
        out.write(f"{table.title}\n")
    window = window_of(out)
    if style == "txt" and window != Window():
        for line in _fitted_lines(table, window):
            out.write(f"{line}\n")
        return
    out.write(_heading(table, style) + "\n")
    row_format = _row_format(table, style)
    texts = [position for position, column in enumerate(table.columns) if column.csv == "%s"]
    for rows in _chunks(table):
        if style == "csv" and texts:
            rows[:] = [_quoted(row, texts) for row in rows]
        out.write("".join([row_format % row for row in rows]))


def write_tables(out: Writer, tables: dict[str, Table], style: str) -> None:
    """Write several tables, an empty line between them; as json one object with a list for each name."""
    for position, (name, table) in enumerate(tables.items()):
        if style == "json":
            out.write(("{" if not position else ",\n ") + f"{json.dumps(name)}: ")
            for piece in _json_pieces(table):
                out.write(piece)
        else:
            out.write("\n" if position else "")
            write_table(out, table, style)
    if style == "json":
        out.write("}\n")


def _fitted_lines(table: Table, window: Window) -> Iterator[str]:
    columns = table.columns
    ends_in_text = columns[-1].txt == "%s"
    yield fitted([column.heading_txt for column in columns], [""] * len(columns), window, ends_in_text=False)
    for rows in _chunks(table):
        for row in rows:
            cells = [column.txt % value for column, value in zip(columns, row, strict=True)]
            colours = [column.colours.get(str(value), "") for column, value in zip(columns, row, strict=True)]
            yield fitted(cells, colours, window, ends_in_text=ends_in_text)


def _heading(table: Table, style: str) -> str:
    if style == "csv":
        return ",".join(column.heading for column in table.columns)
    return " ".join(column.heading_txt for column in table.columns)


def _row_format(table: Table, style: str) -> str:
    if style == "csv":
        return ",".join(column.csv for column in table.columns) + "\n"
    return " ".join(column.txt for column in table.columns) + "\n"


def _chunks(table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows as tuples of plain values, some thousands at a time."""
    for first in range(0, len(table), _ROWS_AT_ONCE):
        yield list(zip(*(_plain(values[first : first + _ROWS_AT_ONCE]) for values in table.values), strict=True))


def _plain(values: Any) -> Sequence[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values  # type: ignore[no-any-return]


def _quoted(row: tuple[Any, ...], texts: Sequence[int]) -> tuple[Any, ...]:
    """Return a row fit for csv (RFC 4180): texts with separators in quotes."""
    values = list(row)
    for position in texts:
        text = str(values[position])
        if _NEEDS_QUOTES.search(text):
            values[position] = '"' + text.replace('"', '""') + '"'
    return tuple(values)


def _json_pieces(table: Table) -> Iterator[str]:
    keys = [column.key for column in table.columns]
    formats = [column.csv for column in table.columns]
    separator = "[\n  "
    for rows in _chunks(table):
        texts = [json.dumps(dict(zip(keys, map(_json_value, row, formats), strict=True))) for row in rows]
        yield separator + ",\n  ".join(texts)
        separator = ",\n  "
    yield "\n]" if len(table) else "[]"


def _json_value(value: Any, csv: str) -> Any:
    """Return a value for json: addresses as hexadecimal text, floats with the digits that csv shows."""
    if csv.endswith("x"):
        return csv % value
    return float(csv % value) if isinstance(value, float) and csv != "%s" else value
