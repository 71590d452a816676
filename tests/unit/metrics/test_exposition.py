"""The text that is written by hand is the text that prometheus_client reads, and would have written."""

import math
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from memtierd.metrics.client_registry import as_metric
from memtierd.metrics.exposition import text
from memtierd.metrics.families import FAMILIES, Measured, histogram, measured, single
from memtierd.statistics import Durations

VALUES = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)), max_size=5)


def a_bit_of_everything(events: list[tuple[str, float]]) -> list[Measured]:
    """Return a family of each type, one with these labels and values."""
    durations = Durations()
    durations.add(3_000_000, 1)
    unique = dict(events)
    return [
        measured("build_info", [(("0.1", "3.11"), 1)]),
        measured("events_total", [((event,), count) for event, count in unique.items()]),
        histogram("tick_duration_seconds", durations),
        single("swap_bytes", 0),
    ]


def parsed(exposed: str) -> list[Sample]:
    """Return every sample of a text."""
    return [sample for family in parse(exposed) for sample in family.samples]


def plain(sample: Sample) -> tuple[str, list[tuple[str, str]], float]:
    """Return what a sample says, whatever the order of its labels."""
    return sample.name, sorted(sample.labels.items()), float(sample.value)


@given(VALUES)
def test_what_is_written_is_read_as_it_was(events: list[tuple[str, float]]) -> None:
    samples = parsed(text(a_bit_of_everything(events)))
    read = {sample.labels["event"]: sample.value for sample in samples if sample.name == "memtierd_events_total"}
    assert read == dict(events)
    assert ("memtierd_swap_bytes", 0) in [(sample.name, sample.value) for sample in samples]


@given(VALUES)
def test_it_says_what_prometheus_client_would_have_said(events: list[tuple[str, float]]) -> None:
    families = a_bit_of_everything(events)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(families))
    theirs, ours = parsed(generate_latest(registry).decode()), parsed(text(families))
    assert sorted(map(plain, ours)) == sorted(map(plain, theirs))


def test_the_strict_parser_takes_every_family() -> None:
    families = [
        histogram(family.name.removeprefix("memtierd_"), Durations())
        if family.type == "histogram"
        else measured(family.name.removeprefix("memtierd_"), [(["x"] * len(family.labels), 1)])
        for family in FAMILIES.values()
    ]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(families))
    exposed = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # typed in part
    assert len(list(parse_openmetrics(exposed.decode()))) == len(FAMILIES)  # type: ignore[no-untyped-call]  # typed in part
    assert len(list(parse(text(families)))) == len(FAMILIES)


def test_a_family_without_samples_is_left_out() -> None:
    assert text([measured("guard_paused", [])]) == ""


def test_numbers_are_written_exactly() -> None:
    assert text([single("swap_bytes", 2**53)]).endswith(" 9007199254740992\n")
    assert text([single("swap_bytes", 0.1)]).endswith(" 0.1\n")
    assert text([single("swap_bytes", True)]).endswith(" 1\n")
    assert text([single("swap_bytes", math.inf)]).endswith(" +Inf\n")


class Fixed(Collector):
    """Gives prometheus_client always the same families."""

    def __init__(self, families: list[Measured]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return [as_metric(family) for family in self._families if family.samples]
