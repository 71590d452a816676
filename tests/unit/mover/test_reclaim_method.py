"""Swapping out by memory.reclaim: the kernel chooses, memtierd asks once for each piece and counts by looking."""

import errno

import pytest

from memtierd.errors import KernelError, UnsupportedError
from memtierd.model import SWAP_NODE, Outcome
from memtierd.mover.params import MEMORY_RECLAIM, MoverParams
from memtierd.mover.swap_out import SwapOut
from memtierd.mover.work import OpenFiles
from tests.unit.mover.mover_bench import Recorder, batch_of, context_of, ledger_of, run
from tests.unit.mover.mover_fakes import KEY, FakeClock, FakeKernel, FakeProcess, page, process_of


class Bench:
    """A swap out of the first pages of one process."""

    def __init__(self, process: FakeProcess, pages: int, error: Exception | None = None) -> None:
        self.clock = FakeClock()
        self.process = process
        self.kernel = FakeKernel(self.clock, [process])
        self.kernel.reclaim_error = error
        self.recorder = Recorder()
        self.context = context_of(self.kernel, self.recorder, MoverParams(swap_method=MEMORY_RECLAIM))
        self.files = OpenFiles(self.context.kernel, KEY)
        self.work = SwapOut(self.context, ledger_of(batch_of([(0, pages)], SWAP_NODE)), self.files)

    def run(self) -> dict[Outcome, int]:
        """Work to the end; return the outcomes that there were."""
        with self.files:
            run(self.work, self.clock, 512)
        report = self.work.ledger.take(self.work.complete_ranges)
        assert report is not None
        self.recorder.reports.append(report)
        self.recorder.check_sums()
        return {outcome: count for outcome in Outcome if (count := self.recorder.outcomes()[outcome])}


def test_what_went_is_counted_by_looking() -> None:
    bench = Bench(process_of([0] * 600 + [SWAP_NODE] * 4 + [None] * 2), 606)
    assert bench.run() == {Outcome.MOVED: 600, Outcome.ALREADY_THERE: 4, Outcome.NOT_PRESENT: 2}
    assert [(call.call, call.done_pages) for call in bench.recorder.calls] == [
        (MEMORY_RECLAIM, 512),
        (MEMORY_RECLAIM, 88),
    ]


def test_what_the_kernel_takes_elsewhere_is_not_asked_for_again() -> None:
    process = process_of([0] * 20)
    process.coldness = {page(index): 1 for index in range(10, 20)}
    bench = Bench(process, 10)
    assert bench.run() == {Outcome.BUSY: 10}
    assert process.on(SWAP_NODE) == 10
    assert [call.done_pages for call in bench.recorder.calls] == [0]


def test_less_than_asked_for_is_normal() -> None:
    process = process_of([0] * 10)
    process.shared = {page(index) for index in range(4)}
    bench = Bench(process, 10)
    assert bench.run() == {Outcome.MOVED: 6, Outcome.BUSY: 4}
    assert bench.context.conditions.messages() == ()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_a_refusal_ends_the_segment(number: int) -> None:
    bench = Bench(process_of([0] * 4), 4, KernelError("write", number))
    with bench.files, pytest.raises(OSError, match="refused") as raised:
        bench.work.step(512)
    assert raised.value.errno == number


def test_a_group_without_the_file_is_said_once() -> None:
    bench = Bench(process_of([0] * 4), 4, UnsupportedError("no memory.reclaim"))
    for _ in range(2):
        with bench.files, pytest.raises(OSError, match="no memory") as raised:
            bench.work.step(512)
    assert raised.value.errno == errno.EOPNOTSUPP
    assert bench.context.conditions.messages() == ("no memory.reclaim",)
