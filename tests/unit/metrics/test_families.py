"""The declarations keep the conventions of Prometheus, and the page in docs says all of them."""

import re
from pathlib import Path

import pytest

from memtierd.metrics import docs
from memtierd.metrics.families import COUNTER, FAMILIES, GAUGE, HISTOGRAM, UNITS, Family, histogram
from memtierd.statistics import BOUNDS_NS, Durations

RESERVED = {"le", "quantile", "job", "instance"}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_names_keep_the_conventions(family: Family) -> None:
    assert re.fullmatch(r"memtierd_[a-z][a-z0-9_]*[a-z0-9]", family.name)
    assert family.type in (COUNTER, GAUGE, HISTOGRAM)
    assert family.name.endswith("_total") == (family.type == COUNTER)
    assert not family.name.endswith(("_count", "_sum", "_bucket"))
    assert not re.search(r"_(kb|mb|gb|pages|ms|ns|minutes|percent)(_|$)", family.name), "base units only"
    assert not any(unit in family.base for unit in UNITS) or family.unit, "the unit comes last"
    assert not RESERVED & set(family.labels)
    assert all(re.fullmatch(r"[a-z]+", label) for label in family.labels)
    assert "pid" not in family.labels
    assert family.help.endswith(".")


def test_buckets_of_a_histogram_count_what_is_below_them() -> None:
    durations = Durations()
    for spent_ms in (1, 2, 60_000):
        durations.add(spent_ms * 1_000_000, 0)
    measured = histogram("tick_duration_seconds", durations)
    buckets = {sample.labels[0]: sample.value for sample in measured.samples if sample.suffix == "_bucket"}
    assert len(buckets) == len(BOUNDS_NS) + 1
    assert (buckets["0.001"], buckets["0.0025"], buckets["30"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert list(buckets.values()) == sorted(buckets.values())
    others = {sample.suffix: sample.value for sample in measured.samples if sample.suffix != "_bucket"}
    assert others == {"_count": 3, "_sum": pytest.approx(60.003)}


def test_the_page_has_the_table_of_today() -> None:
    page = Path(docs.PAGE).read_text(encoding="utf-8")
    assert page == docs.with_table(page), "run: python -m memtierd.metrics.docs > a file, and put it in its place"
