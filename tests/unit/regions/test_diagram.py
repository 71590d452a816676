"""The page of state diagrams is what the declarations give now."""

from pathlib import Path

import pytest

from memtierd.regions.diagram import HEAT_CLASSES_SHOWN, page
from memtierd.regions.lifecycle import (
    PLACEMENT,
    CompiledMachine,
    age_activity,
    choice_activity,
    heat_activity,
    stub_activity,
)

PAGE = Path(__file__).parents[3] / "docs" / "states.md"


def arrows(text: str) -> set[tuple[str, str, str]]:
    """Return (from, event, to) of every arrow."""
    found = set()
    for line in text.splitlines():
        source, arrow, rest = line.strip().partition(" --> ")
        if arrow and ": " in rest:
            dest, _, events = rest.partition(": ")
            found |= {(source, event, dest) for event in events.split(" | ")}
    return found


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m memtierd.regions.diagram > docs/states.md"


@pytest.mark.parametrize(
    "machine",
    [
        age_activity(),
        heat_activity(HEAT_CLASSES_SHOWN),
        choice_activity("ratio, avoid-oom"),
        stub_activity(),
        PLACEMENT,
    ],
)
def test_a_diagram_draws_every_declared_move_and_nothing_else(machine: CompiledMachine) -> None:
    declared = {(state, event, dest) for event, states, dest in machine.declaration.moves for state in states}
    text = machine.declaration.mermaid()
    assert arrows(text) == declared
    assert text in page()
