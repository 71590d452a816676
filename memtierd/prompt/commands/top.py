"""top: a live view of processes, nodes and movement on the whole terminal."""

import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import COUNT, DURATION
from memtierd.prompt.top_view import Snapshot, look, picture
from memtierd.prompt.window import is_terminal

_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_LEAVE = (b"q", b"\x04", b"")


@attrs.frozen(kw_only=True)
class Options:
    """Options of top."""

    interval: float = flag(DURATION, "time between two pictures (default: 2s)", default=2.0)
    count: int | None = flag(COUNT, "leave after N pictures; without a terminal they are printed one after the other")


def run(context: Context, options: Options) -> None:
    """Show picture after picture until `q` is typed."""
    shown_here = is_terminal(context.out)
    if options.count is not None and not shown_here:
        _print(context, options)
        return
    if not (sys.stdin.isatty() and shown_here):
        raise CommandError("top needs a terminal; without one give -count, or use regions, plan and stats")
    with _whole_screen():
        before: Snapshot | None = None
        number = 0
        while options.count is None or number < options.count:
            number += 1
            columns, lines = shutil.get_terminal_size()
            before, shown = _next(context, before, columns, lines)
            sys.stdout.write(_HOME + "".join(f"{line}{_CLEAR_LINE}\r\n" for line in shown[:-1]))
            sys.stdout.write(f"{shown[-1]}{_CLEAR_LINE}{_CLEAR_BELOW}")
            sys.stdout.flush()
            if _is_left(options.interval):
                return


def _print(context: Context, options: Options) -> None:
    before: Snapshot | None = None
    for number in range(options.count or 0):
        if number:
            time.sleep(options.interval)
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


@contextmanager
def _whole_screen() -> Iterator[None]:
    """Switch to the terminal's other screen and read single keys; undo both at the end."""
    settings = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        sys.stdout.write(_OTHER_SCREEN)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)
        sys.stdout.write(_OWN_SCREEN)
        sys.stdout.flush()


def _is_left(seconds: float) -> bool:
    """Wait for a key; return whether it is one that leaves."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and os.read(sys.stdin.fileno(), 1) in _LEAVE  # what is typed behind it is for the prompt


COMMAND = Command(
    "top",
    "a live view of processes, nodes and movement; q leaves it",
    run,
    Options,
    ("top", "top -interval 500ms", "top -count 10 -interval 1s | grep node"),
)
