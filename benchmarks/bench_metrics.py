"""Time what metrics cost the control thread, and what the thread that asks pays for the text.

Usage: python -m benchmarks.bench_metrics [REGIONS]     (default 1000000; prints JSON)

`control_ms` is the median time of one snapshot over synthetic regions of eight processes on four nodes, with age
and with heat of ten classes; `text_ms` that of making families and text out of it.  Exit status 1 when a snapshot
takes 100 ms.
"""

import json
import statistics
import sys

from benchmarks.bench_tick import PROCESSES, SCAN_NS, age_policy, heat_policy, machine, seconds, whole_scan
from memtierd.metrics.collector import move_families, scan_families, table_families
from memtierd.metrics.exposition import text
from memtierd.metrics.snapshot import Snapshot, take
from memtierd.policies import Policy
from memtierd.reconcile import Reconciler

ROUNDS = 21
MAX_MS = 100.0
NODES = (0, 1, 2, 3)


def written(snapshot: Snapshot, names: list[str]) -> str:
    """Return all that the snapshot holds as text."""
    return text([*table_families(snapshot, names), *move_families(snapshot), *scan_families(snapshot.totals, 0)])


def measure(policy: Policy, regions: int) -> dict[str, float]:
    """Return the median milliseconds of each part."""
    reconciler = Reconciler(policy, NODES, 0)
    for number in range(2):
        reconciler.observe(whole_scan(regions, number, 0.1))
        reconciler.decide((number + 1) * SCAN_NS + 2, machine())
    group_of = {key: index for index, key in enumerate(reconciler.processes)}
    groups = PROCESSES + 1
    names = [f"group {index}" for index in range(PROCESSES)] + ["other"]
    snapshot = take(reconciler, group_of, groups)
    control = [seconds(take, reconciler, group_of, groups) for _ in range(ROUNDS)]
    formatted = [seconds(written, snapshot, names) for _ in range(ROUNDS)]
    return {
        "planned_regions": len(reconciler.plan),
        "control_ms": round(statistics.median(control) * 1000, 2),
        "control_max_ms": round(max(control) * 1000, 2),
        "text_ms": round(statistics.median(formatted) * 1000, 2),
    }


def main() -> int:
    """Print the figures; return the exit status."""
    regions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    figures = {name: measure(policy, regions) for name, policy in (("age", age_policy()), ("heat", heat_policy()))}
    print(json.dumps({"regions": regions, **figures}, indent=2))
    return int(any(figure["control_ms"] >= MAX_MS for figure in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
