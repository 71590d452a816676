"""mover: steer the part that moves memory, and move the selected pages by hand."""

import math
import time

import attrs

from memtierd.errors import CommandError
from memtierd.model import SWAP_NODE
from memtierd.mover import Batch, Mover, TaskView, WaitResult
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import COUNT, DURATION, NODE, SWITCH, TEXT
from memtierd.prompt.parts import as_json, params_from_text

_STEP_S = 0.2


@attrs.frozen(kw_only=True)
class Options:
    """Options of mover."""

    config: str | None = flag(TEXT, "take other parameters: interval_ms, bandwidth, ...", metavar="JSON", changes=True)
    config_dump: bool = flag(SWITCH, "print the parameters in force as JSON", default=False, changes=False)
    pages_to: int | None = flag(NODE, "move the pages that the last pages command selected to a node", changes=True)
    stop: bool = flag(SWITCH, "drop all tasks and stop", default=False, changes=True)
    start: bool = flag(SWITCH, "start working on tasks", default=False, changes=True)
    pause: bool = flag(SWITCH, "keep the tasks but do nothing", default=False, changes=True)
    continue_: bool = flag(SWITCH, "go on after a pause", default=False, changes=True)
    tasks: bool = flag(SWITCH, "list the tasks, the one in work first", default=False, changes=False)
    remove_task: int | None = flag(COUNT, "drop the task with this number in -tasks", metavar="INDEX", changes=True)
    wait: bool = flag(SWITCH, "wait until everything is moved, or the mover is paused", default=False, changes=False)
    timeout: float | None = flag(DURATION, "let -wait give up after this time, such as 30s", changes=False)


def run(context: Context, options: Options) -> None:
    """Take the actions that were asked for, in the order of the options."""
    if options == Options():
        raise UsageError("nothing to do; mover -h lists the flags")
    if options.timeout is not None and not options.wait:
        raise UsageError("flag -timeout: only together with -wait")
    mover = context.daemon.mover
    if options.config is not None:
        context.daemon.configure_mover(params_from_text("mover", "", options.config))
    if options.config_dump:
        context.line(as_json(mover.params))
    if options.pages_to is not None:
        _move_selected(context, options.pages_to)
    _steer(mover, options)
    if options.tasks:
        context.lines(f"{number:<8d} {_task_text(task)}" for number, task in enumerate(mover.tasks()))
    if options.remove_task is not None and not mover.remove_task(options.remove_task):
        raise CommandError(f"there is no task {options.remove_task}; mover -tasks lists the tasks")
    if options.wait:
        _wait(context, options.timeout)


def _steer(mover: Mover, options: Options) -> None:
    if options.stop and not mover.stop():
        raise CommandError("stop the mover: a system call is still under way; it ends with that call")
    if options.start:
        mover.start()
    if options.pause:
        mover.pause()
    if options.continue_:
        mover.continue_()


def _move_selected(context: Context, node: int) -> None:
    selection = context.memory.selection
    if selection is None:
        raise CommandError("no pages are selected, select some with: pages -pid PID")
    online = context.daemon.machine().node_ids
    if node not in online:
        known = ", ".join(map(str, online))
        raise CommandError(f"move pages to node {node}: it is not online with memory; these are: {known}")
    _refuse_dry_run(context)
    mover = context.daemon.mover
    mover.start()
    mover.add(Batch(selection.key, node, selection.start, selection.pages, selection.total_pages, "prompt"))


def _refuse_dry_run(context: Context) -> None:
    if context.daemon.dry_run:
        raise CommandError("dry run: nothing is moved; end the dry run with: policy -dry-run off")


def _task_text(task: TaskView) -> str:
    following = "N/A" if task.next_address is None else f"{task.next_address:x}"
    target = "swap" if task.target == SWAP_NODE else f"node{task.target}"
    progress = f"page: {task.done_pages} out of {task.total_pages}"
    return f"MoverTask{{pid: {task.pid}, next: {following}, {progress}, dest: [{target}]}}"


def _wait(context: Context, timeout_s: float | None) -> None:
    result = _patiently(context, timeout_s)
    if result is WaitResult.TIMEOUT:
        raise CommandError(f"wait for the mover: not done within {timeout_s:g} s")
    if result is WaitResult.STOPPED and context.daemon.mover.tasks():
        raise CommandError("wait for the mover: it is stopped and has tasks, start it with: mover -start")
    context.line(f"mover wait received: {result.value}")


def _patiently(context: Context, timeout_s: float | None) -> WaitResult:
    """Wait for the mover in steps, between which the caller may give up."""
    deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = deadline_s - time.monotonic()
        result = context.daemon.mover.wait(max(0.0, min(_STEP_S, left_s)))
        if result is not WaitResult.TIMEOUT or left_s <= _STEP_S:
            return result
        context.caller.check()


COMMAND = Command(
    "mover",
    "steer the mover, and move selected pages",
    run,
    Options,
    ("mover -pages-to 1", "mover -wait -timeout 30s", 'mover -config {"bandwidth": 200} -config-dump', "mover -tasks"),
)
