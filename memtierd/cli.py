"""The command line: flags in, exit status out.

Exit statuses: 0 done, 1 something could not be done, 2 wrong flags, 3 wrong configuration.  Commands that a signal
cuts short end with 128 + its number; a daemon that it ends has done its work.
"""

import contextlib
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Sequence
from typing import Any

import attrs

from memtierd import __version__
from memtierd.errors import ConfigError, MemtierdError
from memtierd.logs import open_log
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import DURATION, FILE, FORMAT, SWITCH, TEXT, one_of
from memtierd.prompt.output import Output
from memtierd.signals import Terminated, Termination
from memtierd.text import bounded, printable

LOG = logging.getLogger("memtierd")

OK, FAILED, WRONG_USAGE, WRONG_CONFIG = 0, 1, 2, 3
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run memtierd and return its exit status."""
    _open_standard_streams()
    try:
        status = _main(sys.argv[1:] if arguments is None else list(arguments))
    except ConfigError as error:
        _say(error.problems)
        status = WRONG_CONFIG
    except MemtierdError as error:
        _say([f"memtierd: {error}"])
        status = FAILED
    except BrokenPipeError:
        status = OK  # whoever read our output has gone
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except Terminated as terminated:
        status = 128 + int(terminated.code or 0)
    return _close_output(status)


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: no file that is opened later may come to be one of them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: SIM115  open to the end


def _close_output(status: int) -> int:
    """Pass on what standard output still holds; what could not be written makes a success a failure."""
    out = Output(sys.stdout)
    try:
        out.flush()
    except BrokenPipeError:
        out.discard()
    except MemtierdError as error:
        out.discard()
        if status == OK:
            _say([f"memtierd: {error}"])
            status = FAILED
    _drop_unwritable_errors()
    return status


def _drop_unwritable_errors() -> None:
    """Forget what standard error can't take: Python would try again at its end, and change the exit status."""
    err = Output(sys.stderr)
    try:
        err.flush()
    except (BrokenPipeError, MemtierdError):
        err.discard()


def _say(lines: Sequence[str]) -> None:
    with contextlib.suppress(OSError):  # the error output can't be written: there is nowhere left to tell it
        print(*map(bounded, lines), sep="\n", file=sys.stderr, flush=True)


def _main(arguments: list[str]) -> int:
    out = Output(sys.stdout)
    try:
        options: Options | None = COMMAND_LINE.parse(arguments)
    except UsageError as error:
        _say([f"memtierd: {error}"])
        return WRONG_USAGE
    if options is None:
        out.write(COMMAND_LINE.usage())
        return OK
    if options.version or options.schema:
        out.write(f"memtierd {__version__}\n" if options.version else _schema_text())
        return OK
    open_log(options.l, debug=options.debug)
    if options.check:
        return _check(options, out)
    if options.config is None and options.c is None and options.f is None and not options.prompt:
        _say(
            [
                "memtierd: required at least one of: -config CONFIGFILE, -c COMMANDS, -f COMMANDFILE, or -prompt;"
                " memtierd -h lists the flags"
            ]
        )
        return FAILED
    return _run(options)


def _schema_text() -> str:
    from memtierd.config import schema_text  # noqa: PLC0415  only this needs it

    return schema_text()


def _load(path: str) -> Any:
    from memtierd.config import read_file  # noqa: PLC0415  only a configuration needs the YAML library

    return read_file(path)


def _check(options: Options, out: Output) -> int:
    """Print what the machine can do, and what the configuration wants beyond that."""
    from memtierd import check  # noqa: PLC0415  not needed by every run
    from memtierd.linux.capabilities import missing_capabilities  # noqa: PLC0415
    from memtierd.linux.numa import machine_facts  # noqa: PLC0415
    from memtierd.linux.probe import probe  # noqa: PLC0415

    config = _load(options.config).config if options.config is not None else None
    machine, features = machine_facts(), probe()
    for line in check.describe_machine(machine, features):
        out.write(f"{line}\n")
    out.write(f"permissions: {check.permissions(missing_capabilities()) or 'memtierd has what it needs'}\n")
    if config is not None:
        for text in check.warnings(config.policy, machine, features) if config.policy else ():
            out.write(f"warning: {printable(text)}\n")
        out.write(f"{printable(options.config or '')}: valid, {_contents(config)}\n")
    return OK


def _contents(config: Any) -> str:
    parts = [f"policy {config.policy.name}"] if config.policy else []
    names = ", ".join(routine.name for routine in config.routines)
    return " and ".join(parts + ([f"routines {names}"] if names else []))


def _run(options: Options) -> int:
    """Start what the flags ask for, run the commands, wait if there is something to wait for, and stop in order."""
    from memtierd.daemon import Daemon  # noqa: PLC0415  the parts take time to load
    from memtierd.prompt.console import Console  # noqa: PLC0415
    from memtierd.prompt.session import Session  # noqa: PLC0415

    # A shell starts what it puts into the background with SIGINT ignored; Python leaves that so, and so do we.
    termination = Termination()
    termination.take()
    file = _load(options.config) if options.config is not None else None
    config = file and file.config
    daemon = Daemon(dry_run=options.dry_run)
    daemon.console = Console(daemon, sys.stdout, sys.stderr)
    session = Session(daemon, sys.stdout, sys.stderr, echo=options.echo)
    running = ""
    try:
        daemon.start()
        if config is not None:
            _start_configured(daemon, file)
            running = _contents(config)
        status = _run_commands(session, options)
        if status and options.e:
            LOG.info("a command failed: stopping")
        elif options.prompt:
            status = session.loop(sys.stdin) or status
        elif config is not None:
            _serve(session)
    except (KeyboardInterrupt, Terminated) as end:
        if config is None:
            raise
        number = signal.SIGINT if isinstance(end, KeyboardInterrupt) else signal.Signals(int(end.code or 0))
        LOG.info("%s: stopping", number.name)
        status = OK
    finally:
        # A second signal must not interrupt the orderly end that the first one asked for.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        termination.release()
        daemon.stop()
        if running:
            LOG.info("%s stopped", running)
    return status


def _start_configured(daemon: Any, file: Any) -> None:
    from memtierd import check  # noqa: PLC0415
    from memtierd.linux.capabilities import missing_capabilities  # noqa: PLC0415

    policy, dry_run = file.config.policy, daemon.dry_run
    LOG.info("%s", check.summary(daemon.features))
    if lacking := check.permissions(missing_capabilities()):
        LOG.warning("%s", lacking)
    for text in check.warnings(policy, daemon.machine(), daemon.features) if policy is not None else ():
        LOG.warning("%s", text)
    daemon.load(file)
    if policy is not None:
        LOG.info("policy %s started%s", policy.name, " as a dry run: nothing will be moved" if dry_run else "")
    for number, routine in enumerate(file.config.routines, 1):
        LOG.info("routine %d %s %s", number, routine.name, "not started: dry run" if dry_run else "started")


def _run_commands(session: Any, options: Options) -> int:
    status: int = OK
    if options.c is not None:
        status = session.run_text(options.c, to_first_failure=options.e)
    if options.f is not None and not (status and options.e):
        status = session.run_file(options.f, to_first_failure=options.e) or status
    return status


def _serve(session: Any) -> None:
    """Run the commands that come through a pipe on standard input, if it is one, and wait for SIGINT or SIGTERM.

    The end of the commands is not the end of the daemon.
    """
    if _is_pipe(sys.stdin):
        session.loop(sys.stdin)
    threading.Event().wait()


def _is_pipe(stream: Any) -> bool:
    try:
        return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
