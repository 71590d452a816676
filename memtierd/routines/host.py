"""All routines of a daemon, by number: from the configuration and the prompt."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from memtierd.errors import MemtierdError
from memtierd.parameters import Part
from memtierd.routines.params import StatActionsParams
from memtierd.routines.routine import STOP_TIMEOUT_S, Ports, Routine

REGISTRY: dict[str, type[Any]] = {"statactions": StatActionsParams}
"""Parameters of each routine by name."""


@attrs.define(eq=False)
class _Slot:
    number: int
    name: str
    params: StatActionsParams | None = None
    routine: Routine | None = None
    is_wanted: bool = False
    """It was started and not stopped; so it runs unless routines are paused."""


@attrs.frozen
class RoutineView:
    """What there is to say of a routine."""

    number: int
    name: str
    params: StatActionsParams | None
    is_running: bool


class Routines:
    """Routines, each with a number that it keeps, from 1 on.  All methods may be called from any thread."""

    def __init__(self, ports: Ports, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._ports = ports
        self._clock_ns = clock_ns
        self._lock = threading.RLock()
        self._slots: list[_Slot] = []
        self._is_paused = False

    def views(self) -> list[RoutineView]:
        """Return all routines in the order in which they were made, or are in the configuration."""
        with self._lock:
            return [RoutineView(slot.number, slot.name, slot.params, slot.routine is not None) for slot in self._slots]

    def create(self, name: str) -> int:
        """Make a routine and return its number; it needs a configuration before it can start."""
        if name not in REGISTRY:
            raise MemtierdError(f"invalid routine name {name!r}; there are: {', '.join(sorted(REGISTRY))}")
        with self._lock:
            return self._made(Part(name, None)).number

    def configure(self, number: int, params: StatActionsParams) -> None:
        """Give a routine its parameters; one that runs is started anew with them."""
        with self._lock:
            slot = self._slot(number)
            slot.params = params
            if slot.routine is not None:
                self.stop(number)
                self.start(number)

    def start(self, number: int) -> None:
        """Start a routine, when routines are paused as soon as they go on; no effect when it runs.

        Raises MemtierdError when it has no parameters.
        """
        with self._lock:
            slot = self._slot(number)
            if slot.routine is not None:
                return
            if slot.params is None:
                raise MemtierdError(
                    f"start routine {number} {slot.name}: it has no configuration;"
                    " give one with: routines -config CONFIG"
                )
            slot.is_wanted = True
            if self._is_paused:
                return
            slot.routine = Routine(number, slot.name, slot.params, self._ports, self._clock_ns)
            slot.routine.start()

    def stop(self, number: int) -> None:
        """Stop a routine and the command that it runs; no effect when it doesn't run."""
        with self._lock:
            slot = self._slot(number)
            slot.is_wanted = False
            if slot.routine is None:
                return
            slot.routine.stop()
            slot.routine = None
            self._ports.hold(f"routine {number} {slot.name}", ())

    def become(self, parts: Sequence[Part], *, start: bool) -> None:
        """Have these routines and those that were not configured yet: equal ones go on as they are, others stop.

        With `start` those that don't run are started; without it only those that take the number of one that ran.
        """
        with self._lock:
            matched = self._matched(parts)
            dropped = [slot for slot in self._slots if slot not in matched and slot.params is not None]
            were_wanted = {slot.number for slot in dropped if slot.is_wanted}
            for slot in dropped:
                self.stop(slot.number)
            self._slots = [slot for slot in self._slots if slot not in dropped]
            made = [slot or self._made(part) for part, slot in zip(parts, matched, strict=True)]
            self._slots = made + [slot for slot in self._slots if slot not in made]
            for slot in made:
                if start or slot.number in were_wanted:
                    self.start(slot.number)

    def _made(self, part: Part) -> _Slot:
        slot = _Slot(_free_number(self._slots), part.name, part.params)
        self._slots.append(slot)
        return slot

    def _matched(self, parts: Sequence[Part]) -> list[_Slot | None]:
        """Return for each part the slot that is set up just so, each slot once."""
        left = list(self._slots)
        found: list[_Slot | None] = []
        for part in parts:
            slot = next((slot for slot in left if (slot.name, slot.params) == (part.name, part.params)), None)
            if slot is not None:
                left.remove(slot)
            found.append(slot)
        return found

    def pause(self) -> None:
        """Stop all routines and their commands, and let none run before `resume`."""
        with self._lock:
            self._is_paused = True
            running = [slot for slot in self._slots if slot.routine is not None]
            self.stop_all()
            for slot in running:
                self._ports.hold(f"routine {slot.number} {slot.name}", ())

    def resume(self) -> None:
        """Start what ran before the pause, and what was to start during it."""
        with self._lock:
            self._is_paused = False
            for slot in self._slots:
                if slot.is_wanted:
                    self.start(slot.number)

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
        for slot in self._slots:
            if slot.number == number:
                return slot
        last = max((slot.number for slot in self._slots), default=0)
        raise MemtierdError(f"invalid routine {number}, the last one is {last}")


def _free_number(slots: Sequence[_Slot]) -> int:
    """Return the lowest number that no slot has."""
    taken = {slot.number for slot in slots}
    return next(number for number in range(1, len(taken) + 2) if number not in taken)
