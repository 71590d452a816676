"""policy: choose, configure and run a policy, and print what it knows."""

import attrs

from memtierd import policies
from memtierd.errors import CommandError
from memtierd.prompt import dumps
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import FILE, FORMAT, REST, SWITCH, TEXT, name_of, one_of
from memtierd.prompt.parts import as_json, params_from_file, params_from_text

_DRY_RUN = attrs.evolve(one_of("dry run", "[on|off]", "on", "off"), form="`on` or `off`, or nothing", alone="which")


@attrs.frozen(kw_only=True)
class Options:
    """Options of policy."""

    ls: bool = flag(SWITCH, "list the policies that there are", default=False, changes=False)
    create: str | None = flag(name_of("policy"), "choose a policy; a running one stops", changes=True)
    config_file: str | None = flag(FILE, "configure it from a file with just its configuration", changes=True)
    config: str | None = flag(TEXT, "configure it with JSON or YAML", metavar="CONFIG", changes=True)
    dry_run: str | None = flag(
        _DRY_RUN,
        "on: show what would move and move nothing, run no routines; off: do both; alone: print which it is",
        changes=True,
    )
    start: bool = flag(SWITCH, "start it", default=False, changes=True)
    config_dump: bool = flag(SWITCH, "print the configuration as JSON", default=False, changes=False)
    stop: bool = flag(SWITCH, "stop it", default=False, changes=True)
    f: str = flag(FORMAT, "format of the tables of a -dump behind it (default: txt)", default="txt", changes=False)
    dump: tuple[str, ...] | None = flag(
        REST,
        f"print what it knows: {', '.join(dumps.DUMPS)}; alone: explain these",
        metavar="[WHAT [ARGS...]]",
        changes=False,
    )


def run(context: Context, options: Options) -> None:
    """Take the actions that were asked for, in the order of the options."""
    if options == Options():
        raise UsageError("nothing to do; policy -h lists the flags")
    daemon = context.daemon
    if options.ls:
        context.lines(sorted(policies.REGISTRY))
    if options.create is not None:
        daemon.create_policy(options.create)
        context.line("policy created")
    _configure(context, options)
    if options.dry_run is not None:
        _dry_run(context, options.dry_run)
    if options.start:
        _require(context)
        daemon.start_policy()
    if options.config_dump:
        context.line(as_json(dumps.params_of(context)))
    if options.stop:
        _require(context)
        daemon.stop_policy()
        context.line("policy stopped")
    if options.dump is not None:
        _require(context)
        dumps.run(context, options.dump, options.f)


def _configure(context: Context, options: Options) -> None:
    configure = context.daemon.configure_policy
    if options.config_file is not None:
        configure(params_from_file("policy", _require(context), options.config_file, context.caller))
    if options.config is not None:
        configure(params_from_text("policy", _require(context), options.config))


def _dry_run(context: Context, wanted: str) -> None:
    if wanted == "which":
        context.line(f"dry run: {'on' if context.daemon.dry_run else 'off'}")
    else:
        context.daemon.set_dry_run(wanted == "on")


def _require(context: Context) -> str:
    name = context.daemon.policy_name
    if name is None:
        raise CommandError("no policy, create one with: policy -create NAME")
    return name


COMMAND = Command(
    "policy",
    "choose and run a policy, and print what it knows",
    run,
    Options,
    (
        'policy -create age -config {"pids": [4242], "swapoutms": 60000} -start',
        "policy -dump accessed 0,5s,30s,10m,2h,24h,0",
        "policy -config-dump",
        "policy -dry-run on",
    ),
)
