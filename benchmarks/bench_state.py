"""Time keeping the state of synthetic regions: copying, encoding, writing, reading, and giving back.

Usage: python benchmarks/bench_state.py [REGIONS [PROCESSES]]     (default 1000000 8; prints JSON)

`stall_ms` is how long the control thread copies, the longest of all rounds; `recall_ms` is how much longer the first
scan after a restart takes.  All other times are of other threads, or before the daemon manages anything, the least of
all rounds.  `write_peak_mb` is what writing for the first time adds to the most memory ever in use.  Exit status 1
when a stall reaches 100 ms or the file 33 bytes a region, which is what it has without compression.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from memtierd.linux.proc import Mapping
from memtierd.model import ProcessFacts, ProcessKey, ProcessScan, Scan
from memtierd.policies import build
from memtierd.policies.heat import HeatParams
from memtierd.reconcile import KEEP_MS, Reconciler
from memtierd.state import snapshot
from memtierd.state.directory import StateDirectory
from memtierd.state.encoding import State, decode, encode
from memtierd.state.recollection import Recollection
from memtierd.units import PAGE_BYTES

BASE = 0x7F00_0000_0000
REGION_PAGES = 512
SCAN_NS = 5_000_000_000
SCANS = 5
ROUNDS = 5
MOST_STALL_MS = 100
MOST_BYTES = 33
T = TypeVar("T")


def scan(process: int, regions: int, number: int, chance: np.random.Generator) -> ProcessScan:
    """Return a scan of one process in which a third of the regions is used, each a random part."""
    used = chance.random(regions) < 1 / 3
    pages = np.full(regions, REGION_PAGES, np.uint32)
    accessed = np.where(used, chance.integers(1, REGION_PAGES, regions), 0).astype(np.uint32)
    key = ProcessKey(1000 + process, 1)
    return ProcessScan(
        facts=ProcessFacts(key, f"bench{process}", frozenset({0}), 0, image="1 2 3"),
        started_ns=number * SCAN_NS + process * 1_000_000,
        ended_ns=number * SCAN_NS + process * 1_000_000 + 1,
        start=np.uint64(BASE) + np.arange(regions, dtype=np.uint64) * np.uint64(REGION_PAGES * PAGE_BYTES),
        pages=pages,
        accessed_pages=accessed,
        written_pages=accessed // np.uint32(2),
        primed=np.full(regions, number > 1, np.bool_),
        swapped_pages=np.zeros(regions, np.uint32),
        node_pages=pages.reshape(1, -1).copy(),
    )


def reconciler() -> Reconciler:
    """Return an empty one."""
    return Reconciler(build(HeatParams()), (0,), -KEEP_MS * 1_000_000)


def timed(times: list[float], function: Callable[[], T]) -> T:
    """Note the milliseconds that a call takes."""
    began = time.perf_counter()
    result = function()
    times.append((time.perf_counter() - began) * 1000)
    return result


def observe(into: Reconciler, scans: list[ProcessScan], number: int) -> None:
    """Take in a round."""
    at_ns = number * SCAN_NS
    into.observe(Scan("bench", at_ns, at_ns + 1, tuple(scans)))


def rounds(learned: Reconciler, regions: int, processes: int, directory: str) -> dict[str, Any]:
    """Keep the state and give it back so many times; return the least times."""
    bounds = BASE, BASE + regions * REGION_PAGES * PAGE_BYTES

    def mappings(_pid: int) -> list[Mapping]:
        return [Mapping(*bounds, "rw-p", 0, "00:00", 0, "")]

    names = ("stall", "history", "encode", "write", "read", "decode", "first_scan", "recall")
    times: dict[str, list[float]] = {name: [] for name in names}
    file, size = StateDirectory(directory), 0
    chance = np.random.default_rng(2)
    again = [scan(process, regions // processes, 1, chance) for process in range(processes)]
    for _ in range(ROUNDS):
        copy = timed(times["stall"], lambda: snapshot.take(learned, (SCANS + 1) * SCAN_NS))
        kept = timed(times["history"], lambda copy=copy: tuple(snapshot.histories(copy, mappings)))  # type: ignore[misc]
        pieces = timed(times["encode"], lambda kept=kept: encode(State("boot", kept)))  # type: ignore[misc]
        size = timed(times["write"], lambda pieces=pieces: file.write(pieces))  # type: ignore[misc]
        data = timed(times["read"], file.read)
        state = timed(times["decode"], lambda data=data: decode(data or b""))  # type: ignore[misc]
        timed(times["first_scan"], lambda: observe(reconciler(), again, 1))
        restored = reconciler()
        restored.recollection = Recollection(
            state.histories, mappings, lambda _event: None, lambda: (SCANS + 1) * SCAN_NS
        )
        timed(times["recall"], lambda restored=restored: observe(restored, again, 1))  # type: ignore[misc]
        assert np.array_equal(restored.table.accesses, learned.table.accesses)
    least = {f"{name}_ms": round(min(values), 1) for name, values in times.items()}
    least["stall_ms"] = round(max(times["stall"]), 1)
    least["recall_ms"] = round(least["recall_ms"] - least.pop("first_scan_ms"), 1)
    return least | {"bytes": size, "bytes_per_region": round(size / regions, 2)}


def peak_kb() -> int:
    """Return the most memory that was ever in use."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Print the figures."""
    regions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    learned, chance = reconciler(), np.random.default_rng(1)
    for number in range(1, SCANS + 1):
        observe(learned, [scan(process, regions // processes, number, chance) for process in range(processes)], number)
    before_kb = peak_kb()
    copy = snapshot.take(learned, (SCANS + 1) * SCAN_NS)
    encode(State("boot", tuple(snapshot.histories(copy, lambda _pid: []))))
    more_kb = peak_kb() - before_kb
    del copy
    with tempfile.TemporaryDirectory() as directory:
        figures = rounds(learned, regions, processes, directory)
    print(
        json.dumps({"regions": regions, "processes": processes, **figures, "write_peak_mb": more_kb // 1024}, indent=2)
    )
    return int(figures["stall_ms"] >= MOST_STALL_MS or figures["bytes_per_region"] >= MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
