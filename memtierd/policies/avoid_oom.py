"""The avoid-oom policy: moves memory off nodes that run short of it, before the kernel has to kill a process."""

from collections.abc import Iterator
from typing import ClassVar

import attrs
import numpy as np

from memtierd.model import F32, U8, U32, U64, MachineFacts, NodeFacts
from memtierd.parameters import FieldProblem, option
from memtierd.policies.common import History, PolicyParams, places_of_states
from memtierd.policies.selection import take_pages
from memtierd.regions.columns import MOST
from memtierd.regions.history import HeatDecay
from memtierd.regions.lifecycle import CompiledMachine, choice_activity
from memtierd.units import parse_limit_pages

_PARTS = 1_000_000
"""Pages of a node that is large enough to compare percentages by."""


def _expected_watermark(text: str) -> str | None:
    try:
        right = parse_limit_pages(text, _PARTS) <= _PARTS or not _is_portion(text)
    except ValueError:
        right = False
    return None if right else "a portion of the node, such as 8%, or digits and a unit k, M, G or T, such as 512M"


def _is_portion(watermark: str) -> bool:
    return watermark.strip().endswith("%")


@attrs.frozen(kw_only=True)
class AvoidOomParams(PolicyParams):
    """Parameters of the avoid-oom policy."""

    default_tracker: ClassVar[str] = "finder"

    start_freeing_memory: str = option(
        "8%",
        doc="When a node has less available memory than this, memory is moved off it: a portion of the node or a size.",
        check=_expected_watermark,
    )
    stop_freeing_memory: str = option(
        "16%",
        doc="Memory is moved off until this much is available; other nodes take only what leaves them this much.",
        check=_expected_watermark,
    )

    def problems(self) -> Iterator[FieldProblem]:
        """Return watermarks of one kind in the wrong order."""
        start, stop = self.start_freeing_memory, self.stop_freeing_memory
        is_comparable = _is_portion(start) == _is_portion(stop)
        if is_comparable and parse_limit_pages(start, _PARTS) > parse_limit_pages(stop, _PARTS):
            expected = f"at most {stop}, which is stopfreeingmemory"
            yield FieldProblem("start_freeing_memory", expected, depends_on=("stop_freeing_memory",))


@attrs.frozen
class NodeNeed:
    """How a node stands to its watermarks."""

    node: int
    start_pages: int
    stop_pages: int
    available_pages: int
    is_freed: bool
    """It fell below the lower watermark and has not reached the upper one since."""

    @property
    def missing_pages(self) -> int:
        """Return what is to be moved off it."""
        return max(0, self.stop_pages - self.available_pages) if self.is_freed else 0

    @property
    def spare_pages(self) -> int:
        """Return what it can take."""
        return 0 if self.is_freed else max(0, self.available_pages - self.stop_pages)


class AvoidOomPolicy:
    """Decides by the available memory of nodes, and by whom the kernel would kill for want of memory.

    A process may use the nodes in its Mems_allowed_list.  That is the cpuset.mems.effective of its cgroup, in both
    versions of cgroups and however deeply nested, so cgroups are not looked at.
    """

    name = "avoid-oom"
    heat: HeatDecay | None = None
    node_limits: dict[int, str] = {}  # noqa: RUF012  the avoid-oom policy has none

    def __init__(
        self, params: AvoidOomParams, needs: tuple[NodeNeed, ...] = (), activity: CompiledMachine | None = None
    ) -> None:
        """Make the policy for the needs of a machine's nodes; before a machine was seen nothing is chosen."""
        self.params = params
        self.needs = needs
        self.activity = activity or choice_activity(self.name)
        self.places, self.place_of_state = places_of_states(
            self.activity, {"chosen": tuple(need.node for need in needs if not need.is_freed)}
        )
        self.turn_of_state = np.zeros(len(self.activity.declaration.states), dtype=np.uint8)
        self.least_available_pages = {need.node: need.stop_pages for need in needs}
        self.conditions = tuple(_conditions(params, needs))

    def adapt(self, machine: MachineFacts) -> "AvoidOomPolicy":
        """Return the policy for the nodes as they are now; a node that was being freed is so up to the upper mark."""
        freed = {need.node for need in self.needs if need.is_freed}
        needs = tuple(_need(self.params, facts, was_freed=facts.node in freed) for facts in machine.nodes)
        return AvoidOomPolicy(self.params, needs, self.activity)

    def events(self, history: History) -> U8:
        """Return "choose" for the regions that make up what is missing on nodes short of memory.

        Regions of the process with the highest OOM score come first, then those of the one with most memory on the
        node, and of one process the largest.  Processes that may use no node with memory to spare come last of all,
        after them only what could not be moved when it was tried.
        """
        chosen = np.zeros(len(history.pages), dtype=np.bool_)
        if any(need.spare_pages for need in self.needs):
            for need in self.needs:
                pages = history.node_pages[history.node_ids.index(need.node)]
                missing_pages = need.missing_pages - int(pages[chosen].sum(dtype=np.int64))
                if missing_pages > 0:
                    rows = np.flatnonzero((pages > 0) & ~chosen)
                    key = self._order(history, pages)[rows]
                    chosen[rows[take_pages(key, pages[rows], missing_pages, cover=True)]] = True
        return np.where(chosen, np.uint8(self.activity.event("choose")), np.uint8(self.activity.event("keep")))

    def _order(self, history: History, pages: U32) -> U64:
        """Return a key for each region: the lowest is the first to be moved off the node with these pages."""
        spare = {need.node for need in self.needs if need.spare_pages}
        pages_of = np.bincount(history.process, weights=pages)

        def standing(process: int) -> tuple[bool, int, float, int]:
            facts = history.facts(process)
            return not facts.allowed_nodes & spare, -facts.oom_score, -float(pages_of[process]), process

        order = sorted(np.flatnonzero(pages_of).tolist(), key=standing)
        rank = np.zeros(len(pages_of), dtype=np.uint64)
        rank[order] = np.arange(len(order))
        failed = (history.failures > 0).astype(np.uint64)
        key: U64 = failed << np.uint64(48) | rank[history.process] << np.uint64(32) | (np.uint32(MOST) - pages)
        return key

    def measure(self, history: History, activity: U8) -> F32:
        """Return the OOM score of each region's process."""
        scores = np.zeros(int(history.process.max(initial=0)) + 1, dtype=np.float32)
        for process in np.flatnonzero(np.bincount(history.process)).tolist():
            scores[process] = history.facts(process).oom_score
        found: F32 = scores[history.process]
        return found

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return the OOM score: the highest comes first."""
        return value

    def explain(self, activity: int, value: float) -> str:
        """Return the rule that placed a region, such as 'oom score 812: a node fell below 8%, is freed up to 16%'."""
        if activity == self.activity.state("chosen"):
            start, stop = self.params.start_freeing_memory, self.params.stop_freeing_memory
            return f"oom score {value:.0f}: less than {start} available, freed up to {stop}"
        return f"oom score {value:.0f}: stays where it is"


def _need(params: AvoidOomParams, facts: NodeFacts, *, was_freed: bool) -> NodeNeed:
    start_pages = parse_limit_pages(params.start_freeing_memory, facts.total_pages)
    stop_pages = max(start_pages, parse_limit_pages(params.stop_freeing_memory, facts.total_pages))
    limit_pages = stop_pages if was_freed else start_pages
    is_freed = facts.available_pages < limit_pages
    return NodeNeed(facts.node, start_pages, stop_pages, facts.available_pages, is_freed)


def _conditions(params: AvoidOomParams, needs: tuple[NodeNeed, ...]) -> Iterator[str]:
    has_spare = any(need.spare_pages for need in needs)
    for need in needs:
        if need.missing_pages and not has_spare:
            yield (
                f"node {need.node} has less available memory than startfreeingmemory"
                f" ({params.start_freeing_memory}), and no other node has more than stopfreeingmemory"
                f" ({params.stop_freeing_memory}): nothing can be moved off it"
            )
