"""The command line: flags in, exit status out.

Exit statuses: 0 done, 1 something could not be done, 2 wrong flags, 3 wrong configuration.
"""

import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import attrs

from memtierd import __version__
from memtierd.errors import ConfigError, MemtierdError
from memtierd.logs import open_log
from memtierd.parameters import Part
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import SWITCH, TEXT

LOG = logging.getLogger("memtierd")

OK, FAILED, WRONG_USAGE, WRONG_CONFIG = 0, 1, 2, 3


@attrs.frozen
class Options:
    """The flags."""

    config: str | None = flag(TEXT, "manage memory as this YAML file says", metavar="FILE")
    dry_run: bool = flag(SWITCH, "with -config: show what would move, and move nothing", default=False)
    check: bool = flag(SWITCH, "check the configuration, say what this machine can do, and end", default=False)
    prompt: bool = flag(SWITCH, "read commands from standard input", default=False)
    c: str | None = flag(TEXT, "run commands; newlines separate them", metavar="COMMANDS")
    f: str | None = flag(TEXT, "run the commands in a file", metavar="FILE")
    echo: bool = flag(SWITCH, "print every command before it is run", default=False)
    l: str = flag(TEXT, "log to a file, stderr or stdout", metavar="FILE", default="")  # noqa: E741
    debug: bool = flag(SWITCH, "log more", default=False)
    version: bool = flag(SWITCH, "print the version and end", default=False)


def _no_command(_context: Any, _options: Any) -> None:
    raise TypeError("the command line itself is not a prompt command")


COMMAND_LINE = Command(
    "memtierd", "manage the memory of processes: hot to fast nodes, idle to slow ones or swap", _no_command, Options
)


class Terminated(SystemExit):
    """SIGTERM came: unwind, stop everything in order, and end with status 0."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run memtierd and return its exit status."""
    try:
        status = _main(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except ConfigError as error:
        _say("\n".join(error.problems))
        status = WRONG_CONFIG
    except MemtierdError as error:
        _say(f"memtierd: {error}")
        status = FAILED
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = OK
    except KeyboardInterrupt:
        status = OK
    except Terminated:
        status = OK
    return status


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _main(arguments: list[str]) -> int:
    try:
        options: Options | None = COMMAND_LINE.parse(arguments)
    except UsageError as error:
        _say(f"memtierd: {error}")
        return WRONG_USAGE
    if options is None:
        sys.stdout.write(COMMAND_LINE.usage())
        return OK
    if options.version:
        print(f"memtierd {__version__}")
        return OK
    open_log(options.l, debug=options.debug)
    if options.check:
        return _check(options)
    if options.config is None and options.c is None and options.f is None and not options.prompt:
        _say(
            "memtierd: required at least one of: -config CONFIGFILE, -c COMMANDS, -f COMMANDFILE, or -prompt;"
            " memtierd -h lists the flags"
        )
        return FAILED
    return _run(options)


def _load(path: str) -> Part:
    from memtierd.config import load_file  # noqa: PLC0415  only a configuration needs the YAML library

    return load_file(path).policy


def _check(options: Options) -> int:
    """Print what the machine can do, and what the configuration wants beyond that."""
    from memtierd import check  # noqa: PLC0415  not needed by every run
    from memtierd.linux.numa import machine_facts  # noqa: PLC0415
    from memtierd.linux.probe import probe  # noqa: PLC0415

    policy = _load(options.config) if options.config is not None else None
    machine, features = machine_facts(), probe()
    for line in check.describe_machine(machine, features):
        print(line)
    if policy is not None:
        for text in check.warnings(policy, machine, features):
            print(f"warning: {text}")
        print(f"{options.config}: valid, policy {policy.name}")
    return OK


def _run(options: Options) -> int:
    """Start what the flags ask for, run the commands, wait if there is something to wait for, and stop in order."""
    from memtierd.daemon import Daemon  # noqa: PLC0415  the parts take time to load
    from memtierd.prompt.session import Session  # noqa: PLC0415

    policy = _load(options.config) if options.config is not None else None
    signal.signal(signal.SIGTERM, _terminate)
    daemon = Daemon(dry_run=options.dry_run)
    session = Session(daemon, sys.stdout, sys.stderr, echo=options.echo)
    try:
        daemon.start()
        if policy is not None:
            _start_policy(daemon, policy)
        status = _run_commands(session, options)
        if options.prompt:
            status = session.loop(sys.stdin) or status
        elif policy is not None:
            _serve(session)
    finally:
        # A second signal must not interrupt the orderly end that the first one asked for.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        daemon.stop()
    return status


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated(OK)


def _start_policy(daemon: Any, policy: Part) -> None:
    from memtierd import check  # noqa: PLC0415

    LOG.info("%s", check.summary(daemon.features))
    for text in check.warnings(policy, daemon.machine(), daemon.features):
        LOG.warning("%s", text)
    daemon.create_policy(policy.name)
    daemon.configure_policy(policy.params)
    daemon.start_policy()
    LOG.info("policy %s started%s", policy.name, " as a dry run: nothing will be moved" if daemon.dry_run else "")


def _run_commands(session: Any, options: Options) -> int:
    status = OK
    if options.c is not None:
        status = session.run_text(options.c)
    if options.f is not None:
        status = session.run_file(options.f) or status
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
