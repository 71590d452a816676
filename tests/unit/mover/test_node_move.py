"""Pages on their way to a node: every one ends in exactly one outcome, whatever move_pages says or leaves unsaid."""

import errno

import pytest

from memtierd.model import MoveReport, Outcome
from memtierd.mover.node_move import NodeMove
from memtierd.mover.params import MoverParams
from memtierd.mover.task import Position
from memtierd.mover.work import Context, OpenFiles
from tests.unit.mover.mover_bench import Recorder, batch_of, context_of, ledger_of, run
from tests.unit.mover.mover_fakes import KEY, FakeClock, FakeKernel, FakeProcess, page, process_of


class Bench:
    """A node move over the pages of one process."""

    def __init__(self, process: FakeProcess, ranges: list[tuple[int, int]], target: int = 1) -> None:
        self.clock = FakeClock()
        self.process = process
        self.kernel = FakeKernel(self.clock, [process])
        self.recorder = Recorder()
        self.context: Context = context_of(self.kernel, self.recorder, MoverParams(busy_retries=2))
        self.files = OpenFiles(self.context.kernel, KEY)
        self.work = NodeMove(self.context, ledger_of(batch_of(ranges, target)), self.files)

    def run(self, chunk_pages: int = 100) -> dict[Outcome, int]:
        """Work to the end; return the outcomes that there were."""
        with self.files:
            run(self.work, self.clock, chunk_pages)
        assert not self.kernel.open, "descriptors stay open"
        self.report: MoveReport | None = self.work.ledger.take(self.work.complete_ranges)
        assert self.report is not None
        self.recorder.reports.append(self.report)
        self.recorder.check_sums()
        return {outcome: self.recorder.outcomes()[outcome] for outcome in Outcome if self.recorder.outcomes()[outcome]}


def test_pages_move_and_pages_that_are_there_or_absent_are_not_asked_for() -> None:
    bench = Bench(process_of([0, 0, 1, None, 0, -1]), [(0, 3), (3, 3)])
    assert bench.run() == {Outcome.MOVED: 3, Outcome.ALREADY_THERE: 1, Outcome.NOT_PRESENT: 2}
    assert bench.process.on(1) == 4
    (call,) = bench.recorder.calls
    assert (call.call, call.target, call.requested_pages, call.done_pages, call.returned) == ("move_pages", 1, 3, 3, 0)
    assert call.first_address == page(0) * 4096
    assert bench.recorder.errnos() == {}


def test_chunks_are_as_big_as_allowed() -> None:
    bench = Bench(process_of([0] * 50), [(0, 20), (20, 30)])
    with bench.files:
        assert run(bench.work, bench.clock, 16) == [16, 16, 16, 2]


def test_a_huge_page_moves_whole_also_when_it_is_more_than_a_chunk() -> None:
    process = process_of([0] * 600)
    process.huge[page(0)] = 512
    bench = Bench(process, [(0, 600)])
    assert bench.run(chunk_pages=256) == {Outcome.MOVED: 600}
    assert [call.requested_pages for call in bench.recorder.calls] == [512, 88]


def test_a_huge_page_in_two_ranges_is_counted_once_for_each_of_its_pages() -> None:
    process = process_of([0] * 8)
    process.huge[page(0)] = 8
    bench = Bench(process, [(0, 3), (3, 5)])
    assert bench.run() == {Outcome.MOVED: 8}


def test_busy_pages_are_tried_again_an_interval_later() -> None:
    process = process_of([0] * 4)
    process.busy = {page(1): 2}
    bench = Bench(process, [(0, 4)])
    before_ns = bench.clock.now_ns
    assert bench.run() == {Outcome.MOVED: 4}
    assert [call.requested_pages for call in bench.recorder.calls] == [4, 1, 1]
    assert bench.clock.now_ns - before_ns >= 2 * 10_000_000


def test_pages_that_stay_busy_end_as_busy_after_the_retries() -> None:
    process = process_of([0] * 4)
    process.busy = {page(1): 99}
    bench = Bench(process, [(0, 4)])
    assert bench.run() == {Outcome.MOVED: 3, Outcome.BUSY: 1}
    assert len(bench.recorder.calls) == 1 + 2
    assert bench.recorder.errnos() == {errno.EBUSY: 1}


def test_pages_without_a_status_are_looked_up() -> None:
    """One page of a group that can't be migrated hides what became of all others, and ends the call early."""
    process = process_of([0] * 6)
    process.pinned = {page(2)}
    bench = Bench(process, [(0, 6)])
    assert bench.run() == {Outcome.MOVED: 5, Outcome.BUSY: 1}
    first = bench.recorder.calls[0]
    assert (first.returned, first.done_pages) == (1, 5)


def test_a_call_that_ends_early_is_continued() -> None:
    process = process_of([0] * 6)
    process.pinned = {page(0)}
    process.shared = {page(3)}
    bench = Bench(process, [(0, 6)])
    assert bench.run() == {Outcome.MOVED: 4, Outcome.BUSY: 1, Outcome.DENIED: 1}


def test_pinned_memory_does_not_pile_up() -> None:
    """A process with pinned memory (of a device, say) has more pages that can't be moved than one call may take."""
    process = process_of([0] * 300)
    process.pinned = {page(index) for index in range(300)}
    bench = Bench(process, [(0, 300)])
    bench.kernel.move_ns = lambda _pages: 10_000_000
    waiting: list[int] = []
    bench.kernel.on_call = lambda _number: waiting.append(len(bench.work._waiting))
    assert bench.run(chunk_pages=16) == {Outcome.BUSY: 300}
    assert bench.kernel.largest_call_pages == 16
    assert max(waiting) <= 2 * 16
    assert sum(call.requested_pages for call in bench.recorder.calls) == 300 * (1 + 2)


def test_shared_pages_are_denied() -> None:
    process = process_of([0] * 3)
    process.shared = {page(1)}
    bench = Bench(process, [(0, 3)])
    assert bench.run() == {Outcome.MOVED: 2, Outcome.DENIED: 1}
    assert bench.recorder.errnos() == {errno.EACCES: 1}
    assert bench.recorder.calls[0].errnos == {errno.EACCES: 1}
    assert bench.context.conditions.messages() == ()


def test_a_node_outside_the_cpuset_ends_the_batch_with_one_call_and_is_said() -> None:
    process = process_of([0] * 30)
    process.allowed = frozenset({0})
    bench = Bench(process, [(0, 30)])
    assert bench.run(chunk_pages=10) == {Outcome.DENIED: 30}
    assert len(bench.recorder.calls) == 1
    (message,) = bench.context.conditions.messages()
    assert "EACCES" in message
    assert str(KEY.pid) in message


def test_a_full_node_ends_the_batch_when_a_chunk_made_no_progress_and_is_said() -> None:
    bench = Bench(process_of([0] * 100), [(0, 100)])
    bench.kernel.free[1] = 15
    assert bench.run(chunk_pages=10) == {Outcome.MOVED: 15, Outcome.TARGET_FULL: 85}
    assert len(bench.recorder.calls) == 3
    assert bench.recorder.errnos() == {errno.ENOMEM: 85}
    assert bench.work.target_full
    (message,) = bench.context.conditions.messages()
    assert "ENOMEM" in message


def test_what_moved_withdraws_the_condition() -> None:
    bench = Bench(process_of([0]), [(0, 1)])
    bench.context.conditions.target_full(1)
    bench.context.conditions.target_full(0)
    bench.context.conditions.outside_cpuset(KEY, 1)
    bench.run()
    assert len(bench.context.conditions.messages()) == 1


@pytest.mark.parametrize("mm_gone", [False, True], ids=["zombie or reaped", "no mm any more"])
def test_a_process_that_dies_on_the_way_is_gone_with_all_that_is_left(mm_gone: bool) -> None:
    process = process_of([0] * 30)
    bench = Bench(process, [(0, 12), (12, 18)])

    def die(number: int) -> None:
        if number == 2:
            process.alive = False
            process.mm_gone = mm_gone

    bench.kernel.on_call = die
    with bench.files:
        assert bench.work.step(10) == 10
        assert bench.work.step(10) == 10
        assert bench.work.done
    report = bench.work.ledger.take(2)
    assert report is not None
    assert report.outcomes[:, Outcome.MOVED].tolist() == [10, 0]
    assert report.outcomes[:, Outcome.PROCESS_GONE].tolist() == [2, 18]
    assert report.errnos == {errno.ESRCH: 20}


def test_an_exited_process_is_never_asked_by_its_pid() -> None:
    bench = Bench(process_of([0] * 30), [(0, 30)])
    with bench.files:
        bench.work.step(10)
        bench.process.alive = False
        with pytest.raises(ProcessLookupError):
            bench.work.step(10)
    assert bench.kernel.calls == 1


def test_einval_of_a_living_process_is_other() -> None:
    process = process_of([0] * 4)
    bench = Bench(process, [(0, 4)])

    def lose_memory(_number: int) -> None:
        process.mm_gone = True

    bench.kernel.on_call = lose_memory
    assert bench.run() == {Outcome.OTHER: 4}
    assert bench.recorder.errnos() == {errno.EINVAL: 4}
    assert bench.recorder.calls[0].returned == -errno.EINVAL
    assert bench.recorder.calls[0].errnos == {errno.EINVAL: 4}


def test_settling_early_ends_what_waits_and_leaves_the_rest() -> None:
    process = process_of([0] * 30)
    process.busy = {page(3): 99}
    bench = Bench(process, [(0, 5), (5, 25)])
    with bench.files:
        bench.work.step(10)
    assert bench.work.complete_ranges == 0
    bench.work.settle()
    assert bench.work.ledger.position == Position(1, 5)
    whole, begun = bench.work.ledger.take(bench.work.complete_ranges), bench.work.ledger.take_begun()
    assert whole is not None
    assert begun is not None
    assert whole.outcomes[:, [Outcome.MOVED, Outcome.BUSY]].tolist() == [[4, 1]]
    assert (begun.start.tolist(), begun.pages.tolist()) == ([page(5) * 4096], [5])
    assert begun.outcomes[0, Outcome.MOVED] == 5
