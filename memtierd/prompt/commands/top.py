"""top: a live view of processes, nodes and movement on the whole terminal."""

import time

import attrs

from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import COUNT, DURATION
from memtierd.prompt.top_view import Snapshot, look, picture


@attrs.frozen(kw_only=True)
class Options:
    """Options of top."""

    interval: float = flag(DURATION, "time between two pictures (default: 2s)", default=2.0)
    count: int | None = flag(COUNT, "leave after N pictures; without a terminal they are printed one after the other")


def run(context: Context, options: Options) -> None:
    """Show picture after picture until `q` is typed."""
    screen = context.screen
    if screen is None and options.count is not None:
        _print(context, options)
        return
    if screen is None:
        raise CommandError("top needs a terminal; without one give -count, or use regions, plan and stats")
    with screen.opened():
        before: Snapshot | None = None
        number = 0
        while options.count is None or number < options.count:
            number += 1
            before, shown = _next(context, before, *screen.size())
            screen.show(shown)
            if screen.is_left(options.interval):
                return


def _print(context: Context, options: Options) -> None:
    before: Snapshot | None = None
    for number in range(options.count or 0):
        if number:
            context.caller.pause(options.interval)
        before, shown = _next(context, before, 1000, 1000)
        context.lines([*shown, ""])
        context.out.flush()


def _next(context: Context, before: Snapshot | None, columns: int, lines: int) -> tuple[Snapshot, list[str]]:
    daemon, at_ns = context.daemon, context.clock_ns()
    now = daemon.call(lambda reconciler: look(reconciler, at_ns))
    policy = f"policy {daemon.policy_name}" if daemon.policy_running else "no policy running"
    tracker = f"tracker {daemon.tracker_name}" if daemon.tracker_running else "no tracker running"
    dry = ", dry run" if daemon.dry_run else ""
    title = f"memtierd {time.strftime('%H:%M:%S')}  {policy}{dry}, {tracker}, mover {daemon.mover.state.value}"
    return now, picture(f"{title}   (q leaves)", now, before, daemon.machine(), columns, lines)


COMMAND = Command(
    "top",
    "a live view of processes, nodes and movement; q leaves it",
    run,
    Options,
    ("top", "top -interval 500ms", "top -count 10 -interval 1s | grep node"),
    changes=False,
)
