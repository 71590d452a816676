"""The life cycle of the mover: every state, every event and every transition, declared once.

A mover is *stopped* until it is started; it has no thread then.  Started, it is *idle* without tasks and
*moving* with at least one.  *Paused*, it keeps its tasks and does nothing.  Every command is allowed in
every state: one that changes nothing there is listed as leading to the same state, so commands are idempotent.
"""

import enum


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


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STOPPED, Event.START): State.IDLE,
    (State.STOPPED, Event.STOP): State.STOPPED,
    (State.STOPPED, Event.PAUSE): State.STOPPED,
    (State.STOPPED, Event.CONTINUE): State.STOPPED,
    (State.STOPPED, Event.WORK): State.STOPPED,
    (State.STOPPED, Event.DONE): State.STOPPED,
    (State.IDLE, Event.START): State.IDLE,
    (State.IDLE, Event.STOP): State.STOPPED,
    (State.IDLE, Event.PAUSE): State.PAUSED,
    (State.IDLE, Event.CONTINUE): State.IDLE,
    (State.IDLE, Event.WORK): State.MOVING,
    (State.IDLE, Event.DONE): State.IDLE,
    (State.MOVING, Event.START): State.MOVING,
    (State.MOVING, Event.STOP): State.STOPPED,
    (State.MOVING, Event.PAUSE): State.PAUSED,
    (State.MOVING, Event.CONTINUE): State.MOVING,
    (State.MOVING, Event.WORK): State.MOVING,
    (State.MOVING, Event.DONE): State.IDLE,
    (State.PAUSED, Event.START): State.PAUSED,
    (State.PAUSED, Event.STOP): State.STOPPED,
    (State.PAUSED, Event.PAUSE): State.PAUSED,
    (State.PAUSED, Event.CONTINUE): State.IDLE,
    (State.PAUSED, Event.WORK): State.PAUSED,
    (State.PAUSED, Event.DONE): State.PAUSED,
}
"""Total: continuing leads to idle, and the tasks that wait there lead on to moving at once."""
