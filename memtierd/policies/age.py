"""The age policy: memory idle for long goes to slow nodes or to swap, memory in steady use to fast nodes."""

from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import F32, SWAP_NODE, U8, Auto, MachineFacts, NodeChoice
from memtierd.parameters import FieldProblem, option
from memtierd.policies.common import History, PolicyParams, fast_nodes, only_samples, places_of_states, slow_nodes
from memtierd.regions.columns import NEVER_MS
from memtierd.regions.history import HeatDecay, active_ms, idle_ms
from memtierd.regions.lifecycle import NOTHING, age_activity


@attrs.frozen(kw_only=True)
class AgeParams(PolicyParams):
    """Parameters of the age policy; a duration of 0 or an empty node list switches that movement off."""

    idle_duration_ms: int = option(0, doc="Memory not accessed for this long is idle.", unit="ms", at_least=0)
    idle_numas: NodeChoice = option(
        (),
        doc="Nodes for idle memory; any of them is right. auto: the nodes of all memory tiers but the fastest.",
        unit="node",
    )
    active_duration_ms: int = option(
        0, doc="Memory seen accessed in every scan for this long is active.", unit="ms", at_least=0
    )
    active_numas: NodeChoice = option(
        (),
        doc="Nodes for active memory; any of them is right. auto: the nodes of the fastest memory tier.",
        unit="node",
    )
    swap_out_ms: int = option(0, doc="Memory not accessed for this long is swapped out.", unit="ms", at_least=0)

    def problems(self) -> Iterator[FieldProblem]:
        """Return a tracker that can't tell how long memory was idle."""
        if self.tracker is not None and only_samples(self.tracker):
            problem = "damon looks at a few pages of each region, which proves of no memory how long it was idle"
            yield FieldProblem("tracker", "idlepage, softdirty or another tracker with age, or policy heat", problem)


class AgePolicy:
    """Decides by how long a region was not used, or was used in every scan."""

    name = "age"
    heat: HeatDecay | None = None
    node_limits: dict[int, str] = {}  # noqa: RUF012  the age policy has none
    least_available_pages: dict[int, int] = {}  # noqa: RUF012  nor any of these

    def __init__(self, params: AgeParams, machine: MachineFacts | None = None) -> None:
        """Make the policy for a machine; before one was seen, `auto` stands for no nodes."""
        self.params = params
        self.activity = age_activity()
        self._nodes = _nodes_of(params, machine or MachineFacts((), 0, 0))
        self._is_adapted = machine is not None
        self.conditions = _conditions(params, self._nodes, machine) if machine else ()
        self.places, self.place_of_state = places_of_states(
            self.activity,
            {
                "idle": self._nodes["idle"] if params.idle_duration_ms else (),
                "active": self._nodes["active"] if params.active_duration_ms else (),
                "cold": (SWAP_NODE,) if params.swap_out_ms else (),
            },
        )
        self.turn_of_state = np.arange(len(self.activity.declaration.states), dtype=np.uint8)
        """Promotions, of active regions, come before the demotions of idle and cold ones."""

    def adapt(self, machine: MachineFacts) -> "AgePolicy":
        """Return the policy with the nodes that `auto` stands for on this machine."""
        if Auto.AUTO not in (self.params.idle_numas, self.params.active_numas):
            return self
        is_same = self._is_adapted and _nodes_of(self.params, machine) == self._nodes
        return self if is_same else AgePolicy(self.params, machine)

    def events(self, history: History) -> U8:
        """Return the event for every region: the last rule below that holds wins."""
        params, code = self.params, self.activity.event
        unbroken = history.active_since_ms != NEVER_MS
        events = np.where(unbroken, np.uint8(code("seen")), np.uint8(code("quiet")))
        if params.active_duration_ms:
            steady_ms = active_ms(history.last_access_ms, history.active_since_ms)
            events[unbroken & (steady_ms >= params.active_duration_ms)] = code("steady")
        unused_ms = idle_ms(history.last_access_ms, history.observed_ms)
        if params.idle_duration_ms:
            events[unused_ms >= params.idle_duration_ms] = code("idle_due")
        if params.swap_out_ms:
            events[unused_ms >= params.swap_out_ms] = code("cold_due")
        events[~history.judged] = NOTHING
        return events

    def measure(self, history: History, activity: U8) -> F32:
        """Return for active regions the seconds of steady use, for all others the seconds without use."""
        unused_ms = idle_ms(history.last_access_ms, history.observed_ms)
        steady_ms = active_ms(history.last_access_ms, history.active_since_ms)
        chosen = np.where(activity == self.activity.state("active"), steady_ms, unused_ms)
        return (chosen / np.float32(1000)).astype(np.float32)

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return the measure: what was in use, or idle, for the longest time comes first."""
        return value

    def explain(self, activity: int, value: float) -> str:
        """Return the rule that placed a region, such as 'idle 15.2 s ≥ 15 s'."""
        state = self.activity.declaration.states[activity]
        if state == "active":
            return f"active {value:.1f} s ≥ {self.params.active_duration_ms / 1000:g} s"
        if state == "idle":
            return f"idle {value:.1f} s ≥ {self.params.idle_duration_ms / 1000:g} s"
        if state == "cold":
            return f"idle {value:.1f} s ≥ {self.params.swap_out_ms / 1000:g} s"
        return f"{state}, idle {value:.1f} s: stays where it is"


def _nodes_of(params: AgeParams, machine: MachineFacts) -> dict[str, tuple[int, ...]]:
    return {"idle": slow_nodes(params.idle_numas, machine), "active": fast_nodes(params.active_numas, machine)}


def _conditions(params: AgeParams, nodes: dict[str, tuple[int, ...]], machine: MachineFacts) -> tuple[str, ...]:
    if Auto.AUTO not in (params.idle_numas, params.active_numas):
        return ()
    if params.idle_numas is Auto.AUTO and not nodes["idle"]:
        return ("idlenumas auto: all nodes are of one memory tier, so idle memory stays where it is; name the nodes",)
    return machine.tier_doubts
