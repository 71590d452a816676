"""The mover's thread and queue, and the commands that steer them from other threads."""

import enum
import errno
import threading
from collections import deque
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from memtierd.errors import KernelError
from memtierd.model import SWAP_NODE, CallReport, MoveReport, Outcome, ProcessKey
from memtierd.mover.conditions import Conditions
from memtierd.mover.kernel import MoverKernel
from memtierd.mover.lifecycle import Event, LifeCycle, State
from memtierd.mover.node_move import NodeMove
from memtierd.mover.pacing import Pacing
from memtierd.mover.params import MoverParams
from memtierd.mover.swap_out import SwapOut
from memtierd.mover.task import Batch, Ledger, Task, TaskView, dropped_report
from memtierd.mover.work import NS_PER_S, Context, OpenFiles, Work
from memtierd.native import Stop, outcome_of_errno

STOP_TIMEOUT_S = 0.5


class WaitResult(enum.Enum):
    """Why Mover.wait returned."""

    ALL_DONE = "AllDone"
    PAUSED = "Paused"
    STOPPED = "Stopped"
    TIMEOUT = "Timeout"


@attrs.define(eq=False)
class _Run:
    """One life of the thread, from start to stop; a thread that is slow to end can't be taken for the next one."""

    stop: Stop
    thread: threading.Thread | None = None


class Mover:
    """Moves batches of regions one after the other, the first queued first.

    Every command may come from any thread, is idempotent and returns without waiting for the mover's thread,
    save `wait` and the join in `stop`.  Reports are posted from the mover's thread, and from the commanding one
    for batches that were never begun, always without a lock held; `post_report` and `post_call` must not raise.

    `clock` gives monotonic nanoseconds; `wait` waits on a condition that is held, for seconds at most.
    """

    def __init__(
        self,
        params: MoverParams,
        kernel: MoverKernel,
        clock: Callable[[], int],
        post_report: Callable[[MoveReport], None],
        post_call: Callable[[CallReport], None],
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        self._kernel = kernel
        self._clock = clock
        self._post_report = post_report
        self._post_call = post_call
        self._wait = wait
        self._conditions = Conditions()
        self._changed = threading.Condition()
        # Everything below is only used with `_changed` held.
        self._params = params
        self._cycle = LifeCycle()
        self._run: _Run | None = None
        self._queue: deque[Task] = deque()
        self._current: Task | None = None
        self._full_targets: set[int] = set()

    @property
    def params(self) -> MoverParams:
        """Return the parameters in force."""
        with self._changed:
            return self._params

    @property
    def state(self) -> State:
        """Return what the mover does now."""
        with self._changed:
            return self._cycle.state

    def start(self) -> None:
        """Start working on what is queued."""
        with self._changed:
            if self._run is None:
                run = _Run(np.zeros(1, np.int32))
                run.thread = threading.Thread(target=self._main, args=(run,), name="mover", daemon=True)
                self._run = run
                run.thread.start()
            self._conditions.started()
            self._fire(Event.START)
            self._fire_work()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Drop all tasks and end the thread after the system call under way; return whether it ended in time."""
        with self._changed:
            run, self._run, self._current = self._run, None, None
            if run is not None:
                run.stop[0] = 1
            dropped = self._take_queue(lambda _: True)
            self._fire(Event.STOP)
        self._report_dropped(dropped)
        if run is None or run.thread is None or run.thread is threading.current_thread():
            return True
        run.thread.join(timeout_s)
        return not run.thread.is_alive()

    def pause(self) -> None:
        """Stop after the chunk in work and keep all tasks; without effect on a stopped mover."""
        with self._changed:
            self._fire(Event.PAUSE)

    def continue_(self) -> None:
        """Go on after a pause."""
        with self._changed:
            self._fire(Event.CONTINUE)
            self._fire_work()

    def reconfigure(self, params: MoverParams) -> None:
        """Take other parameters, from the next chunk on."""
        with self._changed:
            self._params = params
            self._changed.notify_all()

    def add(self, batch: Batch) -> None:
        """Queue a batch behind all others."""
        with self._changed:
            self._enqueue((batch,))

    def replace(self, batches: Sequence[Batch]) -> None:
        """Queue a new plan in place of the old one.

        What the old plan still had in the queue, and what the batch in work has left after its chunk, is
        reported as dropped; batches of the prompt stay.
        """
        with self._changed:
            dropped = self._take_queue(lambda task: task.from_plan)
            if self._current is not None and self._current.from_plan:
                self._current.cancelled = True
            self._full_targets.clear()
            self._enqueue(batches)
            self._changed.notify_all()
        self._report_dropped(dropped)

    def remove_task(self, index: int) -> bool:
        """Drop the task with this index in `tasks`; return False when there is none."""
        dropped: list[Task] = []
        with self._changed:
            tasks = self._tasks()
            if not 0 <= index < len(tasks):
                return False
            if tasks[index] is self._current:
                tasks[index].cancelled = True
            else:
                dropped = self._take_queue(lambda task: task is tasks[index])
            self._changed.notify_all()
        self._report_dropped(dropped)
        return True

    def tasks(self) -> list[TaskView]:
        """Return the tasks, the one in work first."""
        with self._changed:
            return [task.view() for task in self._tasks()]

    def wait(self, timeout_s: float | None = None) -> WaitResult:
        """Wait until nothing moves any more, at most `timeout_s`, and return why."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._cycle.state is not State.MOVING, timeout_s):
                return WaitResult.TIMEOUT
            return {
                State.IDLE: WaitResult.ALL_DONE,
                State.PAUSED: WaitResult.PAUSED,
                State.STOPPED: WaitResult.STOPPED,
            }[self._cycle.state]

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions that keep pages from moving, one line each."""
        return self._conditions.messages()

    def forget(self, key: ProcessKey) -> None:
        """Forget the conditions of a process that is no longer managed."""
        self._conditions.forget(key)

    # With `_changed` held.

    def _fire(self, event: Event) -> None:
        self._cycle.fire(event)
        self._changed.notify_all()

    def _fire_work(self) -> None:
        if self._queue or self._current is not None:
            self._fire(Event.WORK)

    def _enqueue(self, batches: Sequence[Batch]) -> None:
        self._queue.extend(Task(batch) for batch in batches if len(batch.start))
        self._fire_work()

    def _tasks(self) -> list[Task]:
        return [*([self._current] if self._current is not None else []), *self._queue]

    def _take_queue(self, chosen: Callable[[Task], bool]) -> list[Task]:
        taken = [task for task in self._queue if chosen(task)]
        self._queue = deque(task for task in self._queue if not chosen(task))
        return taken

    # Without it; from here on in the mover's thread.

    def _report_dropped(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._post(dropped_report(task.batch, task.position))

    def _post(self, report: MoveReport | None) -> None:
        if report is not None:
            self._post_report(report)

    def _main(self, run: _Run) -> None:
        pacing = Pacing(self.params, self._clock())
        try:
            while (task := self._next_task(run)) is not None:
                self._do(task, run, pacing)
        finally:
            # Only a bug leaves a run that was not stopped: nobody must wait for this thread then.
            with self._changed:
                crashed = self._run is run
            if crashed:
                self._conditions.crashed()
                self.stop()

    def _next_task(self, run: _Run) -> Task | None:
        with self._changed:
            while self._run is run:
                self._current = None
                if not self._queue:
                    self._fire(Event.DONE)
                elif self._cycle.state is not State.PAUSED:
                    self._current = self._queue.popleft()
                    return self._current
                self._changed.wait()
            return None

    def _do(self, task: Task, run: _Run, pacing: Pacing) -> None:
        try:
            with OpenFiles(self._kernel, task.batch.key) as files:
                while not task.done and self._do_segment(task, files, run, pacing):
                    pass
        finally:
            self._report_dropped([task])

    def _do_segment(self, task: Task, files: OpenFiles, run: _Run, pacing: Pacing) -> bool:
        """Work on the next ranges of a task; return False when it was stopped or cancelled."""
        first = task.position.range_index
        ledger = Ledger(task.batch.key, task.batch.target, *task.segment())
        context = Context(self._kernel, self._conditions, self._clock, self._post_call, run.stop, self.params)
        work: Work = (SwapOut if task.batch.target == SWAP_NODE else NodeMove)(context, ledger, files)
        if task.from_plan and self._is_full(task.batch.target):
            work.end(Outcome.TARGET_FULL)
        while not work.done and self._may_step(task, run, pacing, work):
            self._step(work, pacing)
            task.advance_to(first, ledger.position)
            self._post(ledger.take(work.complete_ranges))
        finished = work.done
        work.settle()
        task.advance_to(first, ledger.position)
        self._post(ledger.take(work.complete_ranges))
        self._post(ledger.take_begun())
        if work.target_full:
            self._note_full(task)
        return finished

    def _may_step(self, task: Task, run: _Run, pacing: Pacing, work: Work) -> bool:
        """Wait for the next chunk's time; return False when the task shall end here."""
        with self._changed:
            while self._run is run and not task.cancelled:
                pacing.configure(self._params)
                now_ns = self._clock()
                delay_ns = max(pacing.delay_ns(now_ns), work.due_ns - now_ns)
                if self._cycle.state is State.PAUSED:
                    self._changed.wait()
                elif delay_ns <= 0:
                    return True
                else:
                    self._wait(self._changed, delay_ns / NS_PER_S)
            return False

    def _step(self, work: Work, pacing: Pacing) -> None:
        try:
            pacing.spend(work.step(pacing.chunk_pages))
        except (OSError, KernelError) as error:
            refusal = error.errno or errno.EIO
            if refusal == errno.EPERM:
                self._conditions.not_permitted(work.ledger.key, work.ledger.target)
            if refusal != errno.ECANCELED:  # that is our own stop flag, seen next in _may_step
                work.end(outcome_of_errno(refusal), refusal)

    def _is_full(self, target: int) -> bool:
        with self._changed:
            return target in self._full_targets

    def _note_full(self, task: Task) -> None:
        """Spare the full target the rest of this plan; the next plan, and the prompt, try again."""
        with self._changed:
            if not task.cancelled:
                self._full_targets.add(task.batch.target)
