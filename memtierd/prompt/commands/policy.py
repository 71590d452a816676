"""policy: choose, configure and run a policy, and print what it knows."""

from collections.abc import Sequence
from typing import Any

import attrs

from memtierd import policies
from memtierd.errors import CommandError
from memtierd.policies.age import AgeParams
from memtierd.prompt import policy_dump as dump
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import FILE, REST, SWITCH, TEXT, name_of
from memtierd.prompt.parts import as_json, params_from_file, params_from_text
from memtierd.prompt.tables import write_table, write_tables


@attrs.frozen(kw_only=True)
class Options:
    """Options of policy."""

    ls: bool = flag(SWITCH, "list the policies that there are", default=False)
    create: str | None = flag(name_of("policy"), "choose a policy; a running one stops")
    config_file: str | None = flag(FILE, "configure it from a file with just its configuration")
    config: str | None = flag(TEXT, "configure it with JSON or YAML", metavar="CONFIG")
    start: bool = flag(SWITCH, "start it", default=False)
    config_dump: bool = flag(SWITCH, "print the configuration as JSON", default=False)
    stop: bool = flag(SWITCH, "stop it", default=False)
    dump: tuple[str, ...] | None = flag(
        REST,
        "print what it knows: accessed, heatmap, heatgram or forecast; alone: explain these",
        metavar="[WHAT [ARGS...]]",
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
    if options.config_file is not None:
        daemon.configure_policy(params_from_file("policy", _require(context), options.config_file))
    if options.config is not None:
        daemon.configure_policy(params_from_text("policy", _require(context), options.config))
    if options.start:
        _require(context)
        daemon.start_policy()
    if options.config_dump:
        context.line(as_json(_params(context)))
    if options.stop:
        _require(context)
        daemon.stop_policy()
        context.line("policy stopped")
    if options.dump is not None:
        _dump(context, options.dump)


def _require(context: Context) -> str:
    name = context.daemon.policy_name
    if name is None:
        raise CommandError("no policy, create one with: policy -create NAME")
    return name


def _params(context: Context) -> Any:
    name = _require(context)
    params = context.daemon.policy_params
    if params is None:
        raise CommandError(f"the policy {name} is not configured, configure it with: policy -config CONFIG")
    return params


def _dump(context: Context, words: Sequence[str]) -> None:
    _require(context)
    if not words:
        context.out.write(dump.USAGE)
        return
    what, arguments = words[0], words[1:]
    if what == "accessed":
        _dump_accessed(context, arguments)
    elif what == "heatmap":
        if arguments:
            raise UsageError(f"-dump heatmap: unexpected argument {arguments[0]!r}")
        heatmap = dump.heatmap_of(_params(context), what)
        context.lines(dump.heatmap_lines(context.daemon.call(dump.process_columns), heatmap))
    elif what == "forecast":
        forecaster = getattr(_params(context), "forecaster", None)
        context.line("no forecaster" if forecaster is None else as_json(forecaster))
    elif what == "heatgram":
        heatmap = dump.heatmap_of(_params(context), what, dump.parse_classes(arguments))
        write_tables(context.out, dump.heatgram(context.daemon.call(dump.process_columns), heatmap), "txt")
    else:
        raise UsageError(
            f"unknown -dump {what!r}, expected accessed, heatmap, heatgram or forecast; policy -dump explains them"
        )


def _dump_accessed(context: Context, words: Sequence[str]) -> None:
    intervals = dump.parse_times(words[0]) if words else _configured(context)
    pids = dump.parse_pids(words[1:])
    now_ns = context.clock_ns()
    processes, now_ms = context.daemon.call(
        lambda reconciler: (dump.process_columns(reconciler, pids), reconciler.at_ms(now_ns))
    )
    missing = sorted(set(pids) - {process.pid for process in processes})
    write_table(context.out, dump.accessed(processes, now_ms, intervals), "txt")
    if missing:
        context.fail(f"-dump accessed: not tracked: pid {', '.join(map(str, missing))}")


def _configured(context: Context) -> list[dump.Interval]:
    params = _params(context)
    if not isinstance(params, AgeParams):
        raise CommandError(
            "-dump accessed: only the age policy has durations of its own; give times such as 0,10s,1m,0"
        )
    context.line(
        f"using limits from configuration: active {params.active_duration_ms} ms,"
        f" idle {params.idle_duration_ms} ms, swapout {params.swap_out_ms} ms"
    )
    return dump.configured_intervals(params)


COMMAND = Command("policy", "choose and run a policy, and print what it knows", run, Options)
