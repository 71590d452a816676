"""time: the time of day, stopwatches, and a pause."""

import time

import attrs

from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import DURATION, NAMES, SWITCH
from memtierd.text import printable


@attrs.frozen(kw_only=True)
class Options:
    """Options of time."""

    now: bool = flag(SWITCH, "print the time of day, in seconds since 1970", default=False)
    start: tuple[str, ...] = flag(NAMES, "start stopwatches", default=())
    elapsed: tuple[str, ...] = flag(NAMES, "print what stopwatches show, in seconds", default=())
    stop: tuple[str, ...] = flag(NAMES, "print what stopwatches show, and forget them", default=())
    sleep: float | None = flag(DURATION, "wait; without a unit TIME is in seconds")


def run(context: Context, options: Options) -> None:
    """Take the actions in the order of the flags; all but the pause see the same time."""
    if options == Options():
        raise UsageError("what about the time? time -h lists the flags")
    now_s, at_ns = time.time(), context.clock_ns()
    watches = context.memory.stopwatches
    if options.now:
        context.line(f"{now_s:.6f}")
    for name in options.start:
        watches[name] = at_ns
        context.line(f'stopwatch "{printable(name)}" started {now_s:.6f}')
    for name in options.elapsed:
        context.line(f"{_shown_s(context, name, at_ns):.6f}")
    for name in options.stop:
        context.line(f'stopwatch "{printable(name)}" stopped at {_shown_s(context, name, at_ns):.6f}')
        del watches[name]
    if options.sleep is not None:
        context.out.flush()
        context.caller.pause(options.sleep)


def _shown_s(context: Context, name: str, at_ns: int) -> float:
    started_ns = context.memory.stopwatches.get(name)
    if started_ns is None:
        raise CommandError(f"stopwatch {name!r} was not started; start it with: time -start {name}")
    return (at_ns - started_ns) / 1e9


COMMAND = Command(
    "time",
    "tell the time, measure it, or let it pass",
    run,
    Options,
    ("time -now", "time -start moving", "time -elapsed moving", "time -sleep 500ms"),
    changes=False,
)
