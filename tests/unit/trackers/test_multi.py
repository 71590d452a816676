"""The multi tracker: who looks when, what is known after each round, and what becomes of failures."""

import errno
from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs
import pytest

from memtierd.config import load_text
from memtierd.errors import ConfigError, KernelError, MemtierdError, UnsupportedError
from memtierd.model import ProcessKey, ProcessScan, Scan
from memtierd.parameters import Part
from memtierd.policies.age import AgeParams, AgePolicy
from memtierd.reconcile import Reconciler
from memtierd.regions.history import active_ms, idle_ms
from memtierd.trackers.build import REGISTRY, build
from memtierd.trackers.members import disturbances, members_of
from memtierd.trackers.multi import MultiTracker
from memtierd.trackers.params import FinderParams, IdlePageParams, MultiParams, ReferencedParams, SoftDirtyParams
from memtierd.trackers.tracker import ScanStoppedError, StopFlag, Tracker
from memtierd.units import PAGE_BYTES
from tests.unit.trackers.tracker_fakes import BASE_PAGE, FakeKernel, FakeProcess, fake_features, mapping

KEY, OTHER = ProcessKey(7, 700), ProcessKey(8, 800)
MS = 1_000_000
S = 1000 * MS
READ, WRITTEN, IDLE, BOTH = range(4)
"""The regions of the process, of eight pages each."""

IDLEPAGE = Part("idlepage", IdlePageParams(pages_in_region=8, scan_interval_ms=20_000, regions_update_ms=0))
SOFTDIRTY = Part("softdirty", SoftDirtyParams(pages_in_region=8, scan_interval_ms=5_000, regions_update_ms=0))


@pytest.fixture
def process() -> FakeProcess:
    return FakeProcess([mapping(0, 32)])


@pytest.fixture
def kernel(process: FakeProcess) -> FakeKernel:
    return FakeKernel({7: process})


def multi(kernel: FakeKernel, *parts: Part) -> MultiTracker:
    features = fake_features("idlepage", "softdirty", "referenced", "pagemap_pfn")
    made = build("multi", MultiParams(trackers=parts), kernel, features)
    assert isinstance(made, MultiTracker)
    return made


def scan_one(tracker: MultiTracker) -> ProcessScan:
    scan = tracker.scan([KEY], StopFlag())
    assert (scan.gone, scan.failed) == ((), ())
    (found,) = scan.processes
    return found


def firsts(scan: ProcessScan) -> list[tuple[int, int]]:
    return [
        (start // PAGE_BYTES - BASE_PAGE, pages)
        for start, pages in zip(scan.start.tolist(), scan.pages.tolist(), strict=True)
    ]


def let_pass(kernel: FakeKernel, tracker: MultiTracker) -> None:
    """Go to when the tracker wants its next round."""
    kernel.time_ns += tracker.interval_ms * MS


def test_each_member_keeps_its_own_interval_and_rounds_fall_together(kernel: FakeKernel) -> None:
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    looks: list[int] = []

    def slowly(pid: int, stop: StopFlag) -> None:
        looks.append(pid)
        kernel.time_ns += 3 * MS  # so that the rounds of the fast member come a little later each time

    kernel.during_count = slowly
    found = []
    for _ in range(9):
        started_ns = kernel.time_ns
        looks.clear()
        scan_one(tracker)
        found.append((round(started_ns / S), len(looks)))
        kernel.time_ns = started_ns + tracker.interval_ms * MS
    assert found == [(5 * n, 2 if n % 4 == 0 else 1) for n in range(9)]


def test_a_round_that_was_asked_for_runs_all(kernel: FakeKernel) -> None:
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    scan_one(tracker)
    kernel.time_ns += 2 * S
    assert scan_one(tracker).primed.all()
    assert tracker.interval_ms == 5000


def test_idleness_is_proven_only_by_who_sees_reads(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    assert not scan_one(tracker).primed.any()
    for second in (5, 10, 15):
        kernel.time_ns = second * S
        process.touch(0, write=False)
        process.touch(8)
        found = scan_one(tracker)
        assert found.primed.tolist() == [False, True, False, False]
        assert found.accessed_pages.tolist() == [0, 1, 0, 0]
        assert found.written_pages.tolist() == [0, 1, 0, 0]
    kernel.time_ns = 20 * S
    found = scan_one(tracker)
    assert found.primed.all()
    assert found.accessed_pages.tolist() == [1, 1, 0, 0]
    assert found.covered_ms is not None
    # What was written is known since 15 s, the rest since the look before of the one who sees reads.
    assert found.covered_ms.tolist() == [20_000, 5_000, 20_000, 20_000]


def test_who_sees_only_writes_proves_idleness_when_all_are_such(kernel: FakeKernel, process: FakeProcess) -> None:
    tracker = multi(kernel, SOFTDIRTY, Part("finder", FinderParams(pages_in_region=8)))
    scan_one(tracker)
    kernel.time_ns += 5 * S
    process.touch(8)
    found = scan_one(tracker)
    assert found.primed.all()
    assert found.accessed_pages.tolist() == [0, 1, 0, 0]


def test_idle_and_active_times_grow_as_fast_as_time(kernel: FakeKernel, process: FakeProcess) -> None:
    """What rounds can't tell is made up for by the next one that can: else idleness would grow four times slower."""
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    loop = Reconciler(AgePolicy(AgeParams()), (0, 1), 0)
    idle, active = {}, {}
    for second in range(5, 86, 5):
        kernel.time_ns = second * S
        process.touch(8 * READ, 8 * BOTH, write=False)
        process.touch(8 * WRITTEN, 8 * BOTH + 1)
        if second == 15:
            process.touch(8 * IDLE)
        loop.observe(tracker.scan([KEY], StopFlag()))
        seen = loop.history()
        idle[second] = idle_ms(seen.last_access_ms, seen.observed_ms).tolist()
        active[second] = active_ms(seen.last_access_ms, seen.active_since_ms).tolist()
    # Its last use was seen at 15 s by softdirty, and by idlepage in its round at 25 s.
    assert [idle[second][IDLE] for second in (25, 30, 40, 45, 60, 65, 85)] == [0, 0, 0, 20_000, 20_000, 40_000, 60_000]
    assert all(times[READ] == times[WRITTEN] == times[BOTH] == 0 for times in idle.values())
    assert [active[second][READ] for second in (25, 40, 45, 65, 85)] == [0, 0, 20_000, 40_000, 60_000]
    assert active[85][WRITTEN] == 75_000
    assert active[85][IDLE] == 0


def test_geometry_is_the_same_whoever_looks(kernel: FakeKernel, process: FakeProcess) -> None:
    wide = Part("idlepage", IdlePageParams(pages_in_region=16, scan_interval_ms=20_000))
    narrow = Part("softdirty", SoftDirtyParams(pages_in_region=8, scan_interval_ms=5_000))
    process.mappings = [mapping(0, 16), mapping(20, 24)]
    process.touch(0, 9, node=1)
    process.swapped.add(20)
    tracker = multi(kernel, wide, narrow, Part("referenced", ReferencedParams(scan_interval_ms=10_000)))
    for _ in range(6):
        found = scan_one(tracker)
        assert firsts(found) == [(0, 8), (8, 8), (20, 4)]
        assert found.node_pages.tolist() == [[0, 0, 0], [1, 1, 0]]
        assert found.swapped_pages.tolist() == [0, 0, 1]
        assert found.huge_pages.tolist() == [0, 0, 0]
        let_pass(kernel, tracker)


def test_pieces_of_a_larger_region_are_counted_anew(kernel: FakeKernel, process: FakeProcess) -> None:
    """The one who looks has larger regions than the one who doesn't: where pages are is looked up for the pieces."""
    wide = Part("softdirty", SoftDirtyParams(pages_in_region=32, scan_interval_ms=5_000, max_count_per_region=0))
    tracker = multi(kernel, IDLEPAGE, wide)
    scan_one(tracker)
    let_pass(kernel, tracker)
    process.touch(0, 1, 2, 3, 9, node=1)
    found = scan_one(tracker)
    assert firsts(found) == [(0, 8), (8, 8), (16, 8), (24, 8)]
    assert found.node_pages.tolist() == [[0, 0, 0, 0], [4, 1, 0, 0]]
    assert found.accessed_pages.tolist() == [2, 2, 2, 2]


def test_a_process_that_is_gone_for_one_is_gone(kernel: FakeKernel, process: FakeProcess) -> None:
    kernel.processes[8] = FakeProcess([mapping(0, 8)])
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    assert len(tracker.scan([KEY, OTHER], StopFlag()).processes) == 2
    del kernel.processes[8]
    let_pass(kernel, tracker)
    scan = tracker.scan([KEY, OTHER], StopFlag())
    assert scan.gone == (OTHER,)
    assert [found.key for found in scan.processes] == [KEY]
    assert not tracker._known.keys() & {OTHER}


def test_a_process_that_ends_while_its_pieces_are_looked_up_is_gone(kernel: FakeKernel, process: FakeProcess) -> None:
    wide = Part("softdirty", SoftDirtyParams(pages_in_region=32, scan_interval_ms=5_000))
    process.touch(0)
    tracker = multi(kernel, IDLEPAGE, wide)
    scan_one(tracker)
    let_pass(kernel, tracker)
    kernel.during_count = lambda pid, stop: kernel.processes.clear()
    scan = tracker.scan([KEY], StopFlag())
    assert (scan.processes, scan.gone) == ((), (KEY,))


def failing(tracker: Tracker, error: Exception | None) -> Callable[[Sequence[ProcessKey], StopFlag], Scan]:
    """Return a scan that raises the error as long as there is one."""
    scan = tracker.scan

    def fail(targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        if error is not None:
            raise error
        return scan(targets, stop)

    return fail


def member(tracker: MultiTracker, name: str) -> Tracker:
    (found,) = (one.tracker for one in tracker._members if one.tracker.name == name)
    return found


def test_a_member_that_fails_is_said_and_the_others_go_on(
    kernel: FakeKernel, process: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    scan_one(tracker)
    with monkeypatch.context() as patch:
        broken = MemtierdError("read the bitmap: no such device (ENODEV)")
        patch.setattr(member(tracker, "idlepage"), "scan", failing(member(tracker, "idlepage"), broken))
        for _ in range(4):
            let_pass(kernel, tracker)
            process.touch(8)
            assert scan_one(tracker).primed.tolist() == [False, True, False, False]
        said = f"tracker multi: idlepage failed, the others go on: {broken}"
        assert tracker.conditions() == (said,)
        let_pass(kernel, tracker)
        scan_one(tracker)
        assert tracker.conditions() == (said,)
    for _ in range(4):
        let_pass(kernel, tracker)
        scan_one(tracker)
    assert tracker.conditions() == ()


def test_a_process_that_one_member_cannot_scan_is_told_until_it_can(
    kernel: FakeKernel, process: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    denied = KernelError("read the idle bitmap", errno.EPERM)

    def deny(*_arguments: object) -> None:
        raise denied

    with monkeypatch.context() as patch:
        patch.setattr(FakeKernel, "count_idle", deny)
        scan = tracker.scan([KEY], StopFlag())
    assert [failure.message for failure in scan.failed] == [str(denied)]
    assert [found.key for found in scan.processes] == [KEY]
    for _ in range(3):
        let_pass(kernel, tracker)
        process.touch(8)
        assert scan_one(tracker).primed.tolist() == [False, True, False, False]
        assert tracker.conditions() == (str(denied),)
    let_pass(kernel, tracker)
    scan_one(tracker)
    assert tracker.conditions() == ()


def test_a_stopped_round_is_void_and_the_next_one_primes_all_anew(kernel: FakeKernel, process: FakeProcess) -> None:
    process.touch(0)
    tracker = multi(kernel, IDLEPAGE, SOFTDIRTY)
    scan_one(tracker)
    kernel.time_ns = 20 * S
    calls = 0

    def stop_the_second(pid: int, stop: StopFlag) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            stop.set()

    kernel.during_count = stop_the_second
    with pytest.raises(ScanStoppedError):
        tracker.scan([KEY], StopFlag())
    kernel.during_count = lambda pid, stop: None
    kernel.time_ns = 21 * S
    assert not scan_one(tracker).primed.any()
    assert calls == 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((IDLEPAGE, SOFTDIRTY), ()),
        ((SOFTDIRTY, Part("finder", FinderParams())), ()),
        ((IDLEPAGE, Part("referenced", ReferencedParams())), ("idlepage and referenced disturb each other",)),
        (
            (IDLEPAGE, Part("softdirty", SoftDirtyParams(track_referenced=True))),
            ("idlepage and softdirty disturb each other",),
        ),
        ((IDLEPAGE, IDLEPAGE), ("idlepage and idlepage disturb each other",)),
        ((SOFTDIRTY, SOFTDIRTY), ("softdirty is there more than once",)),
    ],
)
def test_members_that_disturb_each_other_are_said(
    parts: tuple[Part, ...], said: tuple[str, ...], kernel: FakeKernel
) -> None:
    tracker = multi(kernel, *parts)
    found = tracker.conditions()
    tracker.close()
    assert len(found) == len(said)
    assert all(text in condition for text, condition in zip(said, found, strict=True))


@attrs.frozen
class Named:
    """As much of a tracker as is looked at to know what it uses."""

    name: str
    params: Any = None


@pytest.mark.parametrize(
    ("names", "proving"),
    [
        (("damon", "softdirty", "idlepage", "finder"), ["idlepage"]),
        (("damon", "softdirty", "stub"), ["damon"]),
        (("softdirty", "finder"), ["softdirty"]),
        (("idlepage", "referenced"), ["idlepage", "referenced"]),
        (("finder", "stub"), []),
        ((), []),
    ],
)
def test_idleness_is_proven_by_those_who_see_the_most(names: tuple[str, ...], proving: list[str]) -> None:
    members = members_of([cast(Tracker, Named(name)) for name in names])
    assert [one.tracker.name for one in members if one.proves_idleness] == proving


def test_damon_disturbs_whoever_needs_accessed_bits_and_nobody_else() -> None:
    def said(*names: str) -> list[str]:
        return list(disturbances([cast(Tracker, Named(name)) for name in names]))

    assert [text.split(":")[1].split(" disturb")[0] for text in said("damon", "idlepage")] == [" damon and idlepage"]
    assert said("damon", "softdirty", "finder") == []


def test_conditions_of_members_are_told_once(kernel: FakeKernel) -> None:
    unused = Part("softdirty", SoftDirtyParams(skip_page_prob=5))
    assert len(multi(kernel, unused, IDLEPAGE).conditions()) == 1


def test_a_member_that_cannot_work_here_is_refused_and_the_others_are_closed(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setattr("memtierd.trackers.grid.IdlePageTracker.close", lambda self: closed.append(self.name))
    params = MultiParams(trackers=(IDLEPAGE, SOFTDIRTY))
    with pytest.raises(UnsupportedError, match="softdirty is off; switch it on"):
        build("multi", params, kernel, fake_features("idlepage", "pagemap_pfn"))
    assert closed == ["idlepage"]


def test_auto_inside_becomes_what_works(kernel: FakeKernel) -> None:
    parts = (Part("auto", REGISTRY["auto"]()), SOFTDIRTY)
    tracker = multi(kernel, *parts)
    assert [one.tracker.name for one in tracker._members] == ["idlepage", "softdirty"]
    tracker.close()


def test_an_empty_one_tracks_nothing(kernel: FakeKernel) -> None:
    tracker = multi(kernel)
    assert tracker.scan([KEY], StopFlag()).processes == ()
    assert tracker.interval_ms >= 1


POLICY = "policy:\n  name: heat\n  config:\n    pids: [5]\n    tracker:\n      name: multi\n      config: "


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{}", "no trackers, expected at least one tracker"),
        ("{trackers: []}", "trackers: no trackers, expected at least one tracker"),
        (
            "{trackers: [{name: stub}, {name: multi, config: {trackers: [{name: stub}]}}]}",
            "trackers.1: a multi tracker in a multi tracker, expected any other tracker",
        ),
        (
            "{trackers: [{name: stub}, {name: softdirty, config: {scanintervalms: 0}}]}",
            "trackers.1.config.scanintervalms",
        ),
        ("{trackers: {name: stub}}", "trackers: got a mapping, expected a list"),
    ],
)
def test_wrong_configurations_are_refused_at_their_place(config: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(POLICY + config, "case.yaml")
    (told,) = raised.value.problems
    assert problem in told


def test_all_forms_of_a_configuration_are_equal() -> None:
    mapping_form = "{trackers: [{name: softdirty, config: {pagesinregion: 8}}, {name: finder}]}"
    text_form = """|
        Trackers:
          - Name: softdirty
            Config: '{"PagesInRegion": 8}'
          - Name: finder
            Config: |
              pagesinregion: 512
    """
    expected = load_text(POLICY + mapping_form, "case.yaml")
    assert expected.policy is not None
    assert load_text(POLICY + text_form, "case.yaml") == expected
    assert [part.name for part in expected.policy.params.tracker.params.trackers] == ["softdirty", "finder"]
