"""Time a configuration file from being written to being in force, in a running daemon that knows very many regions.

Usage: python benchmarks/bench_reload.py [REGIONS [EDITS]]     (default 1000000 and 40; prints JSON)

The daemon is a real one with all its threads, as a dry run, on a machine of four nodes that is made up, as is what it
knows of one process: a scan of all regions is taken in every second, a tenth of the memory lies where it does not
belong, and it decides every two seconds.  The file is written at any time within that, in place, and is heard of
through inotify.  `in_force` is the time until regions are judged by the new values, `decided` the time until
they all have been and the plan is made.  Exit status 1 when one takes 500 ms or a scan gets lost.
"""

import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import attrs

from benchmarks.bench_tick import NODES, SCAN_NS, machine, process_scan
from memtierd.config import read_file
from memtierd.daemon import Daemon
from memtierd.linux.probe import probe
from memtierd.linux.proc import process_key
from memtierd.model import ProcessScan, Scan
from memtierd.reloading import Reloader

MAX_MS = 500
SCAN_S = 1.0
WRONG_PORTION = 0.1
CONFIG = """
policy:
  name: {policy}
  config:
    pids: [{pid}]
    intervalms: 2000
    tracker: {{name: stub}}
    mover: {{bandwidth: {bandwidth}}}
{values}
"""
AGE = "    idledurationms: {ms}\n    idlenumas: [2, 3]\n    activedurationms: {ms}\n    activenumas: [0, 1]\n"
HEAT = "    heatmap: {{heatclasses: {classes}}}\n    heatnumas: {{0: [2, 3], {hottest}: [0, 1]}}\n"


class Scanning:
    """Posts scans in time, as a tracker's thread would."""

    def __init__(self, daemon: Daemon, scan: ProcessScan) -> None:
        self.posted = 0
        self._daemon = daemon
        self._scan = scan
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Post the first two scans, which make all regions known and judged, and go on in a thread."""
        for _ in range(2):
            self.post()
        self._thread.start()

    def stop(self) -> None:
        """Post no more."""
        self._ending.set()
        self._thread.join()

    def post(self) -> None:
        """Post a scan of this moment."""
        now_ns = time.monotonic_ns()
        process = attrs.evolve(self._scan, started_ns=now_ns, ended_ns=now_ns + 1)
        self._daemon.control.post(Scan("bench", now_ns, now_ns + 1, (process,)))
        self.posted += 1

    def _run(self) -> None:
        while not self._ending.wait(SCAN_S):
            self.post()

    def lost(self) -> int:
        """Return how many scans were posted and not taken in."""
        events = self._daemon.call(lambda reconciler: reconciler.statistics.events, 60)
        return self.posted - events["tracker.bench.scan"].count


@contextmanager
def sleeper() -> Iterator[int]:
    """Give the pid of a process that is there and does nothing."""
    with subprocess.Popen(["sleep", "100000"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def texts(pid: int, policy: str) -> Iterator[str]:
    """Yield contents for the file, each with another value that all regions are judged by."""
    number = 0
    while True:
        number += 1
        if policy == "age":
            values = AGE.format(ms=200 * (1 + number % 7))
        else:
            classes = 4 + number % 7
            values = HEAT.format(classes=classes, hottest=classes - 1)
        yield CONFIG.format(pid=pid, policy=policy, bandwidth=100 + number, values=values)


def milliseconds_until(is_so: Callable[[], bool], since_s: float) -> float:
    """Return how long it takes since then until something is so."""
    while not is_so():
        if time.monotonic() - since_s > 60:
            raise TimeoutError("the file was not taken over within a minute")
        time.sleep(0.001)
    return round((time.monotonic() - since_s) * 1000, 1)


def write_and_wait(daemon: Daemon, path: Path, text: str) -> dict[str, float]:
    """Write the file, and return how long it takes until it is in force, and until all is decided by it."""
    reconciler = daemon._reconciler  # noqa: SLF001  only looked at: a call would hold up the control thread
    before = reconciler.policy.params
    began_s = time.monotonic()
    path.write_text(text)
    in_force_ms = milliseconds_until(lambda: reconciler.policy.params != before, began_s)
    # The change leaves an empty plan, and the decision after it one that is not.
    decided_ms = milliseconds_until(lambda: len(reconciler.plan) > 0, began_s)
    return {"in_force_ms": in_force_ms, "decided_ms": decided_ms}


def summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the median and the largest of each figure."""
    found: dict[str, float] = {}
    for name in rounds[0]:
        column = [one[name] for one in rounds]
        what = name.removesuffix("_ms")
        found |= {f"{what}_median_ms": round(statistics.median(column), 1), f"{what}_max_ms": max(column)}
    return found


def measure(policy: str, regions: int, edits: int, pause_s: tuple[float, float] = (0.5, 2.5)) -> dict[str, float]:
    """Return the figures for one policy; there are pauses of such a length between the edits."""
    chance = random.Random(1)
    with sleeper() as pid, tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "memtierd.yaml"
        contents = texts(pid, policy)
        path.write_text(next(contents))
        scan = process_scan(0, regions, SCAN_NS, WRONG_PORTION)
        scan = attrs.evolve(scan, facts=attrs.evolve(scan.facts, key=process_key(pid)))
        daemon = Daemon(dry_run=True, features=probe())
        reloader = Reloader(daemon)
        scanning = Scanning(daemon, scan)
        try:
            daemon.start()
            daemon.load(read_file(str(path)))
            reloader.start()
            milliseconds_until(lambda: pid in pids(daemon), time.monotonic())
            scanning.start()
            milliseconds_until(lambda: len(daemon.tick_now()) > 0, time.monotonic())
            rounds = []
            for _ in range(edits):
                time.sleep(chance.uniform(*pause_s))
                rounds.append(write_and_wait(daemon, path, next(contents)))
            scanning.stop()
            return {**summary(rounds), "scans": scanning.posted, "scans_lost": scanning.lost()}
        finally:
            reloader.stop()
            daemon.stop()


def pids(daemon: Daemon) -> set[int]:
    """Return the processes that are managed."""
    return {key.pid for key in daemon.pidwatcher.latest.keys} if daemon.pidwatcher.latest else set()


def main() -> int:
    """Print the figures; return the exit status."""
    regions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    edits = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    logging.getLogger("memtierd").setLevel(logging.ERROR)
    with patch("memtierd.daemon.machine_facts", lambda *_: machine()):
        found = {policy: measure(policy, regions, edits) for policy in ("age", "heat")}
    print(json.dumps({"regions": regions, "nodes": len(NODES), "cpus": os.cpu_count(), **found}, indent=2))
    return int(any(one["scans_lost"] or one["decided_max_ms"] >= MAX_MS for one in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
