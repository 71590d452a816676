"""Command line of the guest harness; see `tests/vm/run.sh help`."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .guest import HARNESS, Guest
from .machine import GUEST_DIED, Programs, run_guest
from .topology import DEFAULT, TopologyError, parse_slow_nodes, parse_topology

USAGE_ERROR = 2
BROKEN_PIPE = 128 + signal.SIGPIPE

TESTS = HARNESS.parent

# Seconds; an interactive guest runs until its shell ends.
TIME_LIMITS: dict[str, float | None] = {"run": 300, "pytest": 1800, "interactive": None}

SHELL = ("env", r"PS1=guest:\w\$ ", "bash", "--norc", "-i")


class Parser(argparse.ArgumentParser):
    """Complains on one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message}; see tests/vm/run.sh help\n")


def positive_seconds(text: str) -> float:
    """A time limit."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return float(text)


def milliseconds(text: str) -> int:
    """A period, 0 for none."""
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError(f"expected whole milliseconds, got {text!r}")
    return int(text)


def directory(text: str) -> Path:
    """A directory that exists, absolute."""
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a directory")
    return path


def parser_of(action: str) -> Parser:
    """Options of one action; each has its default from the environment."""
    variables = os.environ
    parser = Parser(prog=f"run.sh {action}", add_help=False, allow_abbrev=False)
    parser.add_argument("-t", "--topology", default=variables.get("topology", DEFAULT))
    parser.add_argument("-T", "--time-limit", type=positive_seconds, default=variables.get("MEMTIERD_VM_TIME_LIMIT"))
    parser.add_argument("--slow", default=variables.get("MEMTIERD_VM_SLOW", ""))
    parser.add_argument("--tick", type=milliseconds, default=variables.get("MEMTIERD_VM_TICK_MS", "10"))
    parser.add_argument("--share", type=directory, default=variables.get("MEMTIERD_VM_SHARE"))
    parser.add_argument("--accel", default=variables.get("MEMTIERD_VM_ACCEL", "tcg,thread=multi"))
    parser.add_argument("--kernel-arg", action="append", default=[])
    parser.add_argument("--qemu-arg", action="append", default=[])
    return parser


def guest_of(options: argparse.Namespace, *, interactive: bool) -> Guest:
    """The machine that the options describe; raises TopologyError."""
    nodes = parse_topology(options.topology)
    return Guest(
        nodes=nodes,
        slow=parse_slow_nodes(options.slow, len(nodes)),
        tick_ms=options.tick,
        share=options.share,
        interactive=interactive,
        accel=options.accel,
        kernel_arguments=" ".join(options.kernel_arg),
        qemu_arguments=tuple(options.qemu_arg),
    )


def pytest_command(arguments: Sequence[str]) -> list[str]:
    """pytest on the guest tests, unless the arguments name files or directories."""
    names_tests = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    selection = [] if names_tests else [str(TESTS)]
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *selection]


def command_of(action: str, parser: Parser, rest: Sequence[str], after_dashes: Sequence[str]) -> list[str]:
    """What the guest runs for an action with these arguments."""
    if action == "pytest":
        return pytest_command([*rest, *after_dashes])
    if rest:
        parser.error(f"unknown argument {rest[0]!r}")
    if action == "interactive":
        return list(SHELL)
    if not after_dashes:
        parser.error("no command; write it after --")
    return list(after_dashes)


def programs(action: str) -> Programs:
    """Programs that the guest needs, installed or built where necessary; raises CalledProcessError."""
    if action == "pytest":
        subprocess.run([HARNESS / "get-programs.sh"], check=True)
    qemu, kernel = (
        subprocess.run([HARNESS / script], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        for script in ("get-qemu.sh", "build-kernel.sh")
    )
    return Programs(qemu=qemu, kernel=kernel)


def main() -> int:
    """Run one guest and return the exit status."""
    action, *arguments = sys.argv[1:]
    dashes = arguments.index("--") if "--" in arguments else len(arguments)
    parser = parser_of(action)
    options, rest = parser.parse_known_args(arguments[:dashes])
    command = command_of(action, parser, rest, arguments[dashes + 1 :])
    try:
        guest = guest_of(options, interactive=action == "interactive")
    except TopologyError as error:
        parser.error(str(error))
    if guest.interactive and not os.isatty(0):
        parser.error("standard input is no terminal; use run -- COMMAND")
    # SystemExit stops the guest on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    time_limit_s = TIME_LIMITS[action] if options.time_limit is None else options.time_limit
    try:
        return run_guest(guest, command, programs(action), time_limit_s)
    except subprocess.CalledProcessError:
        return GUEST_DIED  # the script has said why
    except BrokenPipeError:
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
