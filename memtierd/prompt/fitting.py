"""Rows of a table fitted into a window: what is too wide is cut, or wrapped when it is text; states get colours."""

import textwrap
from collections.abc import Sequence

from memtierd.prompt.window import Window

_LEAST_TEXT_COLUMNS = 24
"""Text gets at least so many columns where it is wrapped; where there are fewer, it is cut."""


def fitted(cells: Sequence[str], colours: Sequence[str], window: Window, *, ends_in_text: bool) -> str:
    """Return one row without its newline.

    Args:
        cells: what stands in each column, padded to its width.
        colours: the colour of each cell, or "".
        window: what it has to fit into.
        ends_in_text: the last cell may be wrapped, below its own beginning.

    """
    columns = window.columns
    length = sum(map(len, cells)) + len(cells) - 1
    before = length - len(cells[-1])
    if columns is None or before + len(cells[-1].rstrip()) <= columns:
        return _painted(cells, colours, window)
    if ends_in_text and columns - before >= _LEAST_TEXT_COLUMNS:
        first, *more = textwrap.wrap(cells[-1], columns - before, break_on_hyphens=False)
        return "\n".join([_painted([*cells[:-1], first], colours, window), *(" " * before + line for line in more)])
    return _painted(_cut(cells, columns - 1), colours, window) + "…"


def _painted(cells: Sequence[str], colours: Sequence[str], window: Window) -> str:
    return " ".join(window.paint(cell, colour) for cell, colour in zip(cells, colours, strict=False))


def _cut(cells: Sequence[str], columns: int) -> list[str]:
    """Return the cells that fit into so many columns, the last one in part."""
    kept: list[str] = []
    for cell in cells:
        if columns <= 0:
            break
        kept.append(cell[:columns])
        columns -= len(cell) + 1
    return kept
