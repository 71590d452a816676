"""History finds back to the memory that it is of, and to no other."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.errors import KernelError
from memtierd.linux.proc import Mapping
from memtierd.model import ProcessKey
from memtierd.policies import build
from memtierd.policies.heat import HeatParams
from memtierd.regions.columns import NEVER_MS
from memtierd.regions.learned import clipped, learned
from memtierd.state.histories import backed, trusted
from memtierd.state.recollection import FRESH_NS, Recollection
from memtierd.units import PAGE_BYTES
from tests.unit.reconcile_samples import Life
from tests.unit.regions.region_samples import BASE, MS, facts_of, scan_of
from tests.unit.state.state_samples import history_of, learned_of, mapping, spans

FACTS = attrs.evolve(facts_of(), image="1 2 3")
WEEK_MS = 7 * 86_400_000


def pages_of(before: list[Mapping], now: list[Mapping]) -> list[tuple[int, int]]:
    """Return (first page, pages) of what is trusted."""
    starts, ends = trusted(backed(before), backed(now))
    return [
        ((start - BASE) // PAGE_BYTES, (end - start) // PAGE_BYTES)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param([mapping(10, 10)], [(10, 10)], id="same"),
        pytest.param([mapping(10, 15)], [(10, 10)], id="grown-upwards"),
        pytest.param([mapping(5, 15)], [(10, 10)], id="grown-downwards"),
        pytest.param([mapping(10, 4)], [(10, 4)], id="shrunk"),
        pytest.param([mapping(10, 3), mapping(17, 3)], [(10, 3), (17, 3)], id="a-hole"),
        pytest.param([mapping(8, 20)], [], id="mapped-over-it"),
        pytest.param([mapping(12, 4)], [], id="mapped-inside"),
        pytest.param([mapping(10, 10, path="[heap]")], [], id="other-name"),
        pytest.param([mapping(10, 10, path="/data", inode=9)], [], id="a-file-in-its-place"),
        pytest.param([mapping(40, 10)], [], id="elsewhere"),
        pytest.param([], [], id="gone"),
    ],
)
def test_anonymous_memory(now: list[Mapping], expected: list[tuple[int, int]]) -> None:
    assert pages_of([mapping(10, 10)], now) == expected


def test_neighbours_that_were_joined() -> None:
    assert pages_of([mapping(0, 4), mapping(4, 4), mapping(8, 4)], [mapping(0, 12)]) == [(0, 4), (8, 4)]


def test_another_part_of_a_file_is_other_memory() -> None:
    before = [mapping(0, 8, path="/data", inode=9)]
    assert pages_of(before, [mapping(0, 8, path="/data (deleted)", inode=9)]) == [(0, 8)]
    assert pages_of(before, [mapping(0, 8, path="/data", inode=9, offset=4096)]) == []
    assert pages_of(before, [mapping(0, 8, path="/data", inode=10)]) == []


@given(spans(), spans(), st.integers(0, 2**31))
def test_clipped_to_ranges_nothing_is_told_of_other_pages(
    regions: list[tuple[int, int]], ranges: list[tuple[int, int]], seed: int
) -> None:
    before = learned_of(regions)
    before.idle_ms[:] = np.random.default_rng(seed).integers(0, 2**31, len(before))
    starts, ends = trusted(backed([mapping(*one) for one in ranges]), backed([mapping(*one) for one in ranges]))
    found = clipped(before, starts, ends)
    told = {
        page: idle
        for start, pages, idle in zip(found.start.tolist(), found.pages.tolist(), found.idle_ms.tolist(), strict=True)
        for page in range((start - BASE) // PAGE_BYTES, (start - BASE) // PAGE_BYTES + pages)
    }
    inside = {page for first, pages in ranges for page in range(first, first + pages)}
    expected = {
        page: idle
        for (first, pages), idle in zip(regions, before.idle_ms.tolist(), strict=True)
        for page in range(first, first + pages)
        if page in inside
    }
    assert told == expected


def remembering(life: Life, *histories: object, maps: object = None, now_ns: int = 0) -> dict[str, int]:
    """Let a reconciler remember; return the counters."""
    counts: dict[str, int] = {}

    def count(event: str) -> None:
        counts[event] = counts.get(event, 0) + 1

    def mappings(_pid: int) -> list[Mapping]:
        if isinstance(maps, Exception):
            raise maps
        return [mapping(0, 4096)] if maps is None else maps  # type: ignore[return-value]

    life.reconciler.recollection = Recollection(histories, mappings, count, lambda: now_ns)  # type: ignore[arg-type]
    return counts


def idle_ms(life: Life) -> list[int]:
    seen = life.reconciler.history()
    return [int(ms) for ms in seen.observed_ms - seen.last_access_ms]


def test_ages_go_on_where_they_were() -> None:
    life = Life(epoch_ms=-WEEK_MS)
    counts = remembering(life, history_of(FACTS.key, learned_of([(0, 512), (512, 512)]), [mapping(0, 4096)]))
    life.scan(scan_of(FACTS, 60_000, [(0, 512), (512, 512)], primed=False))
    assert idle_ms(life) == [5000, 5000]
    life.scan(scan_of(FACTS, 66_000, [(0, 512), (512, 512)], accessed=[1, 0]))
    assert idle_ms(life) == [0, 11_000]
    assert counts == {"state used": 1}
    assert not life.reconciler.recollection
    life.decide(66_000)
    assert [life.reconciler.policy.activity.declaration.states[s] for s in life.reconciler.table.activity] == [
        "warm",
        "idle",
    ]


def test_another_region_size_gets_the_history_by_overlap() -> None:
    life = Life(epoch_ms=-WEEK_MS)
    before = learned_of([(0, 512), (512, 512)])
    before.idle_ms[:] = [1000, 9000]
    remembering(life, history_of(FACTS.key, before, [mapping(0, 4096)]))
    life.scan(scan_of(FACTS, 60_000, [(0, 256), (256, 512), (768, 256), (1024, 256)], primed=False))
    assert idle_ms(life) == [1000, 1000, 9000, 0]
    assert life.reconciler.table.accesses.tolist() == [1024, 2048, 1024, 0]


def test_streaks_go_on() -> None:
    life = Life(epoch_ms=-WEEK_MS)
    before = learned_of([(0, 512)], idle_ms=0)
    before.active_ms[:] = 8000
    remembering(life, history_of(FACTS.key, before, [mapping(0, 4096)]))
    life.scan(scan_of(FACTS, 60_000, [(0, 512)], primed=False))
    life.scan(scan_of(FACTS, 62_000, [(0, 512)], accessed=9))
    seen = life.reconciler.history()
    assert (seen.last_access_ms - seen.active_since_ms).tolist() == [10_000]


@pytest.mark.parametrize(
    ("changed", "counted"),
    [
        pytest.param({"key": ProcessKey(100, 2)}, None, id="pid-used-again"),
        pytest.param({"image": "4 5 6"}, "state not used: another program runs", id="exec"),
        pytest.param({"image": ""}, "state not used: another program runs", id="image-unknown"),
    ],
)
def test_another_process_or_program_gets_nothing(changed: dict[str, object], counted: str | None) -> None:
    life = Life(epoch_ms=-WEEK_MS)
    counts = remembering(life, history_of(FACTS.key, learned_of([(0, 512)]), [mapping(0, 4096)]))
    life.scan(scan_of(attrs.evolve(FACTS, **changed), 60_000, [(0, 512)], primed=False))  # type: ignore[arg-type]
    assert idle_ms(life) == [0]
    assert life.reconciler.table.accesses.tolist() == [0]
    assert counts == ({counted: 1} if counted else {})


@pytest.mark.parametrize("now_ns", [FRESH_NS + 1, -1])
def test_what_is_too_old_is_not_used(now_ns: int) -> None:
    life = Life(epoch_ms=-WEEK_MS)
    history = history_of(FACTS.key, learned_of([(0, 512)]), [mapping(0, 4096)])
    counts = remembering(life, history, now_ns=now_ns)
    life.scan(scan_of(FACTS, 60_000, [(0, 512)], primed=False))
    assert idle_ms(life) == [0]
    assert counts == {"state not used: too old": 1}


def test_mappings_that_cannot_be_read_are_trusted_for_nothing() -> None:
    life = Life(epoch_ms=-WEEK_MS)
    history = history_of(FACTS.key, learned_of([(0, 512)]), [mapping(0, 4096)])
    counts = remembering(life, history, maps=KernelError("read maps", 13))
    life.scan(scan_of(FACTS, 60_000, [(0, 512)], primed=False))
    assert idle_ms(life) == [0]
    assert counts == {"state not used: mappings can't be read": 1}


def test_a_mapping_that_was_replaced_begins_anew_and_the_others_do_not() -> None:
    life = Life(epoch_ms=-WEEK_MS)
    before = [mapping(0, 512), mapping(512, 512, path="/data", inode=3)]
    remembering(
        life, history_of(FACTS.key, learned_of([(0, 512), (512, 512)]), before), maps=[before[0], mapping(512, 512)]
    )
    life.scan(scan_of(FACTS, 60_000, [(0, 512), (512, 512)], primed=False))
    assert idle_ms(life) == [5000, 0]


def test_heat_that_no_policy_kept_decides_nothing() -> None:
    cold = attrs.evolve(learned_of([(0, 512)], heat=0), keeps_heat=False)
    life = Life(build(HeatParams(heat_numas={0: (3,)})), epoch_ms=-WEEK_MS)
    remembering(life, history_of(FACTS.key, cold, [mapping(0, 4096)]))
    life.scan(scan_of(FACTS, 60_000, [(0, 512)], primed=False))
    assert len(life.decide(61_000).moves) == 0
    life.scan(scan_of(FACTS, 65_000, [(0, 512)], accessed=0))
    assert len(life.decide(66_000).moves) == 1


def test_heat_is_kept() -> None:
    life = Life(build(HeatParams()), epoch_ms=-WEEK_MS)
    remembering(life, history_of(FACTS.key, learned_of([(0, 512)], heat=0.75), [mapping(0, 4096)]))
    life.scan(scan_of(FACTS, 60_000, [(0, 512)], primed=False))
    assert life.reconciler.table.heat.tolist() == [0.75]


def test_what_was_learned_comes_out_as_it_went_in() -> None:
    life = Life(epoch_ms=-WEEK_MS)
    before = learned_of([(0, 512), (700, 5)], idle_ms=123)
    before.active_ms[:] = [NEVER_MS, 77]
    remembering(life, history_of(FACTS.key, before, [mapping(0, 4096)]))
    life.scan(scan_of(FACTS, 60_000, [(0, 512), (700, 5)], primed=False))
    row = life.reconciler.processes.row(FACTS.key)
    assert row is not None
    after = learned(life.reconciler.table, row, life.reconciler.at_ms(60_000 * MS), keeps_heat=True)
    for name in ("start", "pages", "accesses", "writes", "idle_ms", "active_ms", "heat", "judged"):
        assert np.array_equal(getattr(after, name), getattr(before, name)), name


def test_a_region_that_is_cut_keeps_its_share_of_counts() -> None:
    found = clipped(learned_of([(0, 512)]), *trusted(backed([mapping(256, 128)]), backed([mapping(256, 128)])))
    assert (found.pages.tolist(), found.accesses.tolist(), found.writes.tolist()) == ([128], [512], [256])
    assert found.heat.tolist() == [0.5]
