"""The heat policy: memory is divided into classes by how hot it is, and each class has its nodes."""

import re
from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import F32, SWAP_NODE, U8, MachineFacts
from memtierd.parameters import UNIT_BOUNDS, FieldProblem, Part, option, part
from memtierd.policies.common import History, PolicyParams, places_of_states
from memtierd.regions.history import HeatDecay
from memtierd.regions.lifecycle import NOTHING, heat_activity, heat_state

_NODE_LIMIT = re.compile(r"[0-9]{1,15} *[kKMGT]?i?B?|(?:100|[0-9]{1,2}(?:\.[0-9]+)?) *%")


@attrs.frozen(kw_only=True)
class HeatmapParams:
    """How counted accesses become heat."""

    heat_max: float = option(
        1.0, doc="Heat is limited to this; it is the top of the hottest class.", at_least=1e-9, at_most=1e9
    )
    heat_retention: float = option(
        0.9513, doc="Portion of the heat left after one second without accesses.", at_least=0, at_most=1
    )
    heat_classes: int = option(10, doc="Number of heat classes.", at_least=1, at_most=240)


@attrs.frozen(kw_only=True)
class HeatParams(PolicyParams):
    """Parameters of the heat policy."""

    heatmap: HeatmapParams = option(factory=HeatmapParams, doc="How counted accesses become heat.")
    heat_numas: dict[int, tuple[int, ...]] = option(
        factory=dict,
        doc="Nodes for each heat class, -1 is swap; a class that is missing is not moved.",
        unit="node",
        at_least=SWAP_NODE,
    )
    numa_size: dict[int, str] = option(
        factory=dict, doc="At most this much tracked memory on a node: 512k, 64M, 2G, or 30% of the node."
    )

    forecaster: Part | None = part(
        "forecaster", None, doc="Says how hot regions will be, from how hot they are; missing: nobody does."
    )

    def problems(self) -> Iterator[FieldProblem]:
        """Return classes that don't exist, and limits of nodes that can't be."""
        classes = self.heatmap.heat_classes
        for heat_class in self.heat_numas:
            if not 0 <= heat_class < classes:
                expected = f"a class from 0 to {classes - 1}, below heatclasses"
                yield FieldProblem("heat_numas", expected, f"heat class {heat_class}", heat_class, ("heatmap",))
        low, high = UNIT_BOUNDS["node"]
        for node, limit in self.numa_size.items():
            if not low <= node <= high:
                yield FieldProblem("numa_size", f"a node from {low} to {high}", f"node {node}", node)
            if not _NODE_LIMIT.fullmatch(limit):
                expected = "digits and a unit k, M, G or T, such as 64M, or up to 100%, such as 30%"
                yield FieldProblem("numa_size", expected, f"the limit {limit[:60]!r}", node)


class HeatPolicy:
    """Decides by how hot a region is."""

    name = "heat"
    conditions: tuple[str, ...] = ()
    least_available_pages: dict[int, int] = {}  # noqa: RUF012  the heat policy has none

    def __init__(self, params: HeatParams) -> None:
        self.params = params
        heatmap = params.heatmap
        self.activity = heat_activity(heatmap.heat_classes)
        self.heat: HeatDecay | None = HeatDecay(heatmap.heat_max, heatmap.heat_retention)
        self.node_limits = params.numa_size
        self.places, self.place_of_state = places_of_states(
            self.activity, {heat_state(heat_class): nodes for heat_class, nodes in params.heat_numas.items()}
        )
        self._first_event = self.activity.event("class_0")
        self._first_state = self.activity.state(heat_state(0))
        self._first_hot_state = self._first_state + heatmap.heat_classes // 2
        self.turn_of_state = _turns(self._first_state, heatmap.heat_classes, len(self.activity.declaration.states))

    def adapt(self, machine: MachineFacts) -> "HeatPolicy":
        """Return the policy: its nodes are those of its parameters."""
        return self

    def events(self, history: History) -> U8:
        """Return the event "belongs to class k" for every judged region."""
        classes = heat_classes(history.heat, self.params.heatmap)
        events = classes + np.uint8(self._first_event)
        events[~history.judged] = NOTHING
        return events

    def measure(self, history: History, activity: U8) -> F32:
        """Return the heat."""
        return history.heat

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return the heat in the hotter half of the classes, its negative in the colder half."""
        return np.where(activity >= self._first_hot_state, value, -value)

    def explain(self, activity: int, value: float) -> str:
        """Return the rule that placed a region, such as 'heat 0.0021 in class 0 of 4'."""
        if activity < self._first_state:
            return f"{self.activity.declaration.states[activity]}: stays where it is"
        return f"heat {value:.4g} in class {activity - self._first_state} of {self.params.heatmap.heat_classes}"


def heat_classes(heat: F32, heatmap: HeatmapParams) -> U8:
    """Return the class of each heat: equal parts of 0 … heat_max, the top of the range in the last class."""
    scaled = heat * np.float32(heatmap.heat_classes / heatmap.heat_max)
    classes: U8 = np.minimum(scaled, np.float32(heatmap.heat_classes - 1)).astype(np.uint8)
    return classes


def _turns(first: int, heat_classes: int, states: int) -> U8:
    """Return the turn of each state: the hotter half of the classes, hottest first, then the others, coldest first."""
    coldest_hot = first + heat_classes // 2
    order = [*range(first + heat_classes - 1, coldest_hot - 1, -1), *range(first, coldest_hot)]
    turns = np.full(states, len(order), dtype=np.uint8)
    turns[order] = np.arange(len(order))
    return turns
