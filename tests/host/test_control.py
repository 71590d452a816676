"""The control loop with a mover that only takes notes, on live processes of the test's own."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from memtierd.control import Control
from memtierd.errors import MemtierdError
from memtierd.linux.proc import process_key
from memtierd.linux.roots import ROOTS
from memtierd.model import OUTCOMES, MachineFacts, MoveReport, Outcome, ProcessFacts, ProcessKey, ProcessScan, Scan
from memtierd.mover import Batch, MoverParams
from memtierd.policies.age import AgePolicy
from memtierd.reconcile import Reconciler
from memtierd.regions.lifecycle import PLACEMENT
from memtierd.watchers.poller import Membership
from tests.unit.reconcile_samples import age_policy
from tests.unit.regions.region_samples import MS, NODES, machine_of

DEADLINE_S = 20.0
REGION_PAGES = 16


class NotingMover:
    """Takes batches and gives back what it was given before, as the real one does with what it has not begun."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.forgotten: list[ProcessKey] = []
        self.post: Callable[[MoveReport], None] = lambda _report: None

    def replace(self, batches: Sequence[Batch]) -> None:
        for batch in self.batches:
            zeros = np.zeros((len(batch.start), OUTCOMES), np.uint64)
            self.post(MoveReport(batch.key, batch.target, batch.start, batch.pages, zeros, dropped=True))
        self.batches = list(batches)

    def conditions(self) -> tuple[str, ...]:
        return ()

    def forget(self, key: ProcessKey) -> None:
        self.forgotten.append(key)

    def finish(self, outcome: Outcome) -> None:
        """Report all pages of all batches with one outcome."""
        for batch in self.batches:
            outcomes = np.zeros((len(batch.start), OUTCOMES), np.uint64)
            outcomes[:, outcome] = batch.pages
            self.post(MoveReport(batch.key, batch.target, batch.start, batch.pages, outcomes))
        self.batches = []


class Stage:
    """A control loop with a clock that the test turns."""

    def __init__(self, policy: AgePolicy, *, dry_run: bool) -> None:
        self.now_ms = 1000
        self.mover = NotingMover()
        self.targets: list[tuple[ProcessKey, ...]] = []
        self.control = Control(
            Reconciler(policy, NODES, 0),
            self.mover,
            machine_of,
            lambda: self.now_ms * MS,
            ROOTS,
            dry_run=dry_run,
        )
        self.mover.post = self.control.post
        self.control.on_targets = self.targets.append
        self.control.start()

    def scan(self, key: ProcessKey, used: Sequence[bool], *, primed: bool = True) -> None:
        """Post a round that saw these regions used or not, all of them on node 0."""
        regions = len(used)
        node_pages = np.zeros((len(NODES), regions), np.uint32)
        node_pages[0] = REGION_PAGES
        facts = ProcessFacts(key, "test", frozenset(NODES), 0)
        start = np.arange(1, regions + 1, dtype=np.uint64) * np.uint64(REGION_PAGES << 12)
        accessed = np.array(used, np.uint32)
        at_ns = self.now_ms * MS
        process = ProcessScan(
            facts,
            at_ns,
            at_ns,
            start,
            np.full(regions, REGION_PAGES, np.uint32),
            accessed,
            np.zeros(regions, np.uint32),
            np.full(regions, primed),
            np.zeros(regions, np.uint32),
            node_pages,
        )
        self.control.post(Scan("fake", at_ns, at_ns, (process,)))

    def placement(self) -> list[str]:
        """Name the placement of every region, after everything that was posted before."""
        names = PLACEMENT.declaration.states
        return self.control.call(lambda reconciler: [names[code] for code in reconciler.table.placement])


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that does nothing."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def stages() -> Iterator[Callable[..., Stage]]:
    """Return a maker of stages that end with the test."""
    made: list[Stage] = []

    def make(*, dry_run: bool = False, **changes: object) -> Stage:
        made.append(Stage(age_policy(mover=MoverParams(), **changes), dry_run=dry_run))
        return made[-1]

    yield make
    for stage in made:
        stage.control.stop()


def watch(stage: Stage, child: "subprocess.Popen[bytes]") -> ProcessKey:
    key = process_key(child.pid)
    stage.control.watch(frozenset({key}))
    return key


def make_idle(stage: Stage, key: ProcessKey, regions: int = 3) -> None:
    """Let all regions be seen idle for longer than the policy's idle time."""
    stage.scan(key, [False] * regions, primed=False)
    stage.now_ms += 5000
    stage.scan(key, [False] * regions)
    stage.now_ms += 20_000
    stage.scan(key, [False] * regions)


def test_membership_announces_targets_once(stages: Callable[..., Stage], child: "subprocess.Popen[bytes]") -> None:
    stage = stages()
    key = watch(stage, child)
    watch(stage, child)
    assert stage.targets == [(key,)]
    stage.control.watch(frozenset())
    assert stage.targets == [(key,), ()]
    assert stage.mover.forgotten == [key]


def test_a_process_that_ends_is_forgotten_without_being_told(
    stages: Callable[..., Stage], child: "subprocess.Popen[bytes]"
) -> None:
    stage = stages()
    key = watch(stage, child)
    stage.scan(key, [True])
    assert len(stage.placement()) == 1
    child.kill()
    deadline = time.monotonic() + DEADLINE_S
    while stage.placement() and time.monotonic() < deadline:
        stage.now_ms += 1000
    assert stage.placement() == []
    assert stage.targets[-1] == ()


def test_a_scan_of_a_process_that_left_is_not_taken_in(
    stages: Callable[..., Stage], child: "subprocess.Popen[bytes]"
) -> None:
    stage = stages()
    key = watch(stage, child)
    stage.control.watch(frozenset())
    stage.scan(key, [True])
    assert stage.placement() == []


def test_a_tick_hands_idle_regions_to_the_mover(stages: Callable[..., Stage], child: "subprocess.Popen[bytes]") -> None:
    stage = stages()
    key = watch(stage, child)
    make_idle(stage, key)
    stage.control.tick_now()
    assert [(batch.key, batch.target, len(batch.start)) for batch in stage.mover.batches] == [(key, 2, 3)]
    assert stage.placement() == ["queued"] * 3
    stage.mover.finish(Outcome.MOVED)
    assert stage.placement() == ["unseen"] * 3


def test_the_next_tick_takes_back_what_was_not_begun(
    stages: Callable[..., Stage], child: "subprocess.Popen[bytes]"
) -> None:
    stage = stages()
    key = watch(stage, child)
    make_idle(stage, key)
    stage.control.tick_now()
    stage.now_ms += 5000
    stage.scan(key, [True, False, False])
    stage.control.tick_now()
    assert [batch.start.tolist() for batch in stage.mover.batches] == [[2 * REGION_PAGES << 12, 3 * REGION_PAGES << 12]]
    assert stage.placement() == ["settled", "queued", "queued"]


def test_no_more_is_queued_than_two_intervals_can_move(
    stages: Callable[..., Stage], child: "subprocess.Popen[bytes]"
) -> None:
    stage = stages(interval_ms=1)  # 100 MB/s move 51 pages in 2 ms
    key = watch(stage, child)
    make_idle(stage, key, regions=10)
    stage.control.tick_now()
    assert sum(batch.move_pages for batch in stage.mover.batches) == 3 * REGION_PAGES
    assert sorted(stage.placement()) == ["misplaced"] * 7 + ["queued"] * 3


def test_a_dry_run_tells_each_move_once_and_hands_nothing_over(
    stages: Callable[..., Stage], child: "subprocess.Popen[bytes]", caplog: pytest.LogCaptureFixture
) -> None:
    stage = stages(dry_run=True)
    logging.getLogger("memtierd").propagate = True
    key = watch(stage, child)
    make_idle(stage, key)
    with caplog.at_level(logging.INFO, "memtierd"):
        stage.control.tick_now()
        stage.control.tick_now()
    told = [record for record in caplog.records if record.getMessage().startswith("would move ")]
    assert len(told) == 1
    assert stage.mover.batches == []
    assert stage.placement() == ["misplaced"] * 3


def test_a_fault_in_one_step_does_not_end_the_loop(
    stages: Callable[..., Stage], child: "subprocess.Popen[bytes]"
) -> None:
    stage = stages()
    stage.control.post(Membership(None, ()))  # type: ignore[arg-type]
    assert stage.control.call(lambda reconciler: "control error: TypeError" in reconciler.statistics.events)
    assert watch(stage, child) == stage.targets[-1][0]


def test_ticks_that_take_longer_than_their_interval_let_all_messages_in(stages: Callable[..., Stage]) -> None:
    stage = stages()
    ticks, begun, go_on = [], threading.Event(), threading.Event()

    def slow_machine() -> MachineFacts:
        stage.now_ms += 10_000
        ticks.append(stage.now_ms)
        begun.set()
        assert go_on.wait(DEADLINE_S)
        return machine_of()

    stage.control._machine = slow_machine
    stage.control.tick_every(1000)
    stage.now_ms += 1000
    stage.control.count("first")
    assert begun.wait(DEADLINE_S)
    for number in range(50):
        stage.control.count(f"event {number}")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(stage.control.call(lambda _: len(ticks))))
    asking.start()
    deadline = time.monotonic() + DEADLINE_S
    while stage.control._inbox.qsize() <= 50:
        assert time.monotonic() < deadline
    go_on.set()
    asking.join()
    assert answers == [1]


def test_a_call_brings_back_what_was_raised(stages: Callable[..., Stage]) -> None:
    def refuse(_: Reconciler) -> None:
        raise MemtierdError("no")

    with pytest.raises(MemtierdError, match="no"):
        stages().control.call(refuse)


def test_a_call_that_is_not_answered_gives_up(stages: Callable[..., Stage]) -> None:
    stage = stages()
    release = threading.Event()
    waiting = threading.Thread(target=stage.control.call, args=(lambda _: release.wait(DEADLINE_S),))
    waiting.start()
    with pytest.raises(MemtierdError, match="no answer within"):
        stage.control.call(lambda _: None, timeout_s=0.05)
    release.set()
    waiting.join()


def test_many_processes_are_counted_and_not_named(
    stages: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(12)]
    try:
        stage = stages(idle_numas=(77,))
        with caplog.at_level(logging.INFO, logger="memtierd"):
            keys = [process_key(child.pid) for child in children]
            stage.control.watch(frozenset(keys))
            for key in keys:
                make_idle(stage, key, regions=1)
            stage.control.tick_now()
            stage.control.watch(frozenset(keys[:1]))
            stage.control.tick_now()
    finally:
        for child in children:
            child.kill()
            child.wait()
    told = caplog.messages
    assert [text for text in told if "tracking" in text] == ["tracking 12 processes", "no longer tracking 11 processes"]
    stays = [text for text in told if "stays where it is" in text and "no longer" not in text]
    assert [text.split(":")[0] for text in stays] == [
        "many processes (the command plan lists them)",
        f"pid {keys[0].pid} (test)",
    ]
