"""The plan as the prompt shows it: what moves, and what waits because something keeps it from moving."""

import attrs
import numpy as np

from memtierd.model import SWAP_NODE
from memtierd.placement.batches import Span, spans
from memtierd.placement.plan import Direction, Plan
from memtierd.placement.text import describe_obstacle
from memtierd.placement.wrong import outside, wrong_pages
from memtierd.policies.common import Policy
from memtierd.prompt.region_rows import rows_of_pid
from memtierd.prompt.tables import Column, Table, from_rows
from memtierd.reconcile import Reconciler
from memtierd.regions.columns import OBSTACLE_BASE
from memtierd.regions.lifecycle import BACKOFF
from memtierd.text import printable
from memtierd.units import PAGE_BYTES, format_node_set

COLUMNS = (
    Column("pid", "pid", "%8d", "%d"),
    Column("name", "name", "%s"),
    Column("start", "start", "%12x", "%x"),
    Column("end", "end", "%12x", "%x"),
    Column("regions", "regions", "%8d", "%d"),
    Column("pages", "pages", "%8d", "%d"),
    Column("source", "source", "%6s"),
    Column("target", "target", "%6s"),
    Column("state", "state", "%s"),
    Column("reason", "reason", "%s"),
    Column("obstacle", "obstacle", "%s"),
)


_DIRECTIONS = {Direction.PROMOTION: "promote", Direction.DEMOTION: "demote", Direction.SIDEWAYS: "sideways"}


@attrs.frozen(eq=False)
class Shown:
    """A plan with what it takes to read it."""

    policy: Policy
    spans: list[Span]
    processes: dict[int, tuple[int, str]]
    """Pid and name by process row."""

    def table(self) -> Table:
        """Return one row a span; `target` of one that can't move names the nodes where it is wanted."""
        return from_rows(COLUMNS, [self._row(span) for span in self.spans])

    def move(self, span: Span) -> dict[str, object]:
        """Return a span that moves as plain values."""
        pid, name = self.processes[span.process]
        return {
            "pid": pid,
            "name": name,
            "start": f"{span.start:x}",
            "end": f"{span.end:x}",
            "regions": span.regions,
            "move_bytes": span.move_pages * PAGE_BYTES,
            "source": format_node_set((span.source,)),
            "target": format_node_set((span.target,)),
            "direction": "swap_out" if span.target == SWAP_NODE else _DIRECTIONS[Direction(span.direction)],
            "state": self.policy.activity.declaration.states[span.activity],
            "reason": self.policy.explain(span.activity, span.value),
        }

    def _row(self, span: Span) -> tuple[object, ...]:
        pid, name = self.processes[span.process]
        wanted = self.policy.places[self.policy.place_of_state[span.activity]].nodes
        return (
            pid,
            name,
            span.start,
            span.end,
            span.regions,
            span.move_pages,
            format_node_set((span.source,)),
            format_node_set(wanted if span.obstacle else (span.target,)),
            self.policy.activity.declaration.states[span.activity],
            self.policy.explain(span.activity, span.value),
            describe_obstacle(span.obstacle),
        )


def shown_plan(reconciler: Reconciler, pid: int | None = None) -> Shown:
    """Return the moves of the latest plan and everything that waits because of an obstacle.

    Raises CommandError for a pid that is not tracked.
    """
    known = {row: (facts.key.pid, printable(facts.name)) for row, facts in reconciler.processes.rows()}
    if pid is not None:
        rows_of_pid(reconciler, pid)
    listed = [*spans(reconciler.plan.moves), *spans(waiting(reconciler))]
    chosen = [span for span in listed if span.process in known and pid in (None, known[span.process][0])]
    return Shown(reconciler.policy, chosen, known)


def waiting(reconciler: Reconciler) -> Plan:
    """Return what is misplaced and can't be moved for now, as a plan in which every entry has its obstacle.

    The latest plan itself has only those that it tried: the others wait for their next try.
    """
    table, policy = reconciler.table, reconciler.policy
    rows = np.flatnonzero((table.placement == BACKOFF) & (table.outcome >= OBSTACLE_BASE))
    some = table.take(rows)
    wrong = wrong_pages(some.desired, some.node_pages, policy.places, reconciler.node_ids)
    held = some.node_pages * outside(policy.places, reconciler.node_ids)[:, some.desired]
    source = held.argmax(axis=0) if len(rows) else rows
    return Plan(
        made_ms=reconciler.plan.made_ms,
        row=rows,
        process=some.process,
        start=some.start,
        pages=some.pages,
        move_pages=wrong,
        source=np.array(reconciler.node_ids, np.int16)[source],
        target=np.zeros(len(rows), np.int16),
        activity=some.activity,
        value=policy.measure(reconciler.history(), table.activity)[rows],
        obstacle=some.outcome - np.uint8(OBSTACLE_BASE),
    )
