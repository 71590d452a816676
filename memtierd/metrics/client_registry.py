"""Metrics as prometheus_client wants them; the only module that needs this package."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as ClientCollector

from memtierd.daemon import Daemon
from memtierd.metrics.collector import Collector
from memtierd.metrics.families import COUNTER, Measured


def as_metric(measured: Measured) -> Metric:
    """Return a family with its samples as the class of prometheus_client."""
    family = measured.family
    metric = Metric(family.base, family.help, family.type, family.unit)
    for sample in measured.samples:
        name = family.name if family.type == COUNTER else family.base + sample.suffix
        labels = dict(zip(measured.label_names(sample), sample.labels, strict=True))
        metric.add_sample(name, labels, sample.value)
    return metric


class _Bridge(ClientCollector):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        """Measure."""
        return [as_metric(measured) for measured in self._collector.collect() if measured.samples]


def metrics_app(daemon: Daemon) -> Callable[..., Any]:
    """Return a WSGI application that answers with all metrics, in the format that the client asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Bridge(Collector(daemon)))
    return make_wsgi_app(registry)
