"""plan: what the policy wants to move where, and what keeps it from moving."""

import attrs

from memtierd.placement.text import describe_span
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import FORMAT, PID, SWITCH
from memtierd.prompt.plan_rows import shown_plan
from memtierd.prompt.tables import write_table


@attrs.frozen(kw_only=True)
class Options:
    """Options of plan."""

    now: bool = flag(SWITCH, "decide at once instead of showing the latest plan", default=False)
    pid: int | None = flag(PID, "only the plan for a process")
    f: str = flag(FORMAT, "format (default: txt)", default="txt")


def run(context: Context, options: Options) -> None:
    """Print the plan: neighbouring regions that move, or can't move, alike in one row."""
    if options.now:
        context.daemon.tick_now()
    shown = context.daemon.call(lambda reconciler: shown_plan(reconciler, options.pid))
    if options.f != "txt":
        write_table(context.out, shown.table(), options.f)
        return
    if context.daemon.dry_run:
        context.line("dry run: nothing is moved")
    for span in shown.spans:
        context.line(describe_span(span, *shown.processes[span.process], shown.policy))
    if not shown.spans:
        context.line("nothing to move")


COMMAND = Command(
    "plan",
    "what is to move where and why, and what can't",
    run,
    Options,
    ("plan -pid 4242", "plan -now -f json"),
)
