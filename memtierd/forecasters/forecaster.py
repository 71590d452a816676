"""What a forecaster is, and the ones that need no program: stub, trace and chain."""

import time
from collections.abc import Sequence
from typing import Protocol

import attrs

from memtierd.errors import from_oserror
from memtierd.forecasters.heats import Heats, ProcessHeats
from memtierd.forecasters.params import TraceParams
from memtierd.forecasters.wire import columns_of
from memtierd.linux.child import open_to_append
from memtierd.units import PAGE_BYTES

_TRACE = "{} {:x} {} {:.9f} {} {}\n"
_ZERO = 5e-10
"""What the nine decimals of a trace show as 0."""


@attrs.frozen(eq=False)
class Answer:
    """What a forecaster says."""

    heats: Heats | None
    """The forecast, as far as there is one; None: no opinion."""
    problems: tuple[str, ...] = ()
    """What keeps it from forecasting, or from all of it: the same sentences as long as that lasts."""
    failures: int = 0
    """How often it failed this time."""


class Forecaster(Protocol):
    """Says how hot regions will be, from how hot they are."""

    def forecast(self, heats: Heats) -> Answer:
        """Return the forecast; from one thread only."""

    def close(self) -> None:
        """End everything; a `forecast` under way returns soon.  From any thread."""


class StubForecaster:
    """Has no opinion."""

    def forecast(self, heats: Heats) -> Answer:
        """Return no forecast."""
        return Answer(None)

    def close(self) -> None:
        """Do nothing."""


class TraceForecaster:
    """Appends the heats to a file and has no opinion."""

    def __init__(self, params: TraceParams) -> None:
        self._params = params

    def forecast(self, heats: Heats) -> Answer:
        """Write the heats down."""
        table = f"table: heat forecast {time.time_ns()} pid addr size heat created updated\n"
        lines = (self._lines(key.pid, of_process) for key, of_process in heats.items())
        try:
            with open_to_append(self._params.file) as file:
                file.write((table + "".join(lines)).encode())
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            tried = f"forecaster trace: append to {self._params.file!r}"
            return Answer(None, (str(from_oserror(tried, error) if isinstance(error, OSError) else error),), 1)
        return Answer(None)

    def close(self) -> None:
        """Do nothing: the file is opened for each forecast."""

    def _lines(self, pid: int, of_process: ProcessHeats) -> str:
        if self._params.hide_heat_zero:
            of_process = _without_zeros(of_process)
        start, pages, heat, created, updated = columns_of(of_process)
        sizes = [count * PAGE_BYTES for count in pages]
        return "".join(map(_TRACE.format, [pid] * len(start), start, sizes, heat, created, updated))


def _without_zeros(of_process: ProcessHeats) -> ProcessHeats:
    shown = of_process.heat >= _ZERO
    columns = attrs.asdict(of_process, recurse=False)
    return ProcessHeats(**{name: column[shown] for name, column in columns.items()})


class ChainForecaster:
    """Lets its members forecast one after the other; what has no opinion or fails passes on what it got."""

    def __init__(self, members: Sequence[Forecaster]) -> None:
        self._members = members

    def forecast(self, heats: Heats) -> Answer:
        """Return the last forecast."""
        forecast: Heats | None = None
        problems: list[str] = []
        failures = 0
        for member in self._members:
            answer = member.forecast(heats if forecast is None else forecast)
            forecast = forecast if answer.heats is None else answer.heats
            problems.extend(answer.problems)
            failures += answer.failures
        return Answer(forecast, tuple(problems), failures)

    def close(self) -> None:
        """End all members."""
        for member in self._members:
            member.close()
