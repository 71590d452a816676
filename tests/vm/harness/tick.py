"""In the guest: wake a real-time process on every CPU every MS milliseconds, MS being the one argument.

An emulated CPU keeps a small working set in its TLB for as long as nothing else runs on it. The kernel clears accessed
bits without a flush, so those pages would never be seen as accessed again. Each switch to another process empties the
emulated TLB. The price is about 20 % of the guest's speed at 10 ms.
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    """Fork a process for each CPU and never return."""
    period_s = int(sys.argv[1]) / 1000
    cpu = 0
    for other_cpu in range(1, os.cpu_count() or 1):
        if os.fork() == 0:
            cpu = other_cpu
            break
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while True:
        time.sleep(period_s)


if __name__ == "__main__":
    main()
