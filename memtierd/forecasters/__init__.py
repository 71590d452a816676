"""Forecasters: how hot memory will be, so that the heat policy can move it in advance."""

from memtierd.forecasters.build import REGISTRY, build
from memtierd.forecasters.forecaster import Answer, Forecaster
from memtierd.forecasters.heats import Heats, ProcessHeats, heat_column, heats_of
from memtierd.forecasters.thread import Forecast, ForecastThread

__all__ = [
    "REGISTRY",
    "Answer",
    "Forecast",
    "ForecastThread",
    "Forecaster",
    "Heats",
    "ProcessHeats",
    "build",
    "heat_column",
    "heats_of",
]
