"""How long the prompt takes over a million regions: the most used ones, a dump, and all of them as csv.

    python -m benchmarks.bench_prompt [REGIONS]

Prints seconds, medians of some rounds, and rows a second; the exit status is 1 when an answer takes longer than 0.5 s
or csv streams at less than 100,000 rows a second.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from benchmarks.bench_tick import NODES, SCAN_NS, age_policy, machine, whole_scan
from memtierd.linux.roots import Roots
from memtierd.prompt.session import Session
from memtierd.reconcile import Reconciler

ROUNDS = 5
MAX_S = 0.5
MIN_ROWS_A_SECOND = 100_000
T = TypeVar("T")


class Daemon:
    """What these commands need of the daemon."""

    roots = Roots()
    dry_run = False
    policy_name = "age"

    def __init__(self, regions: int) -> None:
        self.reconciler = Reconciler(age_policy(), NODES, 0)
        for number in range(3):
            self.reconciler.observe(whole_scan(regions, number, 0.1))
            self.reconciler.decide((number + 1) * SCAN_NS + 2, machine())

    @property
    def policy_params(self) -> Any:
        """Return the parameters of its policy."""
        return self.reconciler.policy.params

    def call(self, function: Callable[[Reconciler], T], timeout_s: float = 10) -> T:
        """Return `function(reconciler)`."""
        return function(self.reconciler)


def seconds(session: Session, out: io.StringIO, line: str) -> float:
    """Return the median time of a command."""
    taken = []
    for _ in range(ROUNDS):
        out.seek(0)
        out.truncate()
        before = time.perf_counter()
        status = session.run_line(line)
        taken.append(time.perf_counter() - before)
        if status:
            raise SystemExit(f"{line!r} failed with status {status}")
    return round(statistics.median(taken), 4)


def main() -> int:
    """Print the figures; return the exit status."""
    regions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    daemon: Any = Daemon(regions)
    out = io.StringIO()
    session = Session(daemon, out, sys.stderr, clock_ns=lambda: 4 * SCAN_NS)
    answers = {
        line: seconds(session, out, line)
        for line in ("regions -top 20", "policy -dump accessed 0,5s,30s,10m,2h,24h,0", "policy -dump accessed")
    }
    csv_s = seconds(session, out, "regions -f csv")
    rows_a_second = round(regions / csv_s)
    print(json.dumps({"regions": regions, "answers_s": answers, "csv_rows_a_second": rows_a_second}, indent=2))
    return int(any(taken > MAX_S for taken in answers.values()) or rows_a_second < MIN_ROWS_A_SECOND)


if __name__ == "__main__":
    raise SystemExit(main())
