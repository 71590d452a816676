"""tracker: choose, configure and run a tracker by hand, and print what it counted."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from memtierd import trackers
from memtierd.errors import CommandError
from memtierd.prompt.access_counts import AccessCounts, access_counts, counter_lines, heat_lines
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import FILE, PIDS, REST, SWITCH, TEXT, name_of
from memtierd.prompt.parts import as_json, params_from_file, params_from_text
from memtierd.prompt.recordings import dump_raw


@attrs.frozen(kw_only=True)
class Options:
    """Options of tracker."""

    ls: bool = flag(SWITCH, "list the trackers that there are", default=False, changes=False)
    create: str | None = flag(name_of("tracker"), "choose a tracker", changes=True)
    config_file: str | None = flag(FILE, "configure it from a file", changes=True)
    config: str | None = flag(TEXT, "configure it with JSON or YAML", metavar="CONFIG", changes=True)
    stop: bool = flag(SWITCH, "stop tracking", default=False, changes=True)
    start: tuple[int, ...] = flag(PIDS, "track these processes, and no others", default=(), changes=True)
    config_dump: bool = flag(SWITCH, "print the configuration as JSON", default=False, changes=False)
    counters: bool = flag(
        SWITCH, "print the counted accesses of every region, the least accessed first", default=False, changes=False
    )
    heat: bool = flag(
        SWITCH,
        "print the counted accesses in address order, neighbours with equal ones joined",
        default=False,
        changes=False,
    )
    reset: bool = flag(SWITCH, "set all counts to 0", default=False, changes=True)
    dump: tuple[str, ...] | None = flag(
        REST,
        "record what every scan counts in every region, print what is new, or stop",
        metavar="raw start|new|stop",
        changes=True,
    )


def run(context: Context, options: Options) -> None:
    """Take the actions that were asked for, in the order of the options."""
    if options == Options():
        raise UsageError("nothing to do; tracker -h lists the flags")
    if options.ls:
        context.lines(sorted(trackers.REGISTRY))
    if options.dump is not None:
        _dump(context, options.dump)
    if options.create is not None or options.stop or options.start:
        _leave_to_policy(context)
    if options.create is not None:
        context.daemon.create_tracker(options.create)
        context.line("tracker created")
    if attrs.evolve(options, ls=False, create=None, dump=None) != Options():
        _steer(context, options, _require(context))
        _counts(context, options)


def _steer(context: Context, options: Options, name: str) -> None:
    daemon = context.daemon
    if options.config_file is not None:
        _configure(context, params_from_file("tracker", name, options.config_file, context.caller))
    if options.config is not None:
        _configure(context, params_from_text("tracker", name, options.config))
    if options.stop:
        daemon.stop_tracker()
        context.line("tracker stopped")
    if options.start:
        _start(context, options.start)
    if options.config_dump:
        context.line(as_json(daemon.tracker_params))


def _leave_to_policy(context: Context) -> None:
    if context.daemon.policy_running:
        raise CommandError("a policy is running and needs its tracker; stop the policy first with: policy -stop")


def _require(context: Context) -> str:
    name = context.daemon.tracker_name
    if name is None:
        raise CommandError("no tracker, create one with: tracker -create NAME [-config CONFIG]")
    return name


def _configure(context: Context, params: Any) -> None:
    context.daemon.configure_tracker(params)
    context.line("tracker configured successfully")


def _start(context: Context, pids: tuple[int, ...]) -> None:
    if context.daemon.tracker_running:
        context.daemon.stop_tracker()
    context.daemon.start_tracker(list(pids))
    if context.daemon.tracker_why:
        context.line(context.daemon.tracker_why)
    context.line("tracker started")


def _counts(context: Context, options: Options) -> None:
    if options.counters or options.heat:
        counts: AccessCounts = context.daemon.call(access_counts)
        if not np.size(counts.start):
            context.line("no counter entries")
        elif options.counters:
            context.lines(counter_lines(counts))
        if options.heat and np.size(counts.start):
            context.lines(heat_lines(counts))
    if options.reset:
        context.daemon.reset_counters()
        context.line("tracker counters reset")


def _dump(context: Context, words: Sequence[str]) -> None:
    if words[:1] != ("raw",):
        raise UsageError("-dump: expected raw start, raw new or raw stop")
    dump_raw(context, words[1:])


COMMAND = Command(
    "tracker",
    "choose and run a tracker by hand, and print what it counted",
    run,
    Options,
    (
        'tracker -create softdirty -config {"scanintervalms": 1000} -start 4242',
        "tracker -counters | tail",
        "tracker -dump raw start",
    ),
)
