"""The life cycle of a kdamond as memtierd uses it: every state, every event and every transition, declared once.

A kdamond is *free* until it is claimed: it may be anybody's.  Claimed, it is *held* and does not run; with processes
to monitor it is *running*.  It ends by itself when its last process has ended, and is held again.  One that turns
out to run for somebody else although it was claimed is *lost*: it is never touched again, only given up.
"""

import enum

from memtierd.regions.lifecycle import Declaration


class State(enum.Enum):
    """Whose a kdamond is, and whether it runs."""

    FREE = "free"
    HELD = "held"
    RUNNING = "running"
    LOST = "lost"


class Event(enum.Enum):
    """What happened to a kdamond."""

    CLAIM = "claim"
    START = "start"
    STOP = "stop"
    END = "end"
    """It has stopped by itself, or somebody else has stopped it."""
    TAKE = "take"
    """Somebody else has started it."""
    RELEASE = "release"


KDAMOND = Declaration(
    name="kdamond",
    states=tuple(state.value for state in State),
    events=tuple(event.value for event in Event),
    moves=(
        ("claim", ("free",), "held"),
        ("start", ("held",), "running"),
        ("stop", ("running",), "held"),
        ("end", ("running",), "held"),
        ("take", ("held", "running"), "lost"),
        ("release", ("held", "lost"), "free"),
    ),
    ignored=(
        ("stop", ("free", "held", "lost")),
        ("end", ("free", "held", "lost")),
        ("take", ("free", "lost")),
        ("release", ("free",)),
    ),
)
"""What is missing is a bug: to claim what is held, to start what is not held, and to release what runs."""


class LifeCycle:
    """One kdamond's state; not for several threads at once."""

    def __init__(self) -> None:
        self._machine = KDAMOND.machine()

    @property
    def state(self) -> State:
        """Return whose the kdamond is."""
        return State(self._machine.state)

    def fire(self, event: Event) -> None:
        """Step the state."""
        self._machine.trigger(event.value)
