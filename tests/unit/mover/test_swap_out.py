"""Pages on their way to swap: counted by looking, cut where huge pages begin, within the kernel's limits."""

import errno

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import SWAP_NODE, Outcome
from memtierd.mover.params import MoverParams
from memtierd.mover.swap_out import HUGE_PAGES, SwapOut, cut
from memtierd.mover.task import START, Position
from memtierd.mover.work import Context, OpenFiles
from memtierd.native import MAX_RANGES
from memtierd.units import PAGE_BYTES
from tests.unit.mover.mover_bench import Recorder, batch_of, context_of, ledger_of, run
from tests.unit.mover.mover_fakes import BASE, KEY, FakeClock, FakeKernel, FakeProcess, page, process_of


class Bench:
    """A swap out of the pages of one process."""

    def __init__(self, process: FakeProcess, ranges: list[tuple[int, int]], swap_free: int = 1 << 30) -> None:
        self.clock = FakeClock()
        self.process = process
        self.kernel = FakeKernel(self.clock, [process], swap_free)
        self.recorder = Recorder()
        self.context: Context = context_of(self.kernel, self.recorder, MoverParams(busy_retries=2))
        self.files = OpenFiles(self.context.kernel, KEY)
        self.work = SwapOut(self.context, ledger_of(batch_of(ranges, SWAP_NODE)), self.files)
        self.asked: list[int] = []

    def run(self, chunk_pages: int = 100) -> dict[Outcome, int]:
        """Work to the end; return the outcomes that there were."""
        with self.files:
            self.asked = run(self.work, self.clock, chunk_pages)
        assert not self.kernel.open, "descriptors stay open"
        report = self.work.ledger.take(self.work.complete_ranges)
        assert report is not None
        self.recorder.reports.append(report)
        self.recorder.check_sums()
        return {outcome: self.recorder.outcomes()[outcome] for outcome in Outcome if self.recorder.outcomes()[outcome]}


def test_present_pages_are_swapped_and_the_others_are_told_apart() -> None:
    bench = Bench(process_of([0, 0, 1, None, SWAP_NODE, 0]), [(0, 3), (3, 3)])
    assert bench.run() == {Outcome.MOVED: 4, Outcome.ALREADY_THERE: 1, Outcome.NOT_PRESENT: 1}
    assert bench.process.on(SWAP_NODE) == 5
    (call,) = bench.recorder.calls
    assert (call.call, call.target, call.requested_pages, call.done_pages) == ("process_madvise", SWAP_NODE, 6, 4)
    assert call.returned == 6 * PAGE_BYTES


def test_without_free_swap_nothing_is_asked_for_and_it_is_said() -> None:
    bench = Bench(process_of([0] * 20 + [None] * 10), [(0, 20), (20, 10)], swap_free=0)
    assert bench.run() == {Outcome.TARGET_FULL: 20, Outcome.NOT_PRESENT: 10}
    assert bench.recorder.calls == []
    assert bench.work.target_full
    assert len(bench.context.conditions.messages()) == 1


def test_swap_that_fills_up_ends_the_batch() -> None:
    bench = Bench(process_of([0] * 2000), [(0, 1000), (1000, 1000)], swap_free=700)
    assert bench.run(chunk_pages=512) == {Outcome.MOVED: 700, Outcome.TARGET_FULL: 1300}
    assert bench.process.on(SWAP_NODE) == 700
    assert sum(call.done_pages for call in bench.recorder.calls) == 700


def test_shared_pages_stay_and_are_busy() -> None:
    process = process_of([0] * 10)
    process.shared = {page(2), page(3)}
    assert Bench(process, [(0, 10)]).run() == {Outcome.MOVED: 8, Outcome.BUSY: 2}


def test_pages_that_stayed_are_tried_again_while_others_go() -> None:
    process = process_of([0] * 10)
    process.unswappable = {page(1): 1, page(2): 2}
    bench = Bench(process, [(0, 10)])
    assert bench.run() == {Outcome.MOVED: 10}
    assert [call.done_pages for call in bench.recorder.calls] == [8, 1, 1]


def test_tries_come_to_an_end() -> None:
    process = process_of([0] * 10)
    process.unswappable = {page(index): index for index in range(10)}
    bench = Bench(process, [(0, 10)])
    assert bench.run() == {Outcome.MOVED: 3, Outcome.BUSY: 7}
    assert len(bench.recorder.calls) == 1 + 2


def test_a_refused_range_does_not_keep_the_ones_behind_it() -> None:
    process = process_of([0] * 12)
    process.locked = {page(4)}
    bench = Bench(process, [(0, 4), (4, 4), (8, 4)])
    assert bench.run() == {Outcome.MOVED: 8, Outcome.OTHER: 4}
    assert bench.recorder.errnos() == {errno.EINVAL: 4}
    assert [call.returned for call in bench.recorder.calls] == [4 * PAGE_BYTES, -errno.EINVAL, 4 * PAGE_BYTES]
    assert sum(call.done_pages for call in bench.recorder.calls) == 8


def test_a_process_that_dies_is_gone_with_all_that_is_left() -> None:
    process = process_of([0] * 2000)
    bench = Bench(process, [(0, 700), (700, 1300)])
    with bench.files:
        bench.work.step(512)
        process.alive = False
        with pytest.raises(ProcessLookupError):
            bench.work.step(512)
    bench.work.end(Outcome.PROCESS_GONE, errno.ESRCH)
    report = bench.work.ledger.take(2)
    assert report is not None
    assert report.outcomes[:, Outcome.MOVED].tolist() == [512, 0]
    assert report.outcomes[:, Outcome.PROCESS_GONE].tolist() == [188, 1300]


def test_settling_early_counts_what_a_piece_to_be_tried_again_has_reached() -> None:
    process = process_of([0] * 10)
    process.unswappable = {page(1): 1}
    bench = Bench(process, [(0, 10)])
    with bench.files:
        bench.work.step(100)
    assert bench.work.ledger.position == START
    bench.work.settle()
    report = bench.work.ledger.take(1)
    assert report is not None
    assert report.outcomes[0, [Outcome.MOVED, Outcome.BUSY]].tolist() == [9, 1]


def test_holes_are_passed_in_a_few_looks_and_chunks_stay_small() -> None:
    bench = Bench(process_of([0] * 10 + [None] * 20_000 + [0] * 1000), [(0, 21_010)])
    assert bench.run(chunk_pages=256) == {Outcome.MOVED: 1010, Outcome.NOT_PRESENT: 20_000}
    assert max(bench.asked) <= HUGE_PAGES
    assert len(bench.asked) < 40


def test_a_piece_is_cut_at_huge_page_boundaries() -> None:
    start = np.array([BASE], np.uint64)
    pages = np.array([2000], np.uint32)
    ends, position = [], START
    while position.range_index < 1:
        piece = cut(start, pages, position, 700)
        position = piece.end
        ends.append(position)
    assert ends == [Position(0, 512), Position(0, 1024), Position(0, 1536), Position(1, 0)]


def test_a_limit_below_a_huge_page_takes_the_rest_of_one() -> None:
    start = np.array([BASE + 500 * PAGE_BYTES], np.uint64)
    pages = np.array([1000], np.uint32)
    first = cut(start, pages, START, 1)
    assert first.pages.tolist() == [12]
    assert cut(start, pages, first.end, 256).pages.tolist() == [512]


@given(
    gaps=st.lists(st.integers(0, 700), min_size=1, max_size=40),
    sizes=st.lists(st.integers(1, 1500), min_size=40, max_size=40),
    limit=st.integers(1, 3000),
)
def test_pieces_cover_every_page_once_within_the_limits(gaps: list[int], sizes: list[int], limit: int) -> None:
    sizes = sizes[: len(gaps)]
    first = np.cumsum([0, *sizes[:-1]]) + np.cumsum(gaps)
    start = (np.uint64(BASE) + first.astype(np.uint64) * np.uint64(PAGE_BYTES)).astype(np.uint64)
    pages = np.array(sizes, np.uint32)
    position, covered = START, np.zeros(len(sizes), np.uint64)
    while position.range_index < len(sizes):
        piece = cut(start, pages, position, limit)
        assert piece.first_range == position.range_index
        assert int(piece.pages.sum()) <= max(limit, HUGE_PAGES)
        assert len(piece.pages) <= MAX_RANGES
        assert (piece.pages > 0).all()
        covered[piece.first_range : piece.first_range + len(piece.pages)] += piece.pages
        if piece.end.page_index:
            at = int(start[piece.end.range_index]) // PAGE_BYTES + piece.end.page_index
            assert at % HUGE_PAGES == 0
        position = piece.end
    assert covered.tolist() == sizes


def test_many_small_ranges_are_at_most_1024_a_call() -> None:
    bench = Bench(process_of([0, None] * 1500), [(2 * index, 1) for index in range(1500)])
    assert bench.run(chunk_pages=65536) == {Outcome.MOVED: 1500}
    assert [call.requested_pages for call in bench.recorder.calls] == [1024, 476]
