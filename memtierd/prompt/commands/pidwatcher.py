"""pidwatcher: choose, configure and run a pidwatcher by hand, and print which processes it finds."""

from typing import Any

import attrs

from memtierd import watchers
from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import FILE, SWITCH, TEXT, name_of, one_of
from memtierd.prompt.parts import as_json, params_from_file, params_from_text
from memtierd.watchers.selected import LISTENERS


@attrs.frozen(kw_only=True)
class Options:
    """Options of pidwatcher."""

    ls: bool = flag(SWITCH, "list the pidwatchers that there are", default=False, changes=False)
    create: str | None = flag(name_of("pidwatcher"), "choose a pidwatcher; a running one stops", changes=True)
    config_file: str | None = flag(FILE, "configure it from a file with just its configuration", changes=True)
    config: str | None = flag(TEXT, "configure it with JSON or YAML", metavar="CONFIG", changes=True)
    config_dump: bool = flag(SWITCH, "print the configuration as JSON", default=False, changes=False)
    listener: str | None = flag(
        one_of("listener", "|".join(LISTENERS), *LISTENERS),
        "whom to tell of processes: tracker, which then tracks them, or log",
        changes=True,
    )
    stop: bool = flag(SWITCH, "look for processes no longer", default=False, changes=True)
    start: bool = flag(SWITCH, "look for processes at once and at every interval", default=False, changes=True)
    poll: bool = flag(SWITCH, "look once, now", default=False, changes=True)
    dump: bool = flag(SWITCH, "print the processes that were found last", default=False, changes=False)


CHANGES = ("create", "config_file", "config", "listener", "stop", "start")


def run(context: Context, options: Options) -> None:
    """Take the actions that were asked for, in the order of the options."""
    if options == Options():
        raise UsageError("nothing to do; pidwatcher -h lists the flags")
    if options.ls:
        context.lines(sorted(watchers.REGISTRY))
    if context.daemon.policy_running and any(getattr(options, name) for name in CHANGES):
        raise CommandError("a policy is running and needs its pidwatcher; stop the policy first with: policy -stop")
    if options.create is not None:
        context.daemon.create_pidwatcher(options.create)
        context.line("pidwatcher created")
    if attrs.evolve(options, ls=False, create=None) != Options():
        _configure(context, options, _require(context))
        _steer(context, options)


def _require(context: Context) -> str:
    watcher = context.daemon.pidwatcher
    if watcher.name is not None:
        return watcher.name
    if watcher.is_running:  # that of a policy which has none but its pages of interest
        return ""
    raise CommandError("no pidwatcher, create one with: pidwatcher -create NAME [-config CONFIG]")


def _configure(context: Context, options: Options, name: str) -> None:
    watcher = context.daemon.pidwatcher
    if options.config_file is not None:
        watcher.configure(params_from_file("pidwatcher", name, options.config_file, context.caller))
        context.line(f'pidwatcher configured successfully from "{options.config_file}"')
    if options.config is not None:
        watcher.configure(params_from_text("pidwatcher", name, options.config))
        context.line("pidwatcher configured successfully")
    if options.config_dump:
        context.line(as_json(_params(watcher.params, name)))


def _params(params: Any, name: str) -> Any:
    if params is None:
        raise CommandError(f"the pidwatcher {name} is not configured, configure it with: pidwatcher -config CONFIG")
    return params


def _steer(context: Context, options: Options) -> None:
    watcher = context.daemon.pidwatcher
    if options.listener is not None:
        watcher.listener = options.listener
    if options.stop:
        watcher.stop()
        context.line("pidwatcher stopped")
    if options.start:
        watcher.start()
        context.line("pidwatcher started")
    if options.poll:
        watcher.poll()
    if options.dump:
        _dump(context)


def _dump(context: Context) -> None:
    latest = context.daemon.pidwatcher.latest
    if latest is None:
        raise CommandError("nothing was looked for yet; start the pidwatcher, or look once with: pidwatcher -poll")
    context.line(f"processes: {len(latest.keys)}")
    context.lines(f"pid: {key.pid}" for key in sorted(latest.keys))
    context.lines(f"condition: {condition}" for condition in latest.conditions)


COMMAND = Command(
    "pidwatcher",
    "choose and run a pidwatcher by hand, and print the processes it finds",
    run,
    Options,
    (
        'pidwatcher -create cgroups -config {"cgroups": ["/sys/fs/cgroup/foobar"]} -poll -dump',
        "pidwatcher -listener tracker -start",
    ),
)
