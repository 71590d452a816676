"""All routines of a daemon, by number: from the configuration and the prompt."""

import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from memtierd.errors import MemtierdError
from memtierd.routines.params import StatActionsParams
from memtierd.routines.routine import STOP_TIMEOUT_S, Ports, Routine

REGISTRY: dict[str, type[Any]] = {"statactions": StatActionsParams}
"""Parameters of each routine by name."""


@attrs.define(eq=False)
class _Slot:
    name: str
    params: StatActionsParams | None = None
    routine: Routine | None = None


@attrs.frozen
class RoutineView:
    """What there is to say of a routine."""

    number: int
    name: str
    params: StatActionsParams | None
    is_running: bool


class Routines:
    """Routines numbered from 1 in the order of their creation.  All methods may be called from any thread."""

    def __init__(self, ports: Ports, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._ports = ports
        self._clock_ns = clock_ns
        self._lock = threading.RLock()
        self._slots: list[_Slot] = []

    def views(self) -> list[RoutineView]:
        """Return all routines in the order of their numbers."""
        with self._lock:
            return [
                RoutineView(number, slot.name, slot.params, slot.routine is not None)
                for number, slot in enumerate(self._slots, 1)
            ]

    def create(self, name: str) -> int:
        """Make a routine and return its number; it needs a configuration before it can start."""
        if name not in REGISTRY:
            raise MemtierdError(f"invalid routine name {name!r}; there are: {', '.join(sorted(REGISTRY))}")
        with self._lock:
            self._slots.append(_Slot(name))
            return len(self._slots)

    def configure(self, number: int, params: StatActionsParams) -> None:
        """Give a routine its parameters; one that runs is started anew with them."""
        with self._lock:
            slot = self._slot(number)
            slot.params = params
            if slot.routine is not None:
                self.stop(number)
                self.start(number)

    def start(self, number: int) -> None:
        """Start a routine; no effect when it runs.  Raises MemtierdError when it has no parameters."""
        with self._lock:
            slot = self._slot(number)
            if slot.routine is not None:
                return
            if slot.params is None:
                raise MemtierdError(
                    f"start routine {number} {slot.name}: it has no configuration;"
                    " give one with: routines -config CONFIG"
                )
            slot.routine = Routine(number, slot.name, slot.params, self._ports, self._clock_ns)
            slot.routine.start()

    def stop(self, number: int) -> None:
        """Stop a routine and the command that it runs; no effect when it doesn't run."""
        with self._lock:
            slot = self._slot(number)
            if slot.routine is None:
                return
            slot.routine.stop()
            slot.routine = None
            self._ports.hold(f"routine {number} {slot.name}", ())

    def stop_all(self) -> None:
        """Stop all routines, at the same time."""
        with self._lock:
            running = [slot.routine for slot in self._slots if slot.routine is not None]
            for routine in running:
                routine.ask_to_stop()
            until_s = time.monotonic() + STOP_TIMEOUT_S
            for routine in running:
                routine.stop(max(0.0, until_s - time.monotonic()))
            for slot in self._slots:
                slot.routine = None

    def _slot(self, number: int) -> _Slot:
        if not 1 <= number <= len(self._slots):
            raise MemtierdError(f"invalid routine {number}, the last one is {len(self._slots)}")
        return self._slots[number - 1]
