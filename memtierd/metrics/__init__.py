"""Metrics for Prometheus: served over HTTP, or written to a file that node_exporter passes on."""

from memtierd.metrics.exporter import Exporter
from memtierd.metrics.textfile import TextfileWriter

__all__ = ["Exporter", "TextfileWriter"]
