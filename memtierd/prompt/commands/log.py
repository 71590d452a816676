"""log: write to the log, and let it have what commands print."""

import logging

import attrs

from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import SWITCH, TEXT
from memtierd.text import bounded

LOG = logging.getLogger("memtierd")


@attrs.frozen(kw_only=True)
class Options:
    """Options of log."""

    i: str | None = flag(TEXT, "log a message as information", metavar="MESSAGE")
    d: str | None = flag(TEXT, "log a message for debugging", metavar="MESSAGE")
    e: str | None = flag(TEXT, "log a message as an error", metavar="MESSAGE")
    f: str | None = flag(TEXT, "log a message as an error and end memtierd with status 1", metavar="MESSAGE")
    copy: bool = flag(SWITCH, "copy what commands print to the log from now on", default=False)
    capture: bool = flag(SWITCH, "let only the log have what commands print from now on", default=False)
    off: bool = flag(SWITCH, "end copying and capturing", default=False)
    prefix: str | None = flag(TEXT, "put TEXT in front of every line that is copied or captured")


def run(context: Context, options: Options) -> None:
    """Take the actions in the order of the flags."""
    if options == Options():
        raise UsageError("nothing to log; log -h lists the flags")
    if options.copy + options.capture + options.off > 1:
        raise UsageError("flags -copy, -capture and -off exclude each other")
    for message, level in ((options.i, logging.INFO), (options.d, logging.DEBUG), (options.e, logging.ERROR)):
        if message is not None:
            LOG.log(level, "%s", bounded(message))
    if options.f is not None:
        LOG.critical("%s", bounded(options.f))
        raise SystemExit(1)
    _switch(context, options)


def _switch(context: Context, options: Options) -> None:
    copy = context.memory.log_copy
    if options.copy or options.capture:
        copy.to_log, copy.to_output = True, options.copy
    if options.off:
        copy.to_log, copy.to_output, copy.prefix = False, True, ""
    if options.prefix is not None:
        if not copy.to_log:
            raise CommandError("output is neither copied nor captured, so no prefix can be set; log -copy -prefix TEXT")
        copy.prefix = options.prefix


COMMAND = Command(
    "log",
    "write to the log, and let it have what commands print",
    run,
    Options,
    ("log -i 'the load begins'", "log -copy -prefix 'at noon: '", "log -off"),
    changes=True,
)
