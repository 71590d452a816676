"""The table of docs/metrics.md: `python -m memtierd.metrics.docs` prints the page with the table of today."""

import sys
from collections.abc import Iterator
from pathlib import Path

from memtierd.metrics.families import FAMILIES, NAMESPACE

PAGE = Path("docs/metrics.md")
BEGIN, END = "<!-- generated: python -m memtierd.metrics.docs -->", "<!-- end -->"


def table() -> str:
    """Return every metric with its type, labels and meaning as a table in Markdown."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield f"| `{NAMESPACE}…` | type | labels | what it says |"
    yield "|---|---|---|---|"
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name.removeprefix(NAMESPACE)}` | {family.type} | {labels} | {family.help} |"


def with_table(page: str) -> str:
    """Return a page with the table of today between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    sys.stdout.write(with_table(PAGE.read_text(encoding="utf-8")))
