"""Batches, a context for work without a thread, and what was posted."""

from collections.abc import Sequence

import attrs
import numpy as np

from memtierd.model import OUTCOMES, CallReport, MoveReport, ProcessKey
from memtierd.mover import Batch
from memtierd.mover.conditions import Conditions
from memtierd.mover.params import MoverParams
from memtierd.mover.task import Ledger
from memtierd.mover.work import Context, Work
from memtierd.units import PAGE_BYTES
from tests.unit.mover.mover_fakes import BASE, KEY, FakeClock, FakeKernel


@attrs.define
class Recorder:
    """Everything the mover posted."""

    reports: list[MoveReport] = attrs.field(factory=list)
    calls: list[CallReport] = attrs.field(factory=list)

    def outcomes(self) -> list[int]:
        """Return pages by outcome over all reports."""
        total = np.zeros(OUTCOMES, np.uint64)
        for report in self.reports:
            total += report.outcomes.sum(axis=0, dtype=np.uint64)
        return [int(count) for count in total]

    def dropped_pages(self) -> int:
        """Return the pages reported as taken back."""
        return sum(int(report.pages.sum()) for report in self.reports if report.dropped)

    def errnos(self) -> dict[int, int]:
        """Return pages by errno over all reports."""
        total: dict[int, int] = {}
        for report in self.reports:
            for number, pages in report.errnos.items():
                total[number] = total.get(number, 0) + pages
        return total

    def page_reports(self) -> dict[int, int]:
        """Return how often each page (number) was reported."""
        times: dict[int, int] = {}
        for report in self.reports:
            for address, count in zip(report.start.tolist(), report.pages.tolist(), strict=True):
                for page in range(address // PAGE_BYTES, address // PAGE_BYTES + count):
                    times[page] = times.get(page, 0) + 1
        return times

    def check_sums(self) -> None:
        """Assert that the outcomes of every range add up to its pages, or to nothing when it was dropped."""
        for report in self.reports:
            expected = np.zeros_like(report.pages) if report.dropped else report.pages
            assert report.outcomes.sum(axis=1).tolist() == expected.tolist()
            assert report.outcomes.shape == (len(report.start), OUTCOMES)
            assert report.start.dtype == np.uint64
            assert report.pages.dtype == np.uint32


def batch_of(ranges: Sequence[tuple[int, int]], target: int, key: ProcessKey = KEY, **more: object) -> Batch:
    """Return a batch of ranges given as (first page after BASE, pages)."""
    start = np.array([BASE + first * PAGE_BYTES for first, _ in ranges], np.uint64)
    pages = np.array([count for _, count in ranges], np.uint32)
    return Batch(key, target, start, pages, int(pages.sum()), **more)  # type: ignore[arg-type]


def ledger_of(batch: Batch) -> Ledger:
    """Return an empty ledger of a whole batch."""
    return Ledger(batch.key, batch.target, batch.start, batch.pages)


def context_of(kernel: FakeKernel, recorder: Recorder, params: MoverParams | None = None) -> Context:
    """Return what work needs, with nobody stopping it."""
    stop = np.zeros(1, np.int32)
    return Context(kernel.port(), Conditions(), kernel.clock, recorder.calls.append, stop, params or MoverParams())


def run(work: Work, clock: FakeClock, chunk_pages: int) -> list[int]:
    """Step until every page has its outcome; return the pages asked for in each step."""
    asked = []
    while not work.done:
        clock.now_ns = max(clock.now_ns + 1, work.due_ns)
        asked.append(work.step(chunk_pages))
        assert len(asked) < 10_000, "the work comes to no end"
    return asked
