"""Forecasters: how hot memory will be, so that the heat policy can move it in advance."""

from memtierd.forecasters.build import REGISTRY, build
from memtierd.forecasters.desk import ForecastDesk, ForecastPort
from memtierd.forecasters.forecaster import Answer, Forecaster
from memtierd.forecasters.heats import Heats, ProcessHeats
from memtierd.forecasters.thread import Forecast, ForecastThread

__all__ = [
    "REGISTRY",
    "Answer",
    "Forecast",
    "ForecastDesk",
    "ForecastPort",
    "ForecastThread",
    "Forecaster",
    "Heats",
    "ProcessHeats",
    "build",
]
