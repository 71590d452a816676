"""health: what works here, what runs, and what is degraded and since when."""

import os
from collections.abc import Iterator

import attrs

from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import FORMAT
from memtierd.prompt.tables import Column, Table, from_rows, write_table
from memtierd.text import printable
from memtierd.trackers.abilities import abilities

COLUMNS = (
    Column("kind", "kind", "%-10s"),
    Column("name", "name", "%-12s"),
    Column(
        "state",
        "state",
        "%-8s",
        colours={"running": "green", "works": "green", "missing": "yellow", "degraded": "red"},
    ),
    Column("since_s", "since[s]", "%9s", "%s"),
    Column("detail", "detail", "%s"),
)


@attrs.frozen(kw_only=True)
class Options:
    """Options of health."""

    f: str = flag(FORMAT, "format (default: txt)", default="txt")


def run(context: Context, options: Options) -> None:
    """Print one row for each tracker and connection, each part that may run, and each condition that holds."""
    write_table(context.out, _table(context), options.f)


def _table(context: Context) -> Table:
    return from_rows(COLUMNS, [*_parts(context), *_conditions(context), *_abilities(context)], "table: health")


def _parts(context: Context) -> Iterator[tuple[str, ...]]:
    daemon = context.daemon
    policy, tracker = daemon.policy_name, daemon.tracker_name
    dry = ", as a dry run" if daemon.dry_run else ""
    file = daemon.config_file
    configuration = f"configuration {printable(file.path)}" if file is not None else "no configuration file"
    yield "part", "daemon", "running", "", f"pid {os.getpid()}, {configuration}"
    yield "part", "policy", _state(daemon.policy_running), "", (policy or "none") + dry
    yield "part", "tracker", _state(daemon.tracker_running), "", daemon.tracker_why or tracker or "none"
    yield "part", "mover", daemon.mover.state.value, "", f"{len(daemon.mover.tasks())} tasks"


def _state(running: bool) -> str:
    return "running" if running else "stopped"


def _conditions(context: Context) -> Iterator[tuple[str, ...]]:
    now_ns = context.clock_ns()
    for held in context.daemon.conditions():
        yield "condition", held.source, "degraded", f"{max(0, now_ns - held.since_ns) / 1e9:.1f}", printable(held.text)


def _abilities(context: Context) -> Iterator[tuple[str, ...]]:
    nodes = len(context.daemon.machine().nodes)
    for one in abilities(context.daemon.features, nodes):
        yield one.kind, one.name, "works" if one.works else "missing", "", one.detail


COMMAND = Command(
    "health",
    "what works here, what runs, and what is degraded and since when",
    run,
    Options,
    ("health", "health -f json", "health | grep degraded"),
    changes=False,
)
