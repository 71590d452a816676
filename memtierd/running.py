"""A daemon in this process, for a configuration file, for commands, or for both: from its start to its end."""

import logging
import os
import signal
import stat
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from memtierd import check
from memtierd.daemon import Daemon
from memtierd.environment import control_path, state_directory
from memtierd.flags import Options
from memtierd.linux.capabilities import missing_capabilities
from memtierd.prompt.console import Console
from memtierd.prompt.output import Output
from memtierd.prompt.session import Session
from memtierd.signals import Terminated, Termination

if TYPE_CHECKING:
    from memtierd.config import ConfigFile
    from memtierd.service import Service

LOG = logging.getLogger("memtierd")
OK = 0


def run(options: Options) -> int:
    """Start what the flags ask for, run the commands, wait if there is something to wait for, and stop in order.

    Return the exit status.  Raises ConfigError, MemtierdError, and without a service KeyboardInterrupt and Terminated.
    """
    is_service = options.config is not None and not options.plan
    # A shell starts what it puts into the background with SIGINT ignored; Python leaves that so, and so do we.
    termination = Termination(reloads=is_service)
    termination.take()
    file = _read(options.config) if options.config is not None else None
    daemon = Daemon(dry_run=options.dry_run or options.plan)
    daemon.console = Console(daemon, sys.stdout, sys.stderr)
    around = _service(daemon, options) if is_service else None
    try:
        with termination.held():
            daemon.start()
            if file is not None:
                _start_configured(daemon, file, around)
        if around is not None:
            termination.on_hangup(partial(around.request_reload, "SIGHUP"))
        status = _work(daemon, options)
    except (KeyboardInterrupt, Terminated) as end:
        if not is_service:
            raise
        number = signal.SIGINT if isinstance(end, KeyboardInterrupt) else signal.Signals(int(end.code or 0))
        LOG.info("%s: stopping", number.name)
        status = OK
    finally:
        # A second signal must not interrupt the orderly end that the first one asked for.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        termination.release()
        if around is not None:
            around.stop()
        daemon.stop()
        if daemon.config_file is not None:
            LOG.info("%s stopped", check.contents(daemon.config_file.config))
    return status


def _work(daemon: Daemon, options: Options) -> int:
    """Do what this process is there for, to its end."""
    if options.plan:
        from memtierd import planning_run  # noqa: PLC0415  few runs plan only

        return planning_run.run(daemon, Output(sys.stdout), options.for_, options.format)
    session = Session(daemon, sys.stdout, sys.stderr, echo=options.echo)
    status = _run_commands(session, options)
    if status and options.e:
        LOG.info("a command failed: stopping")
    elif options.prompt:
        status = session.loop(sys.stdin) or status
    elif options.config is not None:
        _serve(session)
    return status


def _read(path: str) -> "ConfigFile":
    from memtierd.config import read_file  # noqa: PLC0415  commands alone do without the YAML library

    return read_file(path)


def _service(daemon: Daemon, options: Options) -> "Service":
    from memtierd.service import Service, Settings  # noqa: PLC0415  commands alone do without

    settings = Settings(
        control=control_path(options.control),
        control_group=options.control_group,
        control_group_writes=options.control_group_writes,
        state=state_directory(options.state),
        state_interval_s=options.state_interval,
        metrics=options.metrics,
        metrics_file=options.metrics_file,
    )
    return Service(daemon, settings)


def _start_configured(daemon: Daemon, file: "ConfigFile", around: "Service | None") -> None:
    """Let the daemon do as the file says, with what it learned before, and start what goes on around it."""
    policy, dry_run = file.config.policy, daemon.dry_run
    LOG.info("%s", check.summary(daemon.features))
    if lacking := check.permissions(missing_capabilities()):
        LOG.warning("%s", lacking)
    for text in check.warnings(policy, daemon.machine(), daemon.features) if policy is not None else ():
        LOG.warning("%s", text)
    if around is not None:
        around.restore()
    daemon.load(file)
    if policy is not None:
        LOG.info("policy %s started%s", policy.name, " as a dry run: nothing will be moved" if dry_run else "")
    for number, routine in enumerate(file.config.routines, 1):
        LOG.info("routine %d %s %s", number, routine.name, "not started: dry run" if dry_run else "started")
    if around is not None:
        around.start()


def _run_commands(session: Session, options: Options) -> int:
    status = OK
    if options.c is not None:
        status = session.run_text(options.c, to_first_failure=options.e)
    if options.f is not None and not (status and options.e):
        status = session.run_file(options.f, to_first_failure=options.e) or status
    return status


def _serve(session: Session) -> None:
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
