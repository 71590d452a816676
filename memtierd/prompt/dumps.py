"""The words behind `policy -dump`: what each of them prints."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from memtierd.errors import CommandError
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatParams
from memtierd.prompt import oom_dump
from memtierd.prompt import policy_dump as dump
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import UsageError
from memtierd.prompt.parts import as_json
from memtierd.prompt.tables import write_table, write_tables
from memtierd.units import parse_limit_pages

Print = Callable[[Context, Sequence[str], str], None]
"""Prints to the context; gets the arguments behind the word, and the format of tables."""


@attrs.frozen
class Dump:
    """One word."""

    arguments: str
    help: str
    show: Print


def run(context: Context, words: Sequence[str], style: str) -> None:
    """Print what the first word names, or explain all words where there is none."""
    if not words:
        context.lines(_usage())
        return
    found = DUMPS.get(words[0])
    if found is None:
        raise UsageError(f"unknown -dump {words[0]!r}, expected {', '.join(DUMPS)}; policy -dump explains them")
    if len(words) > 1 and not found.arguments:
        raise UsageError(f"-dump {words[0]}: unexpected argument {words[1]!r}")
    found.show(context, words[1:], style)


def params_of(context: Context) -> Any:
    """Return the parameters of the chosen policy.  Raises CommandError when there are none."""
    daemon = context.daemon
    if daemon.policy_name is None:
        raise CommandError("no policy, create one with: policy -create NAME")
    if daemon.policy_params is None:
        raise CommandError(
            f"the policy {daemon.policy_name} is not configured, configure it with: policy -config CONFIG"
        )
    return daemon.policy_params


def _usage() -> list[str]:
    lines = []
    for word, one in DUMPS.items():
        call = f"policy -dump {word} {one.arguments}".rstrip()
        lines += [f"{call:<25} {one.help}"] if len(call) < 26 else [call, f"{'':<25} {one.help}"]
    return lines


def _accessed(context: Context, words: Sequence[str], style: str) -> None:
    intervals = dump.parse_times(words[0]) if words else _configured(context, style)
    pids = dump.parse_pids(words[1:])
    now_ns = context.clock_ns()
    processes, now_ms = context.daemon.call(
        lambda reconciler: (dump.process_columns(reconciler, pids), reconciler.at_ms(now_ns))
    )
    missing = sorted(set(pids) - {process.pid for process in processes})
    write_table(context.out, dump.accessed(processes, now_ms, intervals), style)
    if missing:
        context.fail(f"-dump accessed: not tracked: pid {', '.join(map(str, missing))}")


def _configured(context: Context, style: str) -> list[dump.Interval]:
    params = params_of(context)
    if not isinstance(params, AgeParams):
        raise CommandError(
            "-dump accessed: only the age policy has durations of its own; give times such as 0,10s,1m,0"
        )
    if style == "txt":
        context.line(
            f"using limits from configuration: active {params.active_duration_ms} ms,"
            f" idle {params.idle_duration_ms} ms, swapout {params.swap_out_ms} ms"
        )
    return dump.configured_intervals(params)


def _heatmap(context: Context, _words: Sequence[str], _style: str) -> None:
    heatmap = dump.heatmap_of(params_of(context), "heatmap")
    context.lines(dump.heatmap_lines(context.daemon.call(dump.process_columns), heatmap))


def _heatgram(context: Context, words: Sequence[str], style: str) -> None:
    heatmap = dump.heatmap_of(params_of(context), "heatgram", dump.parse_classes(words))
    write_tables(context.out, dump.heatgram(context.daemon.call(dump.process_columns), heatmap), style)


def _numa(context: Context, _words: Sequence[str], style: str) -> None:
    params = params_of(context)
    totals = {node.node: node.total_pages for node in context.daemon.machine().nodes}
    limits = params.numa_size if isinstance(params, HeatParams) else {}
    limits_pages = {node: parse_limit_pages(limits[node], totals[node]) for node in limits if node in totals}
    write_table(
        context.out, context.daemon.call(lambda reconciler: oom_dump.numa_table(reconciler, limits_pages)), style
    )


def _forecast(context: Context, _words: Sequence[str], _style: str) -> None:
    forecaster = getattr(params_of(context), "forecaster", None)
    context.line("no forecaster" if forecaster is None else as_json(forecaster))


def _config(context: Context, _words: Sequence[str], _style: str) -> None:
    context.line(as_json(params_of(context)))


def _nodes(context: Context, _words: Sequence[str], _style: str) -> None:
    context.lines(oom_dump.node_lines(context.daemon.machine()))


def _status(context: Context, _words: Sequence[str], _style: str) -> None:
    context.line("online" if context.daemon.policy_running else "offline")


def _balance(context: Context, _words: Sequence[str], _style: str) -> None:
    context.line(context.daemon.call(lambda reconciler: oom_dump.balance(reconciler.policy)))


def _cands(context: Context, _words: Sequence[str], _style: str) -> None:
    context.lines(context.daemon.call(oom_dump.candidate_lines) or ["no candidates"])


def _summary(context: Context, _words: Sequence[str], _style: str) -> None:
    context.line(context.daemon.call(oom_dump.summary))


DUMPS: dict[str, Dump] = {
    "accessed": Dump(
        "[TIME,TIME[,TIME...] [PID[,PID...]]]",
        "memory by the time since its last access: between each two times; 0 as the last one means any time"
        " (default: the durations of the age policy)",
        _accessed,
    ),
    "heatmap": Dump("", "every region with its heat and class (heat policy)", _heatmap),
    "heatgram": Dump("[CLASSES]", "memory in each heat class (heat policy)", _heatgram),
    "numa": Dump("", "memory of each process on each node, and the limits of nodes", _numa),
    "forecast": Dump("", "the forecaster (heat policy)", _forecast),
    "config": Dump("", "the configuration as JSON", _config),
    "nodes": Dump("", "what is available of each node", _nodes),
    "status": Dump("", "whether the policy runs: online or offline", _status),
    "balance": Dump("", "how the nodes stand to their watermarks (avoid-oom policy)", _balance),
    "cands": Dump("", "what is to be moved off nodes that are short of memory (avoid-oom policy)", _cands),
    "summary": Dump("", "how many processes, regions and pages are managed", _summary),
}
