"""The plan: which regions move from where to where, in order of importance, and which can't and why."""

import enum
from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from memtierd.model import F32, I16, I64, SWAP_NODE, U8, U16, U32, U64, MachineFacts
from memtierd.policies.common import Place


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


@attrs.frozen(eq=False)
class Candidates:
    """Misplaced regions, one entry each, as columns."""

    row: I64
    """Row in the region table at the time of the decision."""
    process: U16
    start: U64
    pages: U32
    node_pages: U32
    """Shape (nodes, regions)."""
    wrong_pages: U32
    desired: U8
    activity: U8
    value: F32
    """What explains the state: idle seconds, active seconds or heat; larger is more urgent except for heat."""

    def __len__(self) -> int:
        return len(self.row)


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

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Plan):
            values = getattr(self, field.name)
            if isinstance(values, np.ndarray):
                values.setflags(write=False)

    def __len__(self) -> int:
        return len(self.row)

    def choose(self, rows: "np.typing.NDArray[np.bool_] | slice") -> "Plan":
        """Return a plan of the chosen entries."""
        columns = {f.name: getattr(self, f.name)[rows] for f in attrs.fields(Plan) if f.name != "made_ms"}
        return Plan(made_ms=self.made_ms, **columns)

    @property
    def moves(self) -> "Plan":
        """Return the entries that can be moved."""
        return self.choose(self.obstacle == Obstacle.NONE)

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


@attrs.frozen
class Whereabouts:
    """Where a process may have memory and where it runs."""

    allowed_nodes: frozenset[int]
    running_node: int


def make_plan(
    candidates: Candidates,
    places: Sequence[Place],
    whereabouts: Callable[[int], Whereabouts],
    machine: MachineFacts,
    room_pages: Mapping[int, int],
    made_ms: int,
) -> Plan:
    """Return the plan for all candidates.

    Regions with the same process, place and source are decided together: the nodes of the place that
    the process may use, nearest first, are filled one after the other with the most urgent regions
    first.  `room_pages` is what each node and SWAP_NODE can take; it is shared by all.
    """
    source = _sources(candidates, places, machine)
    target = np.full(len(candidates), SWAP_NODE, dtype=np.int16)
    obstacle = np.zeros(len(candidates), dtype=np.uint8)
    room = dict(room_pages)
    order = np.lexsort((-candidates.value, candidates.activity))
    for rows in _groups(candidates, source, order):
        first = rows[0]
        place = places[candidates.desired[first]]
        where = whereabouts(int(candidates.process[first]))
        nodes, reason = _ranked_nodes(place, where, int(source[first]), machine, room)
        _fill(rows, candidates.wrong_pages, nodes, reason, room, target, obstacle)
    return Plan(
        made_ms=made_ms,
        row=candidates.row[order],
        process=candidates.process[order],
        start=candidates.start[order],
        pages=candidates.pages[order],
        move_pages=candidates.wrong_pages[order],
        source=source[order],
        target=target[order],
        activity=candidates.activity[order],
        value=candidates.value[order],
        obstacle=obstacle[order],
    )


def _sources(candidates: Candidates, places: Sequence[Place], machine: MachineFacts) -> I16:
    """Return for each candidate the node outside its place that holds most of it."""
    held = candidates.node_pages.copy()
    for code, place in enumerate(places):
        for position, node in enumerate(machine.node_ids):
            if node in place.nodes:
                held[position, candidates.desired == code] = 0
    ids = np.array(machine.node_ids, dtype=np.int16)
    return ids[held.argmax(axis=0)] if len(candidates) else np.zeros(0, dtype=np.int16)


def _groups(candidates: Candidates, source: I16, order: I64) -> list[I64]:
    """Return the candidates grouped by process, place and source; in each group the most urgent first."""
    if not len(candidates):
        return []
    process, desired = candidates.process[order].astype(np.int64), candidates.desired[order].astype(np.int64)
    key = (process << 24) | (desired << 16) | (source[order].astype(np.int64) & 0xFFFF)
    by_key = np.argsort(key, kind="stable")
    cuts = np.flatnonzero(np.diff(key[by_key])) + 1
    return np.split(order[by_key], cuts)


def _ranked_nodes(
    place: Place, where: Whereabouts, source: int, machine: MachineFacts, room: Mapping[int, int]
) -> tuple[list[int], Obstacle]:
    """Return the targets to fill in turn, and what to say when none of them takes the memory."""
    online = [facts for facts in machine.nodes if facts.node in place.nodes]
    allowed = [facts for facts in online if facts.node in where.allowed_nodes]
    near = where.running_node if where.running_node >= 0 else source
    ranked = sorted(allowed, key=lambda facts: (facts.distances.get(near, 255), -room[facts.node], facts.node))
    targets = [facts.node for facts in ranked]
    if SWAP_NODE in place.nodes:
        if machine.swap_total_pages:
            return [*targets, SWAP_NODE], Obstacle.SWAP_FULL
        return targets, Obstacle.NO_ROOM if targets else Obstacle.NO_SWAP
    if targets:
        return targets, Obstacle.NO_ROOM
    return [], Obstacle.NOT_ALLOWED if online else Obstacle.NO_SUCH_NODE


def _fill(
    rows: I64, wrong_pages: U32, nodes: list[int], reason: Obstacle, room: dict[int, int], target: I16, obstacle: U8
) -> None:
    """Give the rows to the nodes in turn, as far as there is room; the rest meets the obstacle."""
    for node in nodes:
        if not len(rows):
            return
        sizes = np.cumsum(wrong_pages[rows], dtype=np.int64)
        fits = int(np.searchsorted(sizes, room[node], side="right"))
        target[rows[:fits]] = node
        room[node] -= int(sizes[fits - 1]) if fits else 0
        rows = rows[fits:]
    obstacle[rows] = reason
