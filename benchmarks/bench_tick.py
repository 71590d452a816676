"""Time one tick over synthetic regions: take in a scan, decide, step every region's state and make the plan.

Usage: python benchmarks/bench_tick.py [REGIONS]     (default 1000000; prints JSON)

A portion of the regions lies where the policy does not want it.  `sum_s` is the time of a tick: a scan
taken in, and the decision with its plan.  `recut_s` is the time of a scan in which one of the processes
has grown or shrunk; in all others the regions are the same as before.  Exit status 1 when a sum reaches 0.3 s.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from memtierd.model import U32, MachineFacts, NodeFacts, ProcessFacts, ProcessKey, ProcessScan, Scan
from memtierd.placement.batches import batches
from memtierd.policies import Policy, build
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatmapParams, HeatParams
from memtierd.reconcile import Reconciler
from memtierd.units import GIB, MIB, PAGE_BYTES

WARM_UP = 4
ROUNDS = 5
MAX_S = 0.3
PROCESSES = 8
NODES = (0, 1, 2, 3)
REGION_PAGES = 512
SCAN_NS = 5_000_000_000
BASE = 0x7F00_0000_0000


def machine() -> MachineFacts:
    """Return four nodes with room for everything."""
    pages = 1024 * GIB // PAGE_BYTES
    return MachineFacts(
        tuple(NodeFacts(n, pages, pages // 2, n < 2, {m: 10 if m == n else 20 for m in NODES}) for n in NODES),
        swap_total_pages=pages,
        swap_free_pages=pages,
    )


def age_policy() -> Policy:
    """Return a policy that wants used memory on nodes 0 and 1, idle memory on 2 and 3."""
    return build(AgeParams(idle_duration_ms=10_000, idle_numas=(2, 3), active_duration_ms=10_000, active_numas=(0, 1)))


def heat_policy() -> Policy:
    """Return a policy of ten classes, the upper half on nodes 0 and 1, the lower half on 2 and 3."""
    heatmap = HeatmapParams(heat_max=1.0, heat_retention=0.5, heat_classes=10)
    return build(HeatParams(heatmap=heatmap, heat_numas={i: (0, 1) if i >= 5 else (2, 3) for i in range(10)}))


def process_scan(index: int, regions: int, started_ns: int, wrong_portion: float) -> ProcessScan:
    """Return a scan of one process: every other region is used, by half at least, and a portion of all lies wrong."""
    key = ProcessKey(1000 + index, 1)
    facts = ProcessFacts(key, f"bench{index}", frozenset(NODES), index % 2)
    numbers = np.arange(regions)
    used = numbers % 2 == 0
    wrong = (numbers // 8) % 100 < wrong_portion * 100
    node = np.where(used != wrong, 0, 2)
    node_pages: U32 = np.zeros((len(NODES), regions), np.uint32)
    node_pages[node, numbers] = REGION_PAGES
    pages = np.full(regions, REGION_PAGES, np.uint32)
    return ProcessScan(
        facts=facts,
        started_ns=started_ns,
        ended_ns=started_ns + 1,
        start=np.uint64(BASE) + numbers.astype(np.uint64) * np.uint64(REGION_PAGES * PAGE_BYTES),
        pages=pages,
        accessed_pages=np.where(used, REGION_PAGES // 2 + numbers * 7919 % (REGION_PAGES // 2) + 1, 0).astype(
            np.uint32
        ),
        written_pages=np.where(used, pages // 2, 0).astype(np.uint32),
        primed=np.ones(regions, np.bool_),
        swapped_pages=np.zeros(regions, np.uint32),
        node_pages=node_pages,
    )


def whole_scan(regions: int, number: int, wrong_portion: float, grown: int = 0) -> Scan:
    """Return the scan with this number over all processes; the first has grown by some regions."""
    started_ns = (number + 1) * SCAN_NS
    each = regions // PROCESSES
    processes = tuple(
        process_scan(i, each + (grown if i == 0 else 0), started_ns, wrong_portion) for i in range(PROCESSES)
    )
    return Scan("bench", started_ns, started_ns + 1, processes)


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """Return how long the work takes."""
    before = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - before


def medians(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    columns = list(rounds)
    return {name: round(statistics.median(row[name] for row in columns), 4) for name in columns[0]}


def measure(policy: Policy, regions: int, wrong_portion: float) -> dict[str, float]:
    """Return the median seconds of each part of a tick."""
    reconciler = Reconciler(policy, NODES, 0)
    nodes = machine()
    for number in range(WARM_UP):
        reconciler.observe(whole_scan(regions, number, wrong_portion))
        reconciler.decide((number + 1) * SCAN_NS + 2, nodes)
    rounds = [tick(reconciler, nodes, regions, WARM_UP + number, wrong_portion) for number in range(ROUNDS)]
    return {"planned_regions": len(reconciler.plan), **medians(rounds)}


def tick(
    reconciler: Reconciler, nodes: MachineFacts, regions: int, number: int, wrong_portion: float
) -> dict[str, float]:
    """Return the seconds of each part of one tick."""
    same, grown = whole_scan(regions, number, wrong_portion), whole_scan(regions, number, wrong_portion, grown=1)
    limit_pages = reconciler.policy.params.batch_mb * MIB // PAGE_BYTES
    recut_s = seconds(reconciler.observe, grown)
    reconciler.observe(same)
    observe_s = seconds(reconciler.observe, same)
    decide_s = seconds(reconciler.decide, same.ended_ns, nodes)
    return {
        "observe_s": observe_s,
        "decide_s": decide_s,
        "sum_s": observe_s + decide_s,
        "recut_s": recut_s,
        "batches_s": seconds(lambda: list(batches(reconciler.plan, limit_pages))),
        "obstacles_s": seconds(reconciler.obstacles),
    }


def main() -> int:
    """Print the figures; return the exit status."""
    regions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    result = {
        f"{name}, {portion:.0%} misplaced": measure(make(), regions, portion)
        for name, make in (("age", age_policy), ("heat", heat_policy))
        for portion in (0.1, 0.5)
    }
    print(json.dumps({"regions": regions, "max_s": MAX_S, "ticks": result}, indent=2))
    return int(any(tick["sum_s"] >= MAX_S for tick in result.values()))


if __name__ == "__main__":
    raise SystemExit(main())
