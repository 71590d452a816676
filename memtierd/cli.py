"""The command line: flags in, exit status out.

Exit statuses: 0 done, 1 something could not be done, 2 wrong flags, 3 wrong configuration.  Commands that a signal
cuts short end with 128 + its number; a daemon that it ends has done its work.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from memtierd import __version__
from memtierd.environment import control_path
from memtierd.errors import ConfigError, MemtierdError
from memtierd.flags import COMMAND_LINE, Options
from memtierd.logs import open_log
from memtierd.prompt.grammar import UsageError
from memtierd.prompt.output import Output
from memtierd.signals import Terminated
from memtierd.text import bounded, printable

OK, FAILED, WRONG_USAGE, WRONG_CONFIG = 0, 1, 2, 3


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
        if options is not None:
            _refuse_what_does_not_fit(options)
    except UsageError as error:
        _say([f"memtierd: {error}"])
        return WRONG_USAGE
    if options is None:
        out.write(COMMAND_LINE.usage())
        return OK
    if options.version or options.schema:
        out.write(f"memtierd {__version__}\n" if options.version else _schema_text())
        return OK
    socket = _socket_to_attach_to(options)
    return _run(options, out) if socket is None else _attach(socket, options)


def _run(options: Options, out: Output) -> int:
    open_log(options.l, debug=options.debug, form=options.log, journal=_journal)
    if options.check:
        return _check(options, out)
    if options.config is None and not _has_commands(options):
        _say(
            [
                "memtierd: required at least one of: -config CONFIGFILE, -c COMMANDS, -f COMMANDFILE, or -prompt;"
                " memtierd -h lists the flags"
            ]
        )
        return FAILED
    from memtierd import running  # noqa: PLC0415  the parts take time to load

    return running.run(options)


def _has_commands(options: Options) -> bool:
    return options.prompt or options.c is not None or options.f is not None


def _socket_to_attach_to(options: Options) -> str | None:
    """Return the socket of the service that is to run the commands, None when this process does what is asked for."""
    if options.attach is not None:
        return options.attach
    if options.config is not None or options.standalone or options.check or not _has_commands(options):
        return None
    from memtierd.remote import client  # noqa: PLC0415  a daemon does not need it

    path = control_path(options.control)
    return path if path and client.found(path) else None


def _attach(socket: str, options: Options) -> int:
    """Run the commands in the service behind a socket."""
    from memtierd.remote import client  # noqa: PLC0415  a daemon does not need it

    return client.run(
        socket,
        commands=options.c,
        file=options.f,
        prompt=options.prompt,
        to_first_failure=options.e,
        echo=options.echo,
    )


def _refuse_what_does_not_fit(options: Options) -> None:
    """Raise UsageError for flags that contradict each other."""
    if options.plan and options.config is None:
        raise UsageError("-plan needs a configuration: memtierd -config FILE -plan")
    if options.plan and options.l in ("-", "stdout"):
        raise UsageError("-plan prints on standard output; log elsewhere: -l FILE")
    if not 1 <= options.state_interval <= 3600:
        raise UsageError(f"-state-interval: got {options.state_interval:g}s, expected 1s to 1h")
    if options.attach is not None and (options.config is not None or options.standalone):
        other = "-config" if options.config is not None else "-standalone"
        raise UsageError(f"-attach runs commands in another process, {other} in this one; give one of them")
    if options.attach is not None and not _has_commands(options):
        raise UsageError("-attach needs commands: -prompt, -c COMMANDS or -f FILE")


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
        out.write(f"{printable(options.config or '')}: valid, {check.contents(config)}\n")
    return OK


def _journal() -> Any:
    from memtierd.linux.journal import JournalSocket  # noqa: PLC0415  few runs log to the journal

    return JournalSocket()


if __name__ == "__main__":
    sys.exit(main())
