"""regions: the region table, and why one region is treated as it is."""

import attrs

from memtierd.model import AddressRange
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import ADDRESS, COUNT, FORMAT, PID, RANGES, STATES
from memtierd.prompt.region_rows import Choice, region_table
from memtierd.prompt.region_why import why
from memtierd.prompt.tables import write_table


@attrs.frozen(kw_only=True)
class Options:
    """Options of regions."""

    pid: int | None = flag(PID, "only regions of a process")
    state: tuple[str, ...] = flag(STATES, "only regions in these states: idle, heat_0, misplaced, ...", default=())
    ranges: tuple[AddressRange, ...] = flag(
        RANGES, "only regions in START (one page), START-END or START+SIZE, hexadecimal; SIZE like 64M", default=()
    )
    top: int | None = flag(COUNT, "only the N most used regions: by heat, or without heat by accesses")
    f: str = flag(FORMAT, "format (default: txt)", default="txt")
    why: int | None = flag(ADDRESS, "explain the region that holds an address: counts, states, rule, place, changes")


def run(context: Context, options: Options) -> None:
    """Print the chosen regions, or explain one."""
    if options.why is not None:
        address, now_ns = options.why, context.clock_ns()
        context.lines(context.daemon.call(lambda reconciler: why(reconciler, address, options.pid, now_ns)))
        return
    choice = Choice(options.pid, options.state, options.ranges, options.top)
    table = context.daemon.call(lambda reconciler: region_table(reconciler, choice))
    if not len(table) and options.f == "txt":
        context.line("no regions")
        return
    write_table(context.out, table, options.f)


COMMAND = Command(
    "regions",
    "list memory regions with their states, or explain one",
    run,
    Options,
    (
        "regions -pid 4242 -state idle -top 10",
        "regions -ranges 7f2a40000000+64M -f csv",
        "regions -why 7f2a40000000",
    ),
    changes=False,
)
