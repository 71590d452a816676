"""The text format of Prometheus, version 0.0.4."""

import math
from collections.abc import Iterable, Iterator

from memtierd.metrics.families import Measured, Sample


def text(families: Iterable[Measured]) -> str:
    """Return all families as text; see prometheus.io/docs/instrumenting/exposition_formats."""
    return "".join(f"{line}\n" for measured in families if measured.samples for line in _lines(measured))


def _lines(measured: Measured) -> Iterator[str]:
    family = measured.family
    yield f"# HELP {family.name} {_escaped(family.help)}"
    yield f"# TYPE {family.name} {family.type}"
    for sample in measured.samples:
        yield f"{family.name}{sample.suffix}{_labels(measured, sample)} {_number(sample.value)}"


def _labels(measured: Measured, sample: Sample) -> str:
    names = measured.label_names(sample)
    pairs = [f'{name}="{_quoted(value)}"' for name, value in zip(names, sample.labels, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
