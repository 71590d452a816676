"""The dashboard and the alert rules use metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from memtierd.metrics.families import FAMILIES, HISTOGRAM
from memtierd.model import Outcome
from memtierd.placement.plan import Obstacle

MONITORING = Path("docs/monitoring")
DASHBOARD = json.loads((MONITORING / "memtierd-dashboard.json").read_text(encoding="utf-8"))
RULES = YAML(typ="safe").load((MONITORING / "memtierd-alerts.yaml").read_text(encoding="utf-8"))
SERIES = {
    series: family.labels + (("le",) if series.endswith("_bucket") else ())
    for family in FAMILIES.values()
    for series in (
        [f"{family.name}_{suffix}" for suffix in ("bucket", "sum", "count")]
        if family.type == HISTOGRAM
        else [family.name]
    )
}
GIVEN_BY_PROMETHEUS = {"instance", "job"}
VALUES = {
    "outcome": {outcome.name.lower() for outcome in Outcome},
    "reason": {obstacle.name.lower() for obstacle in Obstacle},
    "policy": {"stub"},
}
"""What labels may be compared with, beside Grafana's variables."""


def expressions() -> Iterator[tuple[str, str]]:
    """Yield name and expression of every panel, variable and rule."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']} {target['refId']}", target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["definition"]
    for rule in RULES["groups"][0]["rules"]:
        yield f"alert {rule['alert']}", rule["expr"]


EXPRESSIONS = dict(expressions())


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """Yield every metric with what stands in braces behind it."""
    for match in re.finditer(r"\b(memtierd_[a-z_]+)(?:\{([^}]*)\})?", expression):
        yield match[1], match[2] or ""


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_metric_and_label_exists(name: str) -> None:
    expression = EXPRESSIONS[name]
    used = list(selectors(expression))
    assert used
    known = set(GIVEN_BY_PROMETHEUS)
    for series, matchers in used:
        assert series in SERIES, f"{series} is not declared"
        known.update(SERIES[series])
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            assert label in GIVEN_BY_PROMETHEUS | set(SERIES[series])
            assert value == f"${label}" or set(value.split("|")) <= VALUES[label], f"{label}{operator}{value}"
    for listed in re.findall(r"\b(?:by|without|ignoring|on)\s*\(([^)]*)\)", expression):
        assert set(re.split(r",\s*", listed)) <= known
    assert expression.count("(") == expression.count(")")
    for series in re.findall(r"\b(?:rate|increase)\((memtierd_\w+)", expression):
        assert re.search("_(total|bucket|sum|count)$", series), "only counters have a rate"


def legend_labels(text: str) -> set[str]:
    """Return the labels that a legend or an annotation writes."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z]+)\s*\}\}", text))


def test_legends_and_annotations_write_labels_that_are_left() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            grouped = re.match(r"(?:sum|max|min)(?: by \(([^)]*)\))? ?\(", target["expr"])
            left = set(re.split(r",\s*", grouped[1] or "")) if grouped else _labels_of(target["expr"])
            assert legend_labels(target["legendFormat"]) <= left, panel["title"]
    for rule in RULES["groups"][0]["rules"]:
        for text in rule["annotations"].values():
            assert legend_labels(text) <= _labels_of(rule["expr"]), rule["alert"]


def _labels_of(expression: str) -> set[str]:
    return GIVEN_BY_PROMETHEUS.union(*(SERIES[series] for series, _ in selectors(expression)))


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_alerts_are_complete() -> None:
    rules = RULES["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert re.fullmatch(r"Memtierd[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"[0-9]+[mh]", rule.get("for", "1m"))
