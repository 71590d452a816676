"""The flags of the command line, declared once for parsing, help, completion and the manual."""

from typing import Any

import attrs

from memtierd.prompt.grammar import Command, flag
from memtierd.prompt.kinds import DURATION, FILE, FORMAT, SWITCH, TEXT, one_of

LOG_FORM = one_of("form", "plain|json|journal", "plain", "json", "journal")


@attrs.frozen
class Options:
    """The flags."""

    config: str | None = flag(TEXT, "manage memory as this YAML file says", metavar="FILE")
    dry_run: bool = flag(SWITCH, "with -config: show what would move, and move nothing", default=False)
    plan: bool = flag(
        SWITCH, "with -config: observe for a while, print what would move and why, and end", default=False
    )
    for_: float = flag(DURATION, "with -plan: how long to observe; 30s if not given", default=30.0)
    format: str = flag(FORMAT, "with -plan: how to print it; txt if not given", default="txt")
    check: bool = flag(SWITCH, "check the configuration, say what this machine can do, and end", default=False)
    prompt: bool = flag(
        SWITCH, "read commands from standard input; they go to the running service if there is one", default=False
    )
    c: str | None = flag(TEXT, "run commands; newlines separate them", metavar="COMMANDS")
    f: str | None = flag(TEXT, "run the commands in a file", metavar="FILE")
    e: bool = flag(SWITCH, "with -c and -f: end with the first command that fails, and with its status", default=False)
    echo: bool = flag(SWITCH, "print every command before it is run", default=False)
    attach: str | None = flag(FILE, "run commands in the memtierd that listens on this socket", metavar="PATH")
    standalone: bool = flag(SWITCH, "run commands in this process, also when a service runs", default=False)
    control: str | None = flag(
        FILE,
        "with -config: listen for prompts on this socket; if not given $MEMTIERD_CONTROL or /run/memtierd/control.sock",
        metavar="PATH",
    )
    control_group: str | None = flag(
        TEXT, "members of this group may use the socket, too: to look, and to change nothing", metavar="GROUP"
    )
    control_group_writes: bool = flag(SWITCH, "the group may do everything that root may at the prompt", default=False)
    state: str | None = flag(
        FILE,
        "with -config: keep what was learned in this directory; if not given $STATE_DIRECTORY",
        metavar="DIR",
    )
    state_interval: float = flag(
        DURATION,
        "with -config: how often to write what was learned, from 1s to 1h; 5m if not given",
        default=300.0,
    )
    metrics: str | None = flag(TEXT, "with -config: serve metrics to Prometheus at this address", metavar="ADDR")
    metrics_file: str | None = flag(FILE, "with -config: write metrics to this file for node_exporter", metavar="FILE")
    log: str = flag(
        LOG_FORM, "form of the log; if not given journal where the journal reads it, else plain", default=""
    )
    l: str = flag(  # noqa: E741
        TEXT, "log to a file, stderr (the default) or - for standard output", metavar="FILE", default=""
    )
    debug: bool = flag(SWITCH, "log more", default=False)
    schema: bool = flag(SWITCH, "print the JSON Schema of configuration files and end", default=False)
    version: bool = flag(SWITCH, "print the version and end", default=False)


def _no_command(_context: Any, _options: Any) -> None:
    raise TypeError("the command line itself is not a prompt command")


COMMAND_LINE = Command(
    "memtierd", "manage the memory of processes: hot to fast nodes, idle to slow ones or swap", _no_command, Options
)
