"""plan: what the policy wants to move where, and what keeps it from moving."""

import attrs

from memtierd.placement.batches import Span, spans
from memtierd.placement.plan import Plan
from memtierd.placement.text import describe_obstacle, describe_reason, describe_span
from memtierd.policies.common import Policy
from memtierd.prompt.context import Context, printable
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import FORMAT, PID, SWITCH
from memtierd.prompt.region_rows import rows_of_pid
from memtierd.prompt.tables import Column, from_rows, write_table
from memtierd.reconcile import Reconciler
from memtierd.units import format_node_set

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


@attrs.frozen(kw_only=True)
class Options:
    """Options of plan."""

    now: bool = flag(SWITCH, "decide at once instead of showing the latest plan", default=False)
    pid: int | None = flag(PID, "only the plan for a process")
    f: str = flag(FORMAT, "format (default: txt)", default="txt")


@attrs.frozen(eq=False)
class Shown:
    """A plan with the names that it takes to read it."""

    plan: Plan
    policy: Policy
    spans: list[Span]
    processes: dict[int, tuple[int, str]]
    """Pid and name by process row."""


def run(context: Context, options: Options) -> None:
    """Print the plan: neighbouring regions that move alike in one row."""
    if options.now:
        context.daemon.tick_now()
    shown = context.daemon.call(lambda reconciler: _show(reconciler, options.pid))
    if options.f != "txt":
        write_table(context.out, from_rows(COLUMNS, [_row(shown, span) for span in shown.spans]), options.f)
        return
    if context.daemon.dry_run:
        context.line("dry run: nothing is moved")
    for span in shown.spans:
        pid, name = shown.processes[span.process]
        context.line(describe_span(span, pid, name, shown.policy))
    if not shown.spans:
        context.line("nothing to move")


def _show(reconciler: Reconciler, pid: int | None) -> Shown:
    """Return the latest plan; runs in the control thread.  Raises CommandError for a pid that is not tracked."""
    plan = reconciler.plan
    known = {row: (facts.key.pid, printable(facts.name)) for row, facts in reconciler.processes.rows()}
    if pid is not None:
        rows_of_pid(reconciler, pid)
    listed = [span for span in spans(plan) if span.process in known and pid in (None, known[span.process][0])]
    return Shown(plan, reconciler.policy, listed, known)


def _row(shown: Shown, span: Span) -> tuple[object, ...]:
    pid, name = shown.processes[span.process]
    wanted = shown.policy.places[shown.policy.place_of_state[span.activity]].nodes
    return (
        pid,
        name,
        span.start,
        span.end,
        span.regions,
        span.move_pages,
        format_node_set((span.source,)),
        format_node_set(wanted if span.obstacle else (span.target,)),
        shown.policy.activity.declaration.states[span.activity],
        describe_reason(span, shown.policy),
        describe_obstacle(span.obstacle),
    )


COMMAND = Command("plan", "what is to move where and why, and what can't", run, Options)
