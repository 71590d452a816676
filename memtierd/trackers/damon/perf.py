"""The connection through perf: `perf record` at the tracepoint, and the lines that `perf script` makes of it."""

import re
import shlex

from memtierd.errors import UnsupportedError
from memtierd.linux.damon_programs import EVENT, find_perf
from memtierd.linux.roots import ROOTS, Roots
from memtierd.trackers.damon.program import Restarts
from memtierd.trackers.damon.program_connection import LEASH, Dialect, ProgramConnection

# Without --no-buffering events wait for a buffer half full: minutes.
RECORD = ("record", "-q", "--no-buffering", "--clockid", "mono", "-a", "-e", EVENT)
TO_LEASH = ("-o", "-", "--", LEASH)
SCRIPT = ("script", "-i", "-", "--ns", "--show-lost-events", "-F", "trace:comm,tid,cpu,time,event,trace")
LOST = re.compile(rb"PERF_RECORD_LOST(?:_SAMPLES)? +lost(?: samples)? (\d+)")


def perf_connection(options: str = "", roots: Roots = ROOTS, restarts: Restarts | None = None) -> ProgramConnection:
    """Return the connection with these further options of `perf record`, written as in a shell.

    Raises UnsupportedError when a quote in them is not closed; what else is missing shows when it is opened.
    """
    own = _words(options)

    def commands() -> tuple[tuple[str, ...], ...]:
        perf = find_perf(roots)
        return (perf, *RECORD, *own, *TO_LEASH), (perf, *SCRIPT)

    dialect = Dialect(
        name="perf",
        commands=commands,
        environment={"PERF_CONFIG": "/dev/null"},
        lost=LOST,
        advice="lower maxtargetregions, raise aggregationus, or give perf a larger buffer with connection: perf -m 4M",
    )
    return ProgramConnection(dialect, restarts)


def _words(options: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(options))
    except ValueError as error:
        raise UnsupportedError(f"options of perf: {options!r}: {str(error).lower()}") from error
