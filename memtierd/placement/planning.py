"""Making a plan: choose a node for every misplaced region, the most urgent first, as far as there is room."""

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from memtierd.model import F32, I8, I16, I64, SWAP_NODE, U8, U16, U32, U64, MachineFacts
from memtierd.placement.direction import direction
from memtierd.placement.plan import Direction, Obstacle, Plan
from memtierd.placement.wrong import outside
from memtierd.policies.common import Place

_NO_NODE = -2
"""Ends a list of targets."""
_FILL_ROUNDS = 16
"""How often a node is offered again to smaller regions after one that is too large for what is left."""


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
    """What explains the state: idle seconds, active seconds or heat."""
    turn: U8
    """The lowest turn comes first."""
    urgency: F32
    """Within a turn the largest comes first."""
    guard: U8 = attrs.field(
        default=attrs.Factory(lambda candidates: np.zeros(len(candidates.row), np.uint8), takes_self=True)
    )
    """The obstacle that a guard puts in the way of a demotion; NONE: no guard does."""

    def __len__(self) -> int:
        return len(self.row)


@attrs.frozen
class Whereabouts:
    """Where a process may have memory and where it runs."""

    allowed_nodes: frozenset[int]
    running_node: int


@attrs.frozen
class _Case:
    """What regions have in common that may go to the same nodes."""

    place: Place
    where: Whereabouts
    source: int
    guard: Obstacle


@attrs.frozen
class _Outlook:
    """Where the regions of a case can go."""

    targets: tuple[int, ...]
    """To be tried in turn."""
    obstacle: Obstacle
    """What to say when none of them takes the memory."""
    wanted: int
    """The target that would be the first without guards; _NO_NODE when there is none."""


def make_plan(
    candidates: Candidates,
    places: Sequence[Place],
    whereabouts: Callable[[int], Whereabouts],
    machine: MachineFacts,
    node_ids: Sequence[int],
    room_pages: Mapping[int, int],
    made_ms: int,
) -> Plan:
    """Return the plan for all candidates, in order of importance.

    A region goes to the first node with room among those of its place that its process may use, nearest
    first; every node is filled with the most important regions of all processes that want it.  What a guard
    holds is not demoted and takes no room.

    Args:
        candidates: the misplaced regions.
        places: what `desired` codes mean.
        whereabouts: gives what is known of the process in a row of the process table.
        machine: the nodes as they are now.
        node_ids: the nodes that `node_pages` counts, in its order.
        room_pages: what each node of the machine, and SWAP_NODE, can take.
        made_ms: time of the decision.

    """
    held = candidates.node_pages * outside(places, node_ids)[:, candidates.desired]
    source = held.argmax(axis=0) if len(candidates) else np.zeros(0, dtype=np.int64)
    cases, case_of = _cases(candidates, source, places, whereabouts, node_ids)
    outlooks = [_outlook(case, machine, room_pages) for case in cases]
    order = np.lexsort((-candidates.urgency, candidates.turn))
    target = _fill(order, candidates.wrong_pages, case_of, [outlook.targets for outlook in outlooks], room_pages)
    reasons = np.array([outlook.obstacle for outlook in outlooks], dtype=np.uint8)
    obstacle = np.where(target == _NO_NODE, reasons[case_of], np.uint8(Obstacle.NONE))
    ways = _directions(cases, outlooks, machine)[case_of, target - _NO_NODE]
    return Plan(
        made_ms=made_ms,
        row=candidates.row[order],
        process=candidates.process[order],
        start=candidates.start[order],
        pages=candidates.pages[order],
        move_pages=candidates.wrong_pages[order],
        source=np.array(node_ids, dtype=np.int16)[source[order]],
        target=target[order],
        activity=candidates.activity[order],
        value=candidates.value[order],
        obstacle=obstacle[order],
        direction=ways[order],
    )


def _cases(
    candidates: Candidates,
    source: I64,
    places: Sequence[Place],
    whereabouts: Callable[[int], Whereabouts],
    node_ids: Sequence[int],
) -> tuple[list[_Case], I64]:
    """Return the cases that occur, and the case of each candidate."""
    codes: dict[Whereabouts, int] = {}
    code_of_process = np.zeros(1 << 16, dtype=np.int64)
    for process in np.unique(candidates.process).tolist():
        code_of_process[process] = codes.setdefault(whereabouts(process), len(codes))
    guards = np.flatnonzero(np.bincount(candidates.guard, minlength=1)).tolist() or [0]
    code_of_guard = np.zeros(guards[-1] + 1, dtype=np.int64)
    code_of_guard[guards] = np.arange(len(guards))
    shape = (max(1, len(codes)), len(places), len(node_ids), len(guards))
    key = np.ravel_multi_index(
        (code_of_process[candidates.process], candidates.desired, source, code_of_guard[candidates.guard]), shape
    )
    used = np.flatnonzero(np.bincount(key))
    number_of_key = np.zeros(int(np.prod(shape)), dtype=np.int64)
    number_of_key[used] = np.arange(len(used))
    known = list(codes)
    parts = zip(*(part.tolist() for part in np.unravel_index(used, shape)), strict=True)
    cases = [
        _Case(places[place], known[where], node_ids[node], Obstacle(guards[guard]))
        for where, place, node, guard in parts
    ]
    return cases, number_of_key[key]


def _outlook(case: _Case, machine: MachineFacts, room: Mapping[int, int]) -> _Outlook:
    targets, obstacle = _ranked_nodes(case, machine, room)
    open_targets = tuple(target for target in targets if not case.guard or _direction(case, target, machine) <= 0)
    if targets and not open_targets:
        obstacle = case.guard
    return _Outlook(open_targets, obstacle, targets[0] if targets else _NO_NODE)


def _ranked_nodes(case: _Case, machine: MachineFacts, room: Mapping[int, int]) -> tuple[list[int], Obstacle]:
    """Return the targets to try in turn, and what to say when none of them takes the memory."""
    place, where = case.place, case.where
    online = [facts for facts in machine.nodes if facts.node in place.nodes]
    allowed = [facts for facts in online if facts.node in where.allowed_nodes]
    near = where.running_node if where.running_node >= 0 else case.source
    ranked = sorted(allowed, key=lambda facts: (facts.distances.get(near, 255), -room[facts.node], facts.node))
    targets = [facts.node for facts in ranked]
    if SWAP_NODE in place.nodes:
        if machine.swap_total_pages:
            return [*targets, SWAP_NODE], Obstacle.SWAP_FULL
        return targets, Obstacle.NO_ROOM if targets else Obstacle.NO_SWAP
    if targets:
        return targets, Obstacle.NO_ROOM
    return [], Obstacle.NOT_ALLOWED if online else Obstacle.NO_SUCH_NODE


def _direction(case: _Case, target: int, machine: MachineFacts) -> Direction:
    return direction(case.source, target, case.where.running_node, machine)


def _directions(cases: Sequence[_Case], outlooks: Sequence[_Outlook], machine: MachineFacts) -> I8:
    """Return the direction of each case's moves by target - _NO_NODE; at 0 of the one that it wants most."""
    most = max((target for outlook in outlooks for target in outlook.targets), default=_NO_NODE)
    found = np.zeros((max(1, len(cases)), most - _NO_NODE + 1), dtype=np.int8)
    for row, (case, outlook) in enumerate(zip(cases, outlooks, strict=True)):
        if outlook.wanted != _NO_NODE:
            found[row, 0] = _direction(case, outlook.wanted, machine)
        for target in outlook.targets:
            found[row, target - _NO_NODE] = _direction(case, target, machine)
    return found


def _fill(
    order: I64, wrong_pages: U32, case_of: I64, targets: Sequence[Sequence[int]], room_pages: Mapping[int, int]
) -> I16:
    """Return the target of each candidate, _NO_NODE where none has room; first choices go before second ones."""
    target = np.full(len(case_of), _NO_NODE, dtype=np.int16)
    room, pending = dict(room_pages), order
    for choice in range(max((len(nodes) for nodes in targets), default=0)):
        choices = np.array([nodes[choice] if choice < len(nodes) else _NO_NODE for nodes in targets], dtype=np.int16)
        wanted = choices[case_of[pending]]
        for node in set(choices.tolist()) - {_NO_NODE}:
            rows = pending[wanted == node]
            rows = rows[_fitting(wrong_pages[rows], room[node])]
            target[rows] = node
            room[node] -= int(wrong_pages[rows].sum(dtype=np.int64))
        pending = pending[target[pending] == _NO_NODE]
    return target


def _fitting(sizes: U32, room: int) -> I64:
    """Return the positions of what fits into `room`: first come, first served, passing over what is too large."""
    chosen = []
    waiting = np.arange(len(sizes))
    for _ in range(_FILL_ROUNDS):
        waiting = waiting[sizes[waiting] <= room]
        if not len(waiting):
            break
        total = np.cumsum(sizes[waiting], dtype=np.int64)
        fits = int(np.searchsorted(total, room, side="right"))
        chosen.append(waiting[:fits])
        room -= int(total[fits - 1])
        waiting = waiting[fits:]
    return np.concatenate(chosen) if chosen else waiting[:0]
