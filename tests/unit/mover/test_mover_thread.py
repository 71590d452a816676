"""The mover's queue, thread and commands, on a kernel in memory and a clock that only the mover moves."""

import errno
import itertools
import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd.model import SWAP_NODE, MoveReport, Outcome, ProcessKey
from memtierd.mover import Batch, Mover, MoverParams, TaskView, WaitResult
from memtierd.mover.lifecycle import State
from memtierd.units import MIB, PAGE_BYTES
from tests.unit.mover.mover_bench import Recorder, batch_of
from tests.unit.mover.mover_fakes import BASE, KEY, FakeClock, FakeKernel, FakeProcess, page, process_of

OTHER_KEY = ProcessKey(4243, 778)
DEADLINE_S = 20.0
"""Only how long a broken test hangs: nothing here waits for time to pass."""


class Bench:
    """A mover over fake processes; `gate` may hold it inside a system call."""

    def __init__(self, *processes: FakeProcess, params: MoverParams | None = None, swap_free: int = 1 << 30) -> None:
        self.clock = FakeClock()
        self.kernel = FakeKernel(self.clock, processes, swap_free)
        self.recorder = Recorder()
        self.mover = Mover(
            params or MoverParams(),
            self.kernel.port(),
            self.clock,
            self.recorder.reports.append,
            self.recorder.calls.append,
            self.clock.wait,
        )

    def hold_at_call(self, number: int) -> tuple[threading.Event, threading.Event]:
        """Return events: set when the mover is inside that call, and to be set to let it go on."""
        inside, go_on = threading.Event(), threading.Event()

        def hold(call: int) -> None:
            if call == number:
                inside.set()
                assert go_on.wait(DEADLINE_S)

        self.kernel.on_call = hold
        return inside, go_on

    def finish(self) -> None:
        """Wait until all is done and stop."""
        assert self.mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
        assert self.mover.stop(DEADLINE_S)
        assert not self.kernel.open, "descriptors stay open"
        self.recorder.check_sums()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(process_of([0] * 2000), process_of([0] * 2000, OTHER_KEY))
    yield made
    made.mover.stop(DEADLINE_S)


def test_batches_are_worked_on_in_the_order_they_came(bench: Bench) -> None:
    bench.mover.add(batch_of([(0, 500)], 1))
    bench.mover.add(batch_of([(0, 500)], 1, OTHER_KEY))
    bench.mover.add(batch_of([(500, 500)], SWAP_NODE))
    bench.mover.start()
    bench.finish()
    assert [report.key for report in bench.recorder.reports] == [KEY, OTHER_KEY, KEY]
    assert bench.recorder.outcomes()[Outcome.MOVED] == 1500
    assert bench.recorder.dropped_pages() == 0


def test_finished_ranges_are_reported_while_the_batch_goes_on(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(3)
    bench.mover.add(batch_of([(0, 256), (256, 256), (512, 1000)], 1))
    bench.mover.start()
    assert inside.wait(DEADLINE_S)
    assert [report.start.tolist() for report in bench.recorder.reports] == [[BASE], [BASE + 256 * PAGE_BYTES]]
    go_on.set()
    bench.finish()


def test_the_configured_bandwidth_is_reached(bench: Bench) -> None:
    bench.kernel.move_ns = lambda pages: 4_000_000
    before_ns = bench.clock.now_ns
    bench.mover.add(batch_of([(0, 2000)], 1))
    bench.mover.start()
    bench.finish()
    seconds = (bench.clock.now_ns - before_ns) / 1e9
    # The first chunk isn't waited for.
    assert (2000 - 256) * PAGE_BYTES / MIB / seconds == pytest.approx(100, rel=0.1)
    assert bench.kernel.largest_call_pages == 256


def test_waiting_for_a_mover_that_was_never_started_returns_at_once(bench: Bench) -> None:
    bench.mover.add(batch_of([(0, 10)], 1))
    assert bench.mover.wait() is WaitResult.STOPPED


def test_waiting_has_an_end(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(1)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 10)], 1))
    assert inside.wait(DEADLINE_S)
    assert bench.mover.wait(0) is WaitResult.TIMEOUT
    go_on.set()
    bench.finish()


def test_commands_may_come_any_number_of_times(bench: Bench) -> None:
    for command in (bench.mover.pause, bench.mover.continue_, bench.mover.stop):
        for _ in range(20):
            command()
    assert [bench.mover.state] == [State.STOPPED]
    for _ in range(20):
        bench.mover.start()
    for _ in range(20):
        bench.mover.pause()
    assert [bench.mover.state] == [State.PAUSED]
    assert bench.mover.wait(DEADLINE_S) is WaitResult.PAUSED
    for _ in range(20):
        bench.mover.continue_()
    assert bench.mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert sum(thread.name == "mover" for thread in threading.enumerate()) == 1


def test_a_pause_keeps_tasks_and_continuing_finishes_them(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(2)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 1000)], 1))
    assert inside.wait(DEADLINE_S)
    bench.mover.pause()
    go_on.set()
    assert bench.mover.wait(DEADLINE_S) is WaitResult.PAUSED
    assert len(bench.mover.tasks()) == 1
    bench.mover.continue_()
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.MOVED] == 1000
    assert bench.recorder.dropped_pages() == 0


def test_tasks_show_the_one_in_work_first_and_how_far_it_is(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(2)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 1000)], 1))
    bench.mover.add(batch_of([(0, 7)], SWAP_NODE, OTHER_KEY))
    assert inside.wait(DEADLINE_S)
    assert bench.mover.tasks() == [
        TaskView(KEY.pid, BASE + 256 * PAGE_BYTES, 256, 1000, 1),
        TaskView(OTHER_KEY.pid, BASE, 0, 7, SWAP_NODE),
    ]
    go_on.set()
    bench.finish()
    assert bench.mover.tasks() == []


def test_a_removed_task_is_reported_as_dropped(bench: Bench) -> None:
    bench.mover.add(batch_of([(0, 10)], 1))
    bench.mover.add(batch_of([(10, 20)], 1))
    assert bench.mover.remove_task(1)
    assert not bench.mover.remove_task(1)
    assert not bench.mover.remove_task(-1)
    assert [(report.dropped, report.pages.tolist()) for report in bench.recorder.reports] == [(True, [20])]
    bench.mover.start()
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.MOVED] == 10


def test_the_task_in_work_can_be_removed(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(2)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 300), (300, 700)], 1))
    assert inside.wait(DEADLINE_S)
    assert bench.mover.remove_task(0)
    go_on.set()
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.MOVED] == 512
    assert bench.recorder.dropped_pages() == 488
    assert set(bench.recorder.page_reports().values()) == {1}


def test_a_new_plan_replaces_the_old_one_and_keeps_the_prompts_tasks(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(1)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 100), (100, 900)], 1))
    assert inside.wait(DEADLINE_S)
    bench.mover.add(batch_of([(1000, 50)], 1))
    bench.mover.add(batch_of([(0, 30)], 1, OTHER_KEY, source="prompt"))
    bench.mover.replace([batch_of([(100, 900)], 1)])
    assert [(report.dropped, report.pages.tolist()) for report in bench.recorder.reports] == [(True, [50])]
    go_on.set()
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.MOVED] == 1000 + 30
    assert bench.recorder.dropped_pages() == 50 + (1000 - 256)
    done = [report for report in bench.recorder.reports if not report.dropped]
    assert [report.key for report in done] == [KEY, KEY, OTHER_KEY, KEY]
    assert done[0].pages.tolist() == [100]
    assert (done[1].start.tolist(), done[1].pages.tolist()) == ([BASE + 100 * PAGE_BYTES], [156])


def test_stopping_drops_everything_and_starting_again_works(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(2)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 1000)], 1))
    bench.mover.add(batch_of([(1000, 500)], 1))
    assert inside.wait(DEADLINE_S)
    assert not bench.mover.stop(timeout_s=0)
    assert bench.mover.state is State.STOPPED
    assert bench.mover.wait() is WaitResult.STOPPED
    bench.mover.start()
    go_on.set()
    bench.mover.add(batch_of([(0, 2000)], 1, OTHER_KEY))
    bench.finish()
    for thread in threading.enumerate():
        if thread.name == "mover":
            thread.join(DEADLINE_S)
    mine = [report for report in bench.recorder.reports if report.key == KEY]
    assert sum(int(report.pages.sum()) for report in mine if report.dropped) == 500 + 1000 - 512
    assert bench.kernel.processes[KEY].on(1) == 512
    assert bench.kernel.processes[OTHER_KEY].on(1) == 2000


def test_other_parameters_hold_for_the_task_in_work(bench: Bench) -> None:
    inside, go_on = bench.hold_at_call(1)
    bench.mover.start()
    bench.mover.add(batch_of([(0, 2000)], 1))
    assert inside.wait(DEADLINE_S)
    bench.mover.reconfigure(MoverParams(bandwidth=400))
    assert bench.mover.params.bandwidth == 400
    go_on.set()
    bench.finish()
    assert [call.requested_pages for call in bench.recorder.calls] == [256, 1024, 720]


def test_a_process_that_is_gone_is_an_outcome(bench: Bench) -> None:
    bench.kernel.processes[KEY].alive = False
    bench.mover.start()
    bench.mover.add(batch_of([(0, 100), (100, 50)], 1))
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.PROCESS_GONE] == 150
    assert bench.recorder.calls == []


def test_a_node_that_is_not_online_is_an_outcome(bench: Bench) -> None:
    bench.mover.start()
    bench.mover.add(batch_of([(0, 100)], 7))
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.OTHER] == 100


def test_a_full_node_is_spared_until_the_next_plan() -> None:
    bench = Bench(process_of([0] * 2000), process_of([0] * 2000, OTHER_KEY))
    bench.kernel.free[1] = 0
    bench.mover.replace([batch_of([(0, 1000)], 1), batch_of([(0, 1000)], 1, OTHER_KEY)])
    bench.mover.start()
    assert bench.mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert bench.recorder.outcomes()[Outcome.TARGET_FULL] == 2000
    assert bench.kernel.calls == 1
    assert len(bench.mover.conditions()) == 1
    bench.mover.add(batch_of([(0, 10)], 1, source="prompt"))
    assert bench.mover.wait(DEADLINE_S) is WaitResult.ALL_DONE
    assert bench.kernel.calls == 2
    bench.kernel.free[1] = 10_000
    bench.mover.replace([batch_of([(0, 1000)], 1)])
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.MOVED] == 1000
    assert bench.mover.conditions() == ()


def test_conditions_of_a_process_are_forgotten_with_it(bench: Bench) -> None:
    bench.kernel.processes[KEY].allowed = frozenset({0})
    bench.mover.start()
    bench.mover.add(batch_of([(0, 100)], 1))
    bench.finish()
    assert len(bench.mover.conditions()) == 1
    bench.mover.forget(KEY)
    assert bench.mover.conditions() == ()


@pytest.mark.parametrize(("call", "target"), [("page_out", SWAP_NODE), ("move_pages", 1)])
def test_lack_of_permission_is_a_condition(monkeypatch: pytest.MonkeyPatch, call: str, target: int) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EPERM, "")

    with monkeypatch.context() as patched:
        patched.setattr(FakeKernel, call, refuse)
        refused = Bench(process_of([0] * 100))
        refused.mover.start()
        refused.mover.add(batch_of([(0, 100)], target))
        refused.finish()
    assert [("EPERM" in text, "pid 4242" in text) for text in refused.mover.conditions()] == [(True, True)]
    refused.mover.forget(KEY)
    assert refused.mover.conditions() == ()
    refused.mover.stop()


def test_a_batch_of_more_ranges_than_a_segment_is_done_whole() -> None:
    bench = Bench(process_of([0] * 3000))
    bench.mover.start()
    bench.mover.add(batch_of([(index, 1) for index in range(3000)], 1))
    bench.finish()
    assert bench.recorder.outcomes()[Outcome.MOVED] == 3000
    assert set(bench.recorder.page_reports().values()) == {1}


def test_a_bug_in_the_thread_is_raised_and_leaves_nobody_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: queue.SimpleQueue[type[BaseException]] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda unhandled: raised.put(unhandled.exc_type))

    def bug(_number: int) -> None:
        raise ZeroDivisionError

    bench.kernel.on_call = bug
    bench.mover.start()
    bench.mover.add(batch_of([(0, 100)], 1))
    bench.mover.add(batch_of([(100, 100)], 1))
    assert bench.mover.wait(DEADLINE_S) is WaitResult.STOPPED
    assert raised.get(timeout=DEADLINE_S) is ZeroDivisionError
    assert bench.mover.tasks() == []
    assert not bench.kernel.open, "descriptors stay open"
    assert bench.recorder.dropped_pages() == 200
    assert len(bench.mover.conditions()) == 1
    bench.mover.start()
    assert bench.mover.conditions() == ()


PLACES = st.sampled_from([0, 0, 0, 0, 1, None, SWAP_NODE])


@st.composite
def troubled_processes(draw: st.DrawFn) -> FakeProcess:
    """Return a process of 60 pages with everything that can go wrong."""
    process = process_of(draw(st.lists(PLACES, min_size=60, max_size=60)))
    some_pages = st.sets(st.integers(0, 59).map(page), max_size=6)
    counts = st.dictionaries(st.integers(0, 59).map(page), st.integers(1, 5), max_size=6)
    process.shared = draw(some_pages)
    process.pinned = draw(some_pages)
    process.locked = draw(some_pages)
    process.busy = draw(counts)
    process.unswappable = draw(counts)
    if draw(st.booleans()):
        head = draw(st.integers(0, 51))
        process.huge = {page(head): 8}
        process.places.update({page(head + offset): process.places[page(head)] for offset in range(8)})
    process.allowed = draw(st.sampled_from([frozenset({0, 1}), frozenset({0, 1}), frozenset({0})]))
    return process


def deed(bench: Bench, process: FakeProcess, what: str) -> Callable[[], object]:
    """Return something that happens while the mover works."""

    def die() -> None:
        process.alive = False

    return {
        "nothing": lambda: None,
        "die": die,
        "replace": lambda: bench.mover.replace([]),
        "remove": lambda: bench.mover.remove_task(0),
    }[what]


@settings(max_examples=150, deadline=None)
@given(
    process=troubled_processes(),
    cuts=st.lists(st.integers(1, 15), min_size=1, max_size=8),
    target=st.sampled_from([0, 1, SWAP_NODE]),
    max_call_pages=st.integers(1, 40),
    free=st.sampled_from([0, 5, 1000]),
    what=st.sampled_from(["nothing", "nothing", "die", "replace", "remove"]),
    at_call=st.integers(1, 6),
)
def test_every_page_asked_for_ends_in_exactly_one_way(
    process: FakeProcess, cuts: list[int], target: int, max_call_pages: int, free: int, what: str, at_call: int
) -> None:
    bench = Bench(process, params=MoverParams(max_call_pages=max_call_pages, busy_retries=2), swap_free=free)
    bench.kernel.free[1] = free
    happens = deed(bench, process, what)
    bench.kernel.on_call = lambda number: happens() if number == at_call else None  # calls come from the mover's thread
    edges = [edge for edge in np.cumsum([0, *cuts]).tolist() if edge <= 60]
    batch: Batch = batch_of([(edge, end - edge) for edge, end in itertools.pairwise(edges)], target)
    before = process.on(target)
    bench.mover.replace([batch])
    bench.mover.start()
    bench.finish()
    reports: list[MoveReport] = bench.recorder.reports
    assert bench.recorder.page_reports() == {page(index): 1 for index in range(edges[-1])}
    outcomes = bench.recorder.outcomes()
    assert sum(outcomes) + bench.recorder.dropped_pages() == edges[-1]
    if not process.huge and what != "die":
        assert outcomes[Outcome.MOVED] == process.on(target) - before
    assert all(not report.errnos for report in reports if report.dropped)
