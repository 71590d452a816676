"""The plan: which regions move from where to where, in order of importance, and which can't and why."""

import enum

import attrs
import numpy as np

from memtierd.model import F32, I8, I16, I64, U8, U16, U32, U64, Bool


class Obstacle(enum.IntEnum):
    """Why a misplaced region can't be moved now."""

    NONE = 0
    NO_SUCH_NODE = 1
    """None of the wanted nodes is online with memory."""
    NOT_ALLOWED = 2
    """None of the wanted nodes is in the process's cpuset (Mems_allowed_list)."""
    NO_ROOM = 3
    """The wanted nodes are full, up to the reserve or their configured size."""
    NO_SWAP = 4
    """No swap space is configured in the system."""
    SWAP_FULL = 5
    PRESSURE = 6
    """Demotion is paused: the guard maxpressure."""
    REFAULT = 7
    """Demotion is paused: the guard maxrefault."""
    DAMPED = 8
    """The region came back soon after it was demoted, and waits: the guard maxrefault."""


GUARDS = (Obstacle.PRESSURE, Obstacle.REFAULT, Obstacle.DAMPED)
"""Obstacles that keep memory from being demoted, and from nothing else."""


class Direction(enum.IntEnum):
    """Whether a move is to faster or slower memory."""

    PROMOTION = -1
    SIDEWAYS = 0
    """To memory that is as fast, or nobody knows."""
    DEMOTION = 1


def is_guard(obstacle: U8) -> Bool:
    """Return which of the obstacles are those of guards."""
    found: Bool = (obstacle >= min(GUARDS)) & (obstacle <= max(GUARDS))
    return found


@attrs.frozen(eq=False)
class Plan:
    """An immutable decision: columns with one entry a region; `target` has meaning where `obstacle` is NONE."""

    made_ms: int
    row: I64
    process: U16
    start: U64
    pages: U32
    move_pages: U32
    """Pages of the region that lie wrong."""
    source: I16
    """The node that holds most of what is to move."""
    target: I16
    """Node, or SWAP_NODE."""
    activity: U8
    value: F32
    obstacle: U8
    direction: I8 = attrs.field(
        default=attrs.Factory(lambda plan: np.zeros(len(plan.row), np.int8), takes_self=True), repr=False
    )
    """Direction of the move, or of the one that was wanted most."""

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Plan):
            values = getattr(self, field.name)
            if isinstance(values, np.ndarray):
                values.setflags(write=False)

    def __len__(self) -> int:
        return len(self.row)

    def choose(self, rows: "Bool | slice") -> "Plan":
        """Return a plan of the chosen entries."""
        columns = {f.name: getattr(self, f.name)[rows] for f in attrs.fields(Plan) if f.name != "made_ms"}
        return Plan(made_ms=self.made_ms, **columns)

    @property
    def moves(self) -> "Plan":
        """Return the entries that can be moved."""
        return self.choose(self.obstacle == Obstacle.NONE)

    @property
    def intended(self) -> "Plan":
        """Return the moves, and what would be one if guards did not hold it."""
        return self.choose((self.obstacle == Obstacle.NONE) | is_guard(self.obstacle))

    @property
    def blocked(self) -> "Plan":
        """Return the entries that stay put for now."""
        return self.choose(self.obstacle != Obstacle.NONE)


def empty_plan(made_ms: int = 0) -> Plan:
    """Return a plan of nothing."""
    zero = np.zeros(0)
    return Plan(
        made_ms=made_ms,
        row=zero.astype(np.int64),
        process=zero.astype(np.uint16),
        start=zero.astype(np.uint64),
        pages=zero.astype(np.uint32),
        move_pages=zero.astype(np.uint32),
        source=zero.astype(np.int16),
        target=zero.astype(np.int16),
        activity=zero.astype(np.uint8),
        value=zero.astype(np.float32),
        obstacle=zero.astype(np.uint8),
    )
