"""A daemon that was started again knows what one knows that went on, and only stopped tracking for a while."""

import attrs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd.linux.proc import Mapping
from memtierd.model import ProcessScan
from memtierd.policies import build
from memtierd.policies.heat import HeatmapParams, HeatParams
from memtierd.reconcile import Reconciler
from memtierd.state import snapshot
from memtierd.state.encoding import State, decode, encode
from memtierd.state.recollection import Recollection
from tests.unit.regions.region_samples import MS, NODES, facts_of, round_of, scan_of
from tests.unit.state.state_samples import mapping, spans

FACTS = [attrs.evolve(facts_of(pid), image=f"{pid} 2 3") for pid in (100, 101, 102)]
POLICY = HeatParams(heatmap=HeatmapParams(heat_max=1000, heat_retention=0.9))
COLUMNS = ("process", "start", "pages", "accesses", "writes", "last_access_ms", "active_since_ms", "heat", "flags")
DAY_MS = 86_400_000


def mappings(_pid: int) -> list[Mapping]:
    return [mapping(0, 1 << 34)]


def reconciler(epoch_ms: int) -> Reconciler:
    return Reconciler(build(POLICY), NODES, epoch_ms * MS)


def restarted(before: Reconciler, now_ms: int, epoch_ms: int) -> Reconciler:
    """Return a new one that has read what the one before has written."""
    kept = tuple(snapshot.histories(snapshot.take(before, now_ms * MS), mappings))
    state = decode(b"".join(encode(State("boot", kept))))
    after = reconciler(epoch_ms)
    after.recollection = Recollection(state.histories, mappings, lambda _event: None, lambda: now_ms * MS)
    return after


@st.composite
def scans(draw: st.DrawFn, at_ms: int, primed: bool) -> list[ProcessScan]:
    """Draw a scan of each process, with any regions."""
    found = []
    for number, facts in enumerate(FACTS):
        regions = draw(spans())
        accessed = [draw(st.integers(0, pages)) for _, pages in regions]
        found.append(scan_of(facts, at_ms + number, regions, accessed=accessed, written=accessed, primed=primed))
    return found


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[list[ProcessScan]], list[list[ProcessScan]]]:
    """Draw the rounds before and after a restart: all judge but the first one after it, as trackers do it."""
    before = [draw(scans(1000 * n, primed=n > 1)) for n in range(1, draw(st.integers(2, 4)))]
    again = [draw(scans(60_000 + 1000 * n, primed=n > 0)) for n in range(draw(st.integers(1, 3)))]
    return before, again


@settings(deadline=None, max_examples=60)
@given(lives())
def test_a_restart_is_like_a_pause(life: tuple[list[list[ProcessScan]], list[list[ProcessScan]]]) -> None:
    one = reconciler(-DAY_MS)
    for processes in life[0]:
        one.observe(round_of(*processes))
    other = restarted(one, 30_000, -2 * DAY_MS)
    kept = {history.key for history in snapshot.histories(snapshot.take(one, 30_000 * MS), mappings)}
    one.forget([facts.key for facts in FACTS if facts.key not in kept], 30_000 * MS)  # of which nothing was known
    for processes in life[1]:
        one.observe(round_of(*processes))
        other.observe(round_of(*processes))
    np.add(one.table.last_access_ms, np.uint32(DAY_MS), out=one.table.last_access_ms)
    one.table.active_since_ms[one.table.active_since_ms != 0xFFFF_FFFF] += np.uint32(DAY_MS)
    order = [np.argsort(each.processes.pids[each.table.process], kind="stable") for each in (one, other)]
    for name in COLUMNS[1:]:
        values = [getattr(each.table, name)[rows] for each, rows in zip((one, other), order, strict=True)]
        assert np.allclose(values[0], values[1], rtol=1e-6), name
