"""The thread that waits for a forecaster, so that nobody else has to."""

import queue
import threading
import traceback
from collections.abc import Callable

import attrs

from memtierd.forecasters.forecaster import Answer, Forecaster
from memtierd.forecasters.heats import NO_HEATS, Heats, with_ages

STOP_TIMEOUT_S = 0.5


@attrs.frozen(eq=False)
class Forecast:
    """The answer to a request."""

    number: int
    """That of the request."""
    answer: Answer


@attrs.frozen(eq=False)
class _Request:
    number: int
    heats: Heats


class ForecastThread:
    """Hands requests to a forecaster, one at a time, and posts what it answers."""

    def __init__(self, forecaster: Forecaster, post: Callable[[Forecast], None]) -> None:
        self._forecaster = forecaster
        self._post = post
        self._inbox: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._busy = threading.Event()
        self._stopping = False
        self._before: Heats = NO_HEATS
        self._thread = threading.Thread(target=self._run, name="forecaster", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, number: int, heats: Heats) -> bool:
        """Ask for a forecast and return at once; False when the forecaster is still busy.  From one thread only."""
        if self._busy.is_set():
            return False
        self._busy.set()
        self._inbox.put(_Request(number, heats))
        return True

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the forecaster and the thread; return whether it ended in time.  A late one posts nothing."""
        self._stopping = True
        self._forecaster.close()
        self._inbox.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (request := self._inbox.get()) is not None:
            self._before = with_ages(request.heats, self._before)
            answer = self._forecast(self._before)
            self._busy.clear()
            if not self._stopping:
                self._post(Forecast(request.number, answer))

    def _forecast(self, heats: Heats) -> Answer:
        try:
            return self._forecaster.forecast(heats)
        except Exception as error:  # noqa: BLE001  a bug in one forecast must not end all forecasting
            where = traceback.extract_tb(error.__traceback__)[-1]
            said = f"unexpected {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            return Answer(None, (f"forecaster: {said}; this is a bug, report it",), 1)
