"""plan: what the policy wants to move where, and what keeps it from moving."""

import attrs

from memtierd.placement.text import describe_span
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import FORMAT, PID, SWITCH
from memtierd.prompt.plan_report import report_on, write_report
from memtierd.prompt.plan_rows import shown_plan
from memtierd.prompt.tables import write_table


@attrs.frozen(kw_only=True)
class Options:
    """Options of plan."""

    now: bool = flag(SWITCH, "decide at once instead of showing the latest plan", default=False, changes=True)
    pid: int | None = flag(PID, "only the plan for a process", changes=False)
    all_: bool = flag(
        SWITCH, "also why memory stays, sums by process and node, and totals", default=False, changes=False
    )
    f: str = flag(
        FORMAT,
        "format (default: txt): csv has one row for each run of regions, json everything",
        default="txt",
        changes=False,
    )


def run(context: Context, options: Options) -> None:
    """Print the plan: neighbouring regions that move, or can't move, alike in one row."""
    daemon = context.daemon
    if options.now:
        daemon.tick_now()
    if options.f == "json" or options.all_:
        bandwidth = daemon.mover.params.bandwidth
        found = daemon.call(lambda reconciler: report_on(reconciler, bandwidth, options.pid))
        found = attrs.evolve(found, tracker=daemon.tracker_name or "", is_dry_run=daemon.dry_run)
        write_report(context.out, found, options.f)
        return
    shown = daemon.call(lambda reconciler: shown_plan(reconciler, options.pid))
    if options.f == "csv":
        write_table(context.out, shown.table(), options.f)
        return
    if daemon.dry_run:
        context.line("dry run: nothing is moved")
    context.lines([describe_span(span, *shown.processes[span.process], shown.policy) for span in shown.spans])
    if not shown.spans:
        context.line("nothing to move")


COMMAND = Command(
    "plan",
    "what is to move where and why, and what can't",
    run,
    Options,
    ("plan -pid 4242", "plan -all", "plan -now -f json"),
)
