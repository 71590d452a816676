"""The ratio policy: a portion of all memory, the least accessed, belongs on certain nodes or in swap."""

from collections.abc import Iterator

import attrs
import numpy as np

from memtierd.model import F32, SWAP_NODE, U8, U32, U64, Bool, MachineFacts
from memtierd.parameters import FieldProblem, option
from memtierd.policies.common import History, PolicyParams, places_of_states
from memtierd.policies.selection import take_pages
from memtierd.regions.history import HeatDecay
from memtierd.regions.lifecycle import NOTHING, choice_activity


@attrs.frozen(kw_only=True)
class RatioParams(PolicyParams):
    """Parameters of the ratio policy."""

    ratio: float = option(
        doc="Portion of the memory of all processes together that belongs on the target nodes.",
        at_least=1e-6,
        at_most=1,
    )
    ratio_targets: tuple[int, ...] = option(
        (SWAP_NODE,),
        doc="Nodes for that portion, -1 is swap; any of them is right.",
        unit="node",
        at_least=SWAP_NODE,
    )

    def problems(self) -> Iterator[FieldProblem]:
        """Return an empty list of targets, and a tracker that never sees a use."""
        if not self.ratio_targets:
            yield FieldProblem("ratio_targets", "at least one node, or -1 for swap", "no targets")
        if self.tracker is not None and self.tracker.name in {"finder", "stub"}:
            problem = f"the tracker {self.tracker.name} sees no accesses to choose by"
            yield FieldProblem("tracker", "another tracker, such as auto", problem)


class RatioPolicy:
    """Decides by how often regions were accessed, summed up over all scans.

    Memory on a target counts, whatever its use; only what is missing of the portion is chosen, the regions with
    the fewest accesses first.  So nothing is ever moved back, and memory comes to rest as soon as the portion is
    reached.
    """

    name = "ratio"
    heat: HeatDecay | None = None
    node_limits: dict[int, str] = {}  # noqa: RUF012  the ratio policy has none
    least_available_pages: dict[int, int] = {}  # noqa: RUF012  nor any of these
    conditions: tuple[str, ...] = ()

    def __init__(self, params: RatioParams) -> None:
        self.params = params
        self.activity = choice_activity("ratio")
        self.places, self.place_of_state = places_of_states(self.activity, {"chosen": params.ratio_targets})
        self.turn_of_state = np.zeros(len(self.activity.declaration.states), dtype=np.uint8)

    def adapt(self, machine: MachineFacts) -> "RatioPolicy":
        """Return the policy: its nodes are those of its parameters."""
        return self

    def events(self, history: History) -> U8:
        """Return "choose" for the least accessed regions that are missing on the targets, and for what is there."""
        on_target, elsewhere = self._split(history)
        chosen = self._missing(history, on_target, elsewhere) | ((on_target > 0) & (elsewhere == 0))
        events = np.where(chosen, np.uint8(self.activity.event("choose")), np.uint8(self.activity.event("keep")))
        events[~history.judged] = NOTHING
        return events

    def _missing(self, history: History, on_target: U64, elsewhere: U32) -> Bool:
        """Return the regions that make up what is missing on the targets."""
        present = int(history.node_pages.sum(dtype=np.int64)) + int(history.swapped_pages.sum(dtype=np.int64))
        missing_pages = round(self.params.ratio * present) - int(on_target.sum(dtype=np.int64))
        chosen = np.zeros(len(history.pages), dtype=np.bool_)
        if missing_pages <= 0:
            return chosen
        movable = history.judged & (elsewhere > 0)
        # What could not be moved is tried again only for want of anything else.
        for some in (movable & (history.failures == 0), movable & (history.failures > 0)):
            rows = np.flatnonzero(some)
            key = history.accesses[rows].astype(np.uint64) << np.uint64(32) | history.writes[rows]
            taken = rows[take_pages(key, elsewhere[rows], missing_pages, cover=False)]
            chosen[taken] = True
            missing_pages -= int(elsewhere[taken].sum(dtype=np.int64))
        return chosen

    def _split(self, history: History) -> tuple[U64, U32]:
        """Return the pages of each region on the targets, and those in memory elsewhere, which can be moved there."""
        is_target = np.isin(history.node_ids, self.params.ratio_targets)
        on_target = history.node_pages[is_target].sum(axis=0, dtype=np.uint64)
        if SWAP_NODE in self.params.ratio_targets:
            on_target += history.swapped_pages
        return on_target, history.node_pages[~is_target].sum(axis=0, dtype=np.uint32)

    def measure(self, history: History, activity: U8) -> F32:
        """Return the pages seen accessed, summed up over all scans."""
        return history.accesses.astype(np.float32)

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return the negative measure: what was accessed least comes first."""
        return -value

    def explain(self, activity: int, value: float) -> str:
        """Return the rule that placed a region, such as '12 accesses, belongs to the 30 % for swap'."""
        targets = " or ".join("swap" if node < 0 else f"node {node}" for node in self.params.ratio_targets)
        portion = f"{self.params.ratio * 100:g} % for {targets}"
        if activity == self.activity.state("chosen"):
            return f"{value:.0f} accesses, belongs to the {portion}"
        if activity == self.activity.state("kept"):
            return f"{value:.0f} accesses, not needed for the {portion}: stays where it is"
        return "no scan could tell yet whether it is used: stays where it is"
