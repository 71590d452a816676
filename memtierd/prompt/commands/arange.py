"""arange: select address ranges of a process, cut them, and look at them."""

import attrs
import numpy as np

from memtierd.errors import CommandError
from memtierd.linux.proc import process_key
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import PAGE_COUNT, PID, SWITCH
from memtierd.prompt.page_walk import Ranges, tracked_ranges
from memtierd.units import PAGE_BYTES


@attrs.frozen(kw_only=True)
class Options:
    """Options of arange."""

    pid: int | None = flag(PID, "select the address ranges of a process")
    split_length: int | None = flag(PAGE_COUNT, "cut the ranges into pieces of at most N pages", metavar="N")
    min_length: int | None = flag(PAGE_COUNT, "keep only ranges of N pages or more", metavar="N")
    ls: bool = flag(SWITCH, "print the ranges", default=False)


def run(context: Context, options: Options) -> None:
    """Select, cut, choose and print, in this order, and tell how many ranges there are."""
    if options.pid is not None:
        process_key(options.pid, context.daemon.roots)
        context.memory.ranges = tracked_ranges(options.pid, context.daemon.roots)
    ranges = context.memory.ranges
    if ranges is None:
        raise CommandError("no address ranges are selected, select some with: arange -pid PID")
    if options.split_length is not None:
        ranges = ranges.split(options.split_length)
    if options.min_length is not None:
        long = ranges.end - ranges.start >= np.uint64(options.min_length * PAGE_BYTES)
        ranges = Ranges(ranges.start[long], ranges.end[long])
    context.memory.ranges = ranges
    if options.ls:
        context.lines(ranges.lines())
    context.line(f"selected address ranges: {len(ranges)}")


COMMAND = Command(
    "arange",
    "select address ranges of a process, cut them and list them",
    run,
    Options,
    ("arange -pid 4242 -ls", "arange -split-length 512 -min-length 512 -ls"),
    changes=False,
)
