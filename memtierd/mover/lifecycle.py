"""The life cycle of the mover: every state, every event and every transition, declared once.

A mover is *stopped* until it is started; it has no thread then.  Started, it is *idle* without tasks and
*moving* with at least one.  *Paused*, it keeps its tasks and does nothing.  Every command is allowed in
every state: one that changes nothing there is declared as ignored, so commands are idempotent.
Continuing leads to idle, and the tasks that wait there lead on to moving at once.
"""

import enum

from memtierd.regions.lifecycle import Declaration


class State(enum.Enum):
    """What the mover does now."""

    STOPPED = "stopped"
    IDLE = "idle"
    MOVING = "moving"
    PAUSED = "paused"


class Event(enum.Enum):
    """What happened to the mover: a command, or tasks that came or ended."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    CONTINUE = "continue"
    WORK = "work"
    """There is at least one task, queued or in work."""
    DONE = "done"
    """There is no task any more."""


MOVER = Declaration(
    name="mover",
    states=tuple(state.value for state in State),
    events=tuple(event.value for event in Event),
    moves=(
        ("start", ("stopped",), "idle"),
        ("work", ("idle",), "moving"),
        ("done", ("moving",), "idle"),
        ("pause", ("idle", "moving"), "paused"),
        ("continue", ("paused",), "idle"),
        ("stop", ("idle", "moving", "paused"), "stopped"),
    ),
    ignored=(
        ("start", ("idle", "moving", "paused")),
        ("work", ("stopped", "moving", "paused")),
        ("done", ("stopped", "idle", "paused")),
        ("pause", ("stopped", "paused")),
        ("continue", ("stopped", "idle", "moving")),
        ("stop", ("stopped",)),
    ),
)


class LifeCycle:
    """One mover's state; not for several threads at once."""

    def __init__(self) -> None:
        self._machine = MOVER.machine()

    @property
    def state(self) -> State:
        """Return what the mover does now."""
        return State(self._machine.state)

    def fire(self, event: Event) -> None:
        """Step the state."""
        self._machine.trigger(event.value)
