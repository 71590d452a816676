"""routines: make, configure, start and stop commands that run beside the policy."""

import attrs

from memtierd import routines
from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import COUNT, FILE, SWITCH, TEXT, name_of
from memtierd.prompt.parts import as_json, params_from_file, params_from_text
from memtierd.routines import RoutineView


@attrs.frozen(kw_only=True)
class Options:
    """Options of routines."""

    ls: bool = flag(SWITCH, "list the routines that there are", default=False, changes=False)
    create: str | None = flag(name_of("routine"), "make a routine and use it", changes=True)
    use: int | None = flag(COUNT, "use the routine with this number, 1 for the first", metavar="NUMBER", changes=False)
    config_file: str | None = flag(FILE, "configure it from a file with just its configuration", changes=True)
    config: str | None = flag(TEXT, "configure it with JSON or YAML", metavar="CONFIG", changes=True)
    start: bool = flag(SWITCH, "start it", default=False, changes=True)
    config_dump: bool = flag(SWITCH, "print its configuration as JSON", default=False, changes=False)
    stop: bool = flag(SWITCH, "stop it and the command that it runs", default=False, changes=True)
    dump: bool = flag(SWITCH, "print which routines were made and which of them run", default=False, changes=False)


def run(context: Context, options: Options) -> None:
    """Take the actions that were asked for, in the order of the options."""
    if options == Options():
        raise UsageError("nothing to do; routines -h lists the flags")
    all_routines = context.daemon.routines
    if options.ls:
        context.lines(sorted(routines.REGISTRY))
    if options.create is not None:
        context.memory.routine = all_routines.create(options.create)
        context.line(f"routine {context.memory.routine} created, started using it")
    if options.use is not None:
        _use(context, options.use)
    _configure(context, options)
    if options.start:
        all_routines.start(_used(context).number)
        if context.daemon.dry_run:
            context.line("dry run: it starts when the dry run ends")
    if options.config_dump:
        _dump_config(context, _used(context))
    if options.stop:
        used = _used(context)
        all_routines.stop(used.number)
        context.line(f"routine {used.number} stopped")
    if options.dump:
        _used(context)
        context.lines(map(_state, all_routines.views()))


def _configure(context: Context, options: Options) -> None:
    all_routines = context.daemon.routines
    if options.config_file is not None:
        used = _used(context)
        all_routines.configure(used.number, params_from_file("routine", used.name, options.config_file, context.caller))
    if options.config is not None:
        used = _used(context)
        all_routines.configure(used.number, params_from_text("routine", used.name, options.config))


def _use(context: Context, number: int) -> None:
    numbers = [view.number for view in context.daemon.routines.views()]
    if number not in numbers:
        raise CommandError(f"invalid routine {number}, the last one is {max(numbers, default=0)}")
    context.memory.routine = number


def _used(context: Context) -> RoutineView:
    views = context.daemon.routines.views()
    if not views:
        raise CommandError("no routines, create one with: routines -create NAME [-config CONFIG]")
    return next((view for view in views if view.number == context.memory.routine), views[-1])


def _dump_config(context: Context, used: RoutineView) -> None:
    if used.params is None:
        raise CommandError(f"routine {used.number} is not configured, configure it with: routines -config CONFIG")
    context.line(as_json(used.params))


def _state(view: RoutineView) -> str:
    return f'{view.number} routine "{view.name}": running={str(view.is_running).lower()}'


COMMAND = Command(
    "routines",
    "make and run commands that run beside the policy",
    run,
    Options,
    (
        'routines -create statactions -config {"intervalms": 1000, "intervalcommand": ["date"]} -start',
        "routines -use 1 -stop",
    ),
)
