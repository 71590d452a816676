"""The demote-idle policy: memory that was not used from one scan to the next goes to slow nodes."""

from collections.abc import Iterator
from typing import Any, ClassVar

import attrs
import numpy as np

from memtierd.model import F32, U8, Auto, MachineFacts, NodeChoice
from memtierd.parameters import FieldProblem, option
from memtierd.policies.common import History, PolicyParams, only_samples, places_of_states, slow_nodes
from memtierd.regions.history import HeatDecay, idle_ms
from memtierd.regions.lifecycle import NOTHING, age_activity

_DAY_MS = 86_400_000
"""Trackers scan once a day at least."""


def _check_nodes(nodes: NodeChoice) -> str | None:
    return None if nodes else "one node or more, or auto"


def _check_directory(directory: str | None) -> str | None:
    if directory is None or directory.startswith("/"):
        return None
    return "an absolute directory, such as /run/pages-of-interest"


@attrs.frozen(kw_only=True)
class DemoteIdleParams(PolicyParams):
    """Parameters of the demote-idle policy."""

    default_tracker: ClassVar[str] = "idlepage"
    finders: ClassVar[tuple[str, ...]] = ("pages_of_interest_dir",)

    idle_numas: NodeChoice = option(
        doc="Nodes for idle memory; any of them is right. auto: the nodes of all memory tiers but the fastest.",
        unit="node",
        check=_check_nodes,
    )
    pages_of_interest_dir: str | None = option(
        None,
        doc="Directory of files PID.vab: addresses to manage of processes that the pidwatcher does not give.",
        check=_check_directory,
    )

    @property
    def pages_of_interest(self) -> str | None:
        """Return the directory of files that name addresses."""
        return self.pages_of_interest_dir

    @property
    def tracker_defaults(self) -> dict[str, Any]:
        """Return that every interval is judged, in the memory that is there and of interest then."""
        return {"scan_interval_ms": min(self.interval_ms, _DAY_MS), "regions_update_ms": 0}

    def problems(self) -> Iterator[FieldProblem]:
        """Return a tracker that can't tell what was not used."""
        if self.tracker is not None and only_samples(self.tracker):
            problem = "damon looks at a few pages of each region, which proves of no memory that it was idle"
            yield FieldProblem("tracker", "idlepage, or another tracker, or policy heat", problem)


class DemoteIdlePolicy:
    """Decides by whether a region was used since the scan before."""

    name = "demote-idle"
    heat: HeatDecay | None = None
    node_limits: dict[int, str] = {}  # noqa: RUF012  the policy has none
    least_available_pages: dict[int, int] = {}  # noqa: RUF012  nor any of these

    def __init__(self, params: DemoteIdleParams, machine: MachineFacts | None = None) -> None:
        """Make the policy for a machine; before one was seen, `auto` stands for no nodes."""
        self.params = params
        self.activity = age_activity()
        self._nodes = slow_nodes(params.idle_numas, machine or MachineFacts((), 0, 0))
        self._is_adapted = machine is not None
        self.conditions = _conditions(self._nodes) if machine else ()
        self.places, self.place_of_state = places_of_states(self.activity, {"idle": self._nodes})
        self.turn_of_state = np.zeros(len(self.activity.declaration.states), dtype=np.uint8)

    def adapt(self, machine: MachineFacts) -> "DemoteIdlePolicy":
        """Return the policy with the nodes that `auto` stands for on this machine."""
        if self.params.idle_numas is not Auto.AUTO:
            return self
        is_same = self._is_adapted and slow_nodes(Auto.AUTO, machine) == self._nodes
        return self if is_same else DemoteIdlePolicy(self.params, machine)

    def events(self, history: History) -> U8:
        """Return for every judged region whether the last scan that could judge it saw no use at all."""
        code = self.activity.event
        unused = idle_ms(history.last_access_ms, history.observed_ms) > 0
        events = np.where(unused, np.uint8(code("idle_due")), np.uint8(code("seen")))
        events[~history.judged] = NOTHING
        return events

    def measure(self, history: History, activity: U8) -> F32:
        """Return the seconds without use."""
        return (idle_ms(history.last_access_ms, history.observed_ms) / np.float32(1000)).astype(np.float32)

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return the measure: what was idle for the longest time comes first."""
        return value

    def explain(self, activity: int, value: float) -> str:
        """Return the rule that placed a region, such as 'not used between two scans, idle 5.0 s'."""
        state = self.activity.declaration.states[activity]
        if state == "idle":
            return f"not used between two scans, idle {value:.1f} s"
        return f"{state}, idle {value:.1f} s: stays where it is"


def _conditions(nodes: tuple[int, ...]) -> tuple[str, ...]:
    if nodes:
        return ()
    return ("idlenumas auto: all nodes are of one memory tier, so idle memory stays where it is; name the nodes",)
