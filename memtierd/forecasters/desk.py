"""Which forecast is awaited, and which one counts at the next decision."""

from collections.abc import Callable
from typing import Protocol

from memtierd.forecasters.heats import Heats, heat_column, heats_of
from memtierd.forecasters.thread import Forecast
from memtierd.model import F32
from memtierd.regions.history import HeatDecay
from memtierd.regions.processes import ProcessTable
from memtierd.regions.table import RegionTable

LATE = "forecaster: no answer before the next decision was due; keep timeoutms below the policy's intervalms"


class ForecastPort(Protocol):
    """What the loop needs of a forecaster."""

    def ask(self, number: int, heats: Heats) -> bool:
        """Ask for a forecast and return at once; False when the forecaster is still busy."""


class ForecastDesk:
    """Belongs to the control thread.  A tick that is due asks first; the answer, or the next tick, lets it decide.

    An answer that comes later is dropped.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self.problems: tuple[str, ...] = ()
        """What keeps the forecaster from forecasting."""
        self._count = count
        self._port: ForecastPort | None = None
        self._number = 0
        self._awaited: int | None = None
        self._heats: Heats | None = None

    def use(self, port: ForecastPort | None) -> None:
        """Ask this one from now on, None: nobody; nothing is awaited any more, and no forecast counts."""
        self._port, self._awaited, self._heats, self.problems = port, None, None, ()

    def asks(self, table: RegionTable, processes: ProcessTable, now_ms: int, wall_ns: int) -> bool:
        """Ask for a forecast for the decision that is due; return whether that is to wait for the answer."""
        self._heats = None
        if self._port is None:
            return False
        if self._awaited is not None:
            self._awaited, self.problems = None, tuple(dict.fromkeys((*self.problems, LATE)))
            self._count("forecast.late")
            return False
        heats = heats_of(table, processes, now_ms, wall_ns)
        if not heats:
            return False
        self._number += 1
        if not self._port.ask(self._number, heats):
            self._count("forecast.busy")
            return False
        self._awaited = self._number
        return True

    def takes(self, forecast: Forecast) -> bool:
        """Take in an answer; return whether a decision was waiting for it."""
        if forecast.number != self._awaited:
            self._count("forecast.dropped")
            return False
        answer = forecast.answer
        self._awaited, self._heats, self.problems = None, answer.heats, answer.problems
        for _ in range(answer.failures):
            self._count("forecast.failed")
        self._count("forecast.none" if answer.heats is None else "forecast.used")
        return True

    def column(self, table: RegionTable, processes: ProcessTable, decay: HeatDecay | None) -> F32 | None:
        """Return the heat to judge by, one entry a row; None: the table's, or none where the policy keeps no heat."""
        if self._heats is None or decay is None:
            return None
        return heat_column(table, processes, self._heats, decay.maximum)
