"""config: see what is in force and where it comes from, set values live, and read and write configuration files."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from memtierd.errors import CommandError
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import EDITS, FILE, FORMAT, SETTING, SWITCH
from memtierd.prompt.tables import Column, Table, from_rows, write_table
from memtierd.text import printable

if TYPE_CHECKING:
    from memtierd.config import Change, ConfigFile, Setting

COLUMNS = (
    Column("path", "path", "%-40s"),
    Column("value", "value", "%-30s"),
    Column("origin", "origin", "%s"),
)
DIFF_COLUMNS = (
    Column("path", "path", "%-40s"),
    Column("running", "running", "%-30s"),
    Column("file", "file", "%s"),
)


@attrs.frozen(kw_only=True)
class Options:
    """Options of config."""

    reload: bool = flag(
        SWITCH,
        "read the configuration file again and change over to it; a bad one changes nothing",
        default=False,
        changes=True,
    )
    set_: tuple[str, ...] = flag(
        EDITS,
        "set values while all goes on, checked as a whole; nothing behind = takes a value back to its default",
        default=(),
        changes=True,
    )
    diff: bool = flag(
        SWITCH, "print what -reload would change: what runs, and what the file says now", default=False, changes=False
    )
    save: str | None = flag(FILE, "write what is in force to a file that does not exist yet", changes=False)
    force: bool = flag(SWITCH, "with -save: also in place of a file, with its comments", default=False, changes=False)
    all_: bool = flag(SWITCH, "with -save: defaults, too", default=False, changes=False)
    path: str = flag(SETTING, "list only what is at this path and below; with -diff, too", default="", changes=False)
    f: str = flag(FORMAT, "format (default: txt)", default="txt", changes=False)


def run(context: Context, options: Options) -> None:
    """Take the actions that were asked for, in the order of the options; without any print all values."""
    if (options.force or options.all_) and options.save is None:
        raise UsageError(f"flag -{'force' if options.force else 'all'}: only together with -save")
    if options.reload:
        _say(context, context.daemon.reload(), options)
    if options.set_:
        _say(context, _edit(context, options.set_), options)
    if options.diff:
        _diff(context, options)
    if options.save is not None:
        _save(context, options.save, options)
    if not (options.reload or options.set_ or options.diff or options.save is not None):
        found = _table(context, options.path)
        if context.daemon.dry_run and options.f == "txt":
            context.line("dry run: nothing is moved")
        write_table(context.out, found, options.f)


def _edit(context: Context, texts: Iterable[str]) -> "list[Change]":
    from memtierd.config import parse_edits  # noqa: PLC0415  reading YAML costs start-up time that few commands need

    return context.daemon.edit([edit for text in texts for edit in parse_edits(text)])


def _say(context: Context, changed: "list[Change]", options: Options) -> None:
    if options.f != "txt":
        write_table(context.out, _changes_table(changed), options.f)
    else:
        context.lines([printable(str(change)) for change in changed] or ["nothing changed"])


def _diff(context: Context, options: Options) -> None:
    from memtierd.config import changes, read_file  # noqa: PLC0415

    file = read_file(_file(context).path)
    running = context.daemon.effective()
    goal = attrs.evolve(running, policy=file.config.policy, routines=file.config.routines)
    found = [change for change in changes(running, goal) if _is_at(change.path, options.path)]
    if options.f != "txt":
        write_table(context.out, _changes_table(found), options.f)
    else:
        context.lines([printable(str(change)) for change in found] or [f"what runs is what {file.path} says"])


def _file(context: Context) -> "ConfigFile":
    file = context.daemon.config_file
    if file is None:
        raise CommandError("no configuration file was loaded; start memtierd with: memtierd -config FILE")
    return file


def _save(context: Context, path: str, options: Options) -> None:
    from memtierd.config import Config, dump_yaml  # noqa: PLC0415

    running = context.daemon.effective()
    policy = running.policy
    if policy is None and not running.routines:
        raise CommandError("nothing to save: there is neither a policy nor a routine")
    if policy is not None and policy.params is None:
        raise CommandError(f"the policy {policy.name} is not configured, configure it with: policy -config CONFIG")
    config = Config(policy=policy, routines=running.routines)
    head = "" if options.all_ else "# Values that are not here have their defaults.\n"
    text = head + dump_yaml(config, sparse=not options.all_)
    context.caller.save_configuration(path, text, overwrite=options.force)
    context.line(f"saved to {printable(path)}")
    if running.tracker is not None or running.pidwatcher is not None:
        context.line("not saved: the tracker and the pidwatcher that belong to no policy")


def _table(context: Context, path: str) -> Table:
    from memtierd.config import effective_settings  # noqa: PLC0415

    found = effective_settings(context.daemon.effective(), context.daemon.config_file)
    chosen = [setting for setting in found if _is_at(setting.path, path)]
    if not chosen:
        raise CommandError(f"nothing is set at {path!r}; config lists what there is")
    return from_rows(COLUMNS, [_row(setting) for setting in chosen], "table: config")


def _row(setting: "Setting") -> tuple[str, str, str]:
    return setting.path, printable(setting.value), printable(setting.origin)


def _changes_table(changed: "list[Change]") -> Table:
    rows = [(one.path, printable(one.before or ""), printable(one.after or "")) for one in changed]
    return from_rows(DIFF_COLUMNS, rows, "table: changes")


def _is_at(path: str, prefix: str) -> bool:
    """Return whether a path is the prefix, in whatever spelling, or below it."""
    wanted = prefix.lower().replace("_", "").replace("-", "").rstrip(".")
    return not wanted or path == wanted or path.startswith(f"{wanted}.")


COMMAND = Command(
    "config",
    "see what is in force and where it comes from, set values live, reload and save",
    run,
    Options,
    (
        "config -path policy.tracker",
        "config -set policy.idledurationms=30000,policy.idlenumas=[2,3]",
        'config -set "policy.tracker={name: idlepage, config: {scanintervalms: 2000}}"',
        "config -diff",
        "config -save /etc/memtierd/tuned.yaml",
    ),
)
