"""Compare the CPU time of memtierd's scans with bare C loops over the same interface, on one process of 4 KiB pages.

Usage: python benchmarks/bench_scan.py [SIZE]     (default 4G; prints JSON; exit status 1 when a ratio is 1.5 or more)
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from memtierd import native
from memtierd.model import AddressRange
from memtierd.units import PAGE_BYTES, parse_size

ROUNDS = 5
MAX_RATIO = 1.5
REGION_PAGES = 512
"""2 MiB, the usual size of a region."""

CHILD = """
import ctypes, mmap, sys
size = int(sys.argv[1])
area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
area.madvise(mmap.MADV_NOHUGEPAGE)
for offset in range(0, size, mmap.PAGESIZE):
    area[offset] = 1
print(ctypes.addressof(ctypes.c_char.from_buffer(area)), flush=True)
sys.stdin.read()
"""


@contextmanager
def target_process(size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield pid and address of a process with that much touched memory."""
    command = [sys.executable, "-c", CHILD, str(size_bytes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.pid, int(child.stdout.readline())
        finally:
            child.kill()


def compile_bare(directory: Path) -> Path:
    """Return the compiled bare_scan.c."""
    binary = directory / "bare_scan"
    source = Path(__file__).with_name("bare_scan.c")
    subprocess.run(["cc", "-O2", "-o", str(binary), str(source)], check=True)
    return binary


def scans(pagemap_fd: int, address: int, pages: int) -> dict[str, tuple[str, Callable[[], int]]]:
    """Return our scans by name, each with the name of the bare loop it is compared with."""
    regions = -(-pages // REGION_PAGES)
    start = np.uint64(address) + np.arange(regions, dtype=np.uint64) * np.uint64(REGION_PAGES * PAGE_BYTES)
    lengths = np.full(regions, REGION_PAGES, np.uint32)
    lengths[-1] = pages - (regions - 1) * REGION_PAGES
    node_map = native.NodeMap((128 << 20) // PAGE_BYTES, np.zeros(1 << 16, np.int8))
    written, swapped = np.zeros(regions, np.uint32), np.zeros(regions, np.uint32)
    nodes = np.zeros((2, regions), np.uint32)
    stop = np.zeros(1, np.int32)
    fd = pagemap_fd
    result: dict[str, tuple[str, Callable[[], int]]] = {
        "scan_presence": (
            "pagemap",
            lambda: native.scan_presence(fd, start, lengths, node_map, swapped, nodes, stop),
        ),
        "scan_soft_dirty": (
            "pagemap",
            lambda: native.scan_soft_dirty(fd, start, lengths, 1, node_map, written, swapped, nodes, stop),
        ),
    }
    if native.has_pagemap_scan():
        whole = AddressRange(address, address + pages * PAGE_BYTES)
        result["populated"] = ("ranges", lambda: len(native.populated(fd, whole, stop)[0]))
    return result


def cpu_ns(scan: Callable[[], int]) -> int:
    """Return the CPU time of one scan."""
    before = time.process_time_ns()
    scan()
    return time.process_time_ns() - before


def compare(pid: int, address: int, pages: int, bare: Path) -> dict[str, dict[str, float]]:
    """Return the least CPU time a page of ROUNDS alternated runs of each scan and its bare loop, and their ratio."""
    pagemap_fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
    result = {}
    for name, (loop, scan) in scans(pagemap_fd, address, pages).items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            command = [str(bare), str(pid), str(address), str(pages), loop]
            theirs.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            ours.append(cpu_ns(scan))
        result[name] = {
            "ns_per_page": round(min(ours) / pages, 3),
            "bare_ns_per_page": round(min(theirs) / pages, 3),
            "ratio": round(min(ours) / min(theirs), 3),
        }
    os.close(pagemap_fd)
    return result


def main() -> int:
    """Print the comparison; return the exit status."""
    size_bytes = parse_size(sys.argv[1] if len(sys.argv) > 1 else "4G")
    pages = size_bytes // PAGE_BYTES
    with tempfile.TemporaryDirectory() as directory, target_process(size_bytes) as (pid, address):
        result = compare(pid, address, pages, compile_bare(Path(directory)))
    print(json.dumps({"size_bytes": size_bytes, "pages": pages, "max_ratio": MAX_RATIO, "scans": result}, indent=2))
    return int(any(scan["ratio"] >= MAX_RATIO for scan in result.values()))


if __name__ == "__main__":
    raise SystemExit(main())
