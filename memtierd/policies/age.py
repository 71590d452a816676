"""The age policy: memory idle for long goes to slow nodes or to swap, memory in steady use to fast nodes."""

import attrs
import numpy as np

from memtierd.model import F32, SWAP_NODE, U8
from memtierd.parameters import option
from memtierd.policies.common import History, PolicyParams, places_of_states
from memtierd.regions.columns import NEVER_MS
from memtierd.regions.history import HeatDecay, active_ms, idle_ms
from memtierd.regions.lifecycle import NOTHING, age_activity


@attrs.frozen(kw_only=True)
class AgeParams(PolicyParams):
    """Parameters of the age policy; a duration of 0 or an empty node list switches that movement off."""

    idle_duration_ms: int = option(0, doc="Memory not accessed for this long is idle.", unit="ms", at_least=0)
    idle_numas: tuple[int, ...] = option((), doc="Nodes for idle memory; any of them is right.", unit="node")
    active_duration_ms: int = option(
        0, doc="Memory seen accessed in every scan for this long is active.", unit="ms", at_least=0
    )
    active_numas: tuple[int, ...] = option((), doc="Nodes for active memory; any of them is right.", unit="node")
    swap_out_ms: int = option(0, doc="Memory not accessed for this long is swapped out.", unit="ms", at_least=0)


class AgePolicy:
    """Decides by how long a region was not used, or was used in every scan."""

    name = "age"
    heat: HeatDecay | None = None
    node_limits: dict[int, str] = {}  # noqa: RUF012  the age policy has none

    def __init__(self, params: AgeParams) -> None:
        self.params = params
        self.activity = age_activity()
        self.places, self.place_of_state = places_of_states(
            self.activity,
            {
                "idle": params.idle_numas if params.idle_duration_ms else (),
                "active": params.active_numas if params.active_duration_ms else (),
                "cold": (SWAP_NODE,) if params.swap_out_ms else (),
            },
        )
        self.turn_of_state = np.arange(len(self.activity.declaration.states), dtype=np.uint8)
        """Promotions, of active regions, come before the demotions of idle and cold ones."""

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
