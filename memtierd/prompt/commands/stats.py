"""stats: what was scanned, moved and swapped out so far."""

import attrs

from memtierd.model import CallReport
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import FORMAT, PID, REST, some_of
from memtierd.prompt.recordings import dump_moves
from memtierd.prompt.stats_summary import call_line, summary
from memtierd.prompt.stats_tables import TABLES
from memtierd.prompt.tables import Table, write_tables
from memtierd.reconcile import Reconciler


@attrs.frozen(kw_only=True)
class Options:
    """Options of stats."""

    t: tuple[str, ...] = flag(
        some_of("table", "TABLE[,TABLE...]", *TABLES), f"print tables: {', '.join(TABLES)}", default=(), changes=False
    )
    f: str = flag(
        FORMAT, "format of the tables (default: txt); csv and json alone: all tables", default="txt", changes=False
    )
    lm: int | None = flag(
        PID, "print the latest system call that moved or swapped out memory of a process", changes=False
    )
    le: int | None = flag(PID, "print the latest such call that met an error", changes=False)
    dump: tuple[str, ...] | None = flag(
        REST, "record every such call, print those that are new, or stop", metavar="moves start|new|stop", changes=True
    )


def run(context: Context, options: Options) -> None:
    """Print tables, single calls, or the summary; a format for programs without more is all tables."""
    wanted = options.t or (tuple(TABLES) if options.f != "txt" and options == Options(f=options.f) else ())
    if wanted:
        now_ns = context.clock_ns()

        def build(reconciler: Reconciler) -> dict[str, Table]:
            return {name: TABLES[name](reconciler.statistics, now_ns) for name in TABLES if name in wanted}

        write_tables(context.out, context.daemon.call(build), options.f)
    if options.lm is not None:
        _print_call(context, options.lm, failed=False)
    if options.le is not None:
        _print_call(context, options.le, failed=True)
    if options.dump is not None:
        if options.dump[:1] != ("moves",):
            raise UsageError("-dump: expected moves start, moves new or moves stop")
        dump_moves(context, options.dump[1:])
    if not wanted and attrs.evolve(options, f="txt") == Options():
        context.lines(
            context.daemon.call(lambda reconciler: summary(reconciler.statistics))
            or ["no scans and no system calls so far"]
        )


def _print_call(context: Context, pid: int, *, failed: bool) -> None:
    def latest(reconciler: Reconciler) -> CallReport | None:
        calls = reconciler.statistics.latest_error if failed else reconciler.statistics.latest_call
        return calls.get(pid)

    report = context.daemon.call(latest)
    what = "system call with an error" if failed else "system call"
    context.line(call_line(report) if report is not None else f"no {what} on pid {pid} so far")


COMMAND = Command(
    "stats",
    "what was scanned, moved and swapped out so far",
    run,
    Options,
    (
        "stats | grep accessed",
        "stats -t memory_scans,move_pages",
        "stats -t move_pages -f csv | awk -F, '/^[0-9]/{print $6}'",
        "stats -lm 4242",
        "stats -dump moves start",
    ),
)
