"""From a forecaster's name and parameters to a forecaster."""

from collections.abc import Callable
from typing import Any

from memtierd.forecasters.forecaster import ChainForecaster, Forecaster, StubForecaster, TraceForecaster
from memtierd.forecasters.params import ChainParams, StdioParams, StubForecasterParams, TraceParams
from memtierd.forecasters.stdio import StdioForecaster
from memtierd.parameters import Part

REGISTRY: dict[str, type[Any]] = {
    "chain": ChainParams,
    "stdio": StdioParams,
    "stub": StubForecasterParams,
    "trace": TraceParams,
}
"""Parameters of each forecaster by name."""


def build(part: Part, clock_ns: Callable[[], int]) -> Forecaster:
    """Return the forecaster for its name and parameters."""
    match part.params:
        case ChainParams(forecasters=members):
            return ChainForecaster([build(member, clock_ns) for member in members])
        case StdioParams():
            return StdioForecaster(part.params, clock_ns)
        case TraceParams():
            return TraceForecaster(part.params)
        case StubForecasterParams():
            return StubForecaster()
    raise TypeError(f"no forecaster {part.name} takes {type(part.params).__name__}")
