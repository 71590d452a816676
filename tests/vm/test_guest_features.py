"""The guest has what other guest tests build on: its nodes, and interfaces for tracking and moving pages."""

from __future__ import annotations

import ctypes
import fcntl
import gzip
import mmap
import os
import re
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = mmap.PAGESIZE
NODES = Path("/sys/devices/system/node")
CGROUPS = Path("/sys/fs/cgroup")
DAMON = Path("/sys/kernel/mm/damon/admin/kdamonds")
IDLE_BITMAP = Path("/sys/kernel/mm/page_idle/bitmap")

SOFT_DIRTY = 1 << 55  # Documentation/admin-guide/mm/pagemap.rst
PFN_MASK = (1 << 55) - 1
PAGEMAP_SCAN = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg), include/uapi/linux/fs.h
PAGE_IS_PRESENT = 1 << 3

HOT_PAGES = 256
SECONDS = 30


class Pages:
    """Anonymous memory of this process that is present, and what pagemap says of it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.memory = mmap.mmap(-1, count * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.write(count)

    def write(self, count: int) -> None:
        """Write one byte to each of the first pages."""
        for number in range(count):
            self.memory[number * PAGE] = 1

    def pagemap(self) -> list[int]:
        """One pagemap entry for each page."""
        with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
            file.seek(self.start // PAGE * 8)
            return list(struct.unpack(f"{self.count}Q", file.read(self.count * 8)))

    def pfns(self) -> list[int]:
        """The page frame number of each page."""
        return [entry & PFN_MASK for entry in self.pagemap()]


def asked_topology() -> list[tuple[int, int]]:
    """CPUs and MiB of each node, as the harness was asked for."""
    nodes = (node.split(":") for node in os.environ["MEMTIERD_VM_TOPOLOGY"].split(","))
    return [(int(cpus), int(mem_mb)) for cpus, mem_mb in nodes]


def cpu_count(cpulist: str) -> int:
    """CPUs of a list such as "0-1,4"."""
    ranges = [part.split("-") for part in cpulist.split(",") if part]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)


def test_nodes_are_those_that_were_asked_for() -> None:
    asked = asked_topology()
    assert len(list(NODES.glob("node[0-9]*"))) == len(asked)
    for number, (cpus, mem_mb) in enumerate(asked):
        node = NODES / f"node{number}"
        assert cpu_count((node / "cpulist").read_text().strip()) == cpus
        match = re.search(r"MemTotal: +([0-9]+) kB", (node / "meminfo").read_text())
        assert match is not None
        # The kernel keeps some of it for itself, most of that on the first nodes.
        assert 0.85 * mem_mb < int(match[1]) / 1024 <= mem_mb


def test_each_memory_block_is_on_one_node() -> None:
    blocks = [block.name for block in NODES.glob("node[0-9]*/memory[0-9]*")]
    assert blocks
    assert len(blocks) == len(set(blocks))


def test_slow_nodes_are_in_a_lower_memory_tier() -> None:
    slow = {int(node) for node in os.environ["MEMTIERD_VM_SLOW"].split(",") if node}
    tiers = {
        int(path.parent.name.removeprefix("memory_tier")): cpu_count(path.read_text().strip())
        for path in Path("/sys/devices/virtual/memory_tiering").glob("memory_tier*/nodelist")
    }
    fast_count = len(asked_topology()) - len(slow)
    assert [tiers[tier] for tier in sorted(tiers)] == [count for count in (fast_count, len(slow)) if count]


def test_soft_dirty_sees_a_write_and_only_that() -> None:
    pages = Pages(4)
    Path("/proc/self/clear_refs").write_text("4")
    assert not any(entry & SOFT_DIRTY for entry in pages.pagemap())
    pages.memory[2 * PAGE] = 2
    assert [bool(entry & SOFT_DIRTY) for entry in pages.pagemap()] == [False, False, True, False]


def set_idle(pfns: list[int]) -> None:
    """Mark pages idle, a word of 64 at a time (Documentation/admin-guide/mm/idle_page_tracking.rst)."""
    words: dict[int, int] = {}
    for pfn in pfns:
        words[pfn // 64] = words.get(pfn // 64, 0) | 1 << pfn % 64
    with IDLE_BITMAP.open("r+b", buffering=0) as file:
        for index, word in words.items():
            file.seek(index * 8)
            file.write(struct.pack("Q", word))


def idle_count(pfns: list[int]) -> int:
    """How many of the pages are idle."""
    with IDLE_BITMAP.open("rb", buffering=0) as file:
        words = {
            index: struct.unpack("Q", os.pread(file.fileno(), 8, index * 8))[0] for index in {p // 64 for p in pfns}
        }
    return sum(words[pfn // 64] >> pfn % 64 & 1 for pfn in pfns)


def test_idle_pages_stay_idle_until_they_are_used() -> None:
    pages = Pages(2 * HOT_PAGES)
    pfns = pages.pfns()
    used, unused = pfns[:HOT_PAGES], pfns[HOT_PAGES:]
    set_idle(pfns)
    # Pages that are still in a CPU's LRU batch can't be marked.
    assert idle_count(unused) > 0.9 * len(unused)
    write_until_seen(pages, used)
    assert idle_count(unused) > 0.9 * len(unused)


def test_accessed_bits_of_a_working_set_in_constant_use_are_seen() -> None:
    """Without the harness's tick the emulated TLB hides them for ever."""
    pages = Pages(HOT_PAGES)
    pfns = pages.pfns()
    for _ in range(3):
        set_idle(pfns)
        write_until_seen(pages, pfns)


def write_until_seen(pages: Pages, pfns: list[int]) -> None:
    """Write to the first pages, those with these numbers, until none of them is idle."""
    deadline = time.monotonic() + SECONDS
    while idle_count(pfns):
        assert time.monotonic() < deadline, f"{idle_count(pfns)} pages in constant use are still idle"
        pages.write(len(pfns))


def test_pagemap_scan_finds_present_pages() -> None:
    pages = Pages(8)
    pages.memory.madvise(mmap.MADV_DONTNEED, 2 * PAGE, PAGE)
    end = pages.start + 8 * PAGE
    regions = (ctypes.c_uint64 * 12)()  # struct page_region: start, end, categories
    argument = struct.pack(
        "12Q",
        # size, flags, start, end, walk_end, vec, vec_len, max_pages
        *(96, 0, pages.start, end, 0, ctypes.addressof(regions), 4, 0),
        # category_inverted, category_mask, category_anyof_mask, return_mask
        *(0, PAGE_IS_PRESENT, 0, PAGE_IS_PRESENT),
    )
    with Path("/proc/self/pagemap").open("rb") as file:
        found = fcntl.ioctl(file, PAGEMAP_SCAN, bytearray(argument))
    ranges = [(regions[3 * number] - pages.start, regions[3 * number + 1] - pages.start) for number in range(found)]
    assert ranges == [(0, 2 * PAGE), (3 * PAGE, 8 * PAGE)]


def test_cgroup_v2_has_the_controllers() -> None:
    cgroup = CGROUPS / "memtierd-features"
    cgroup.mkdir()
    try:
        controllers = (cgroup / "cgroup.controllers").read_text().split()
        assert {"cpu", "cpuset", "memory", "pids"} <= set(controllers)
        assert (cgroup / "memory.pressure").read_text().startswith("some ")
        (cgroup / "cpuset.mems").write_text("0")
        assert (cgroup / "cpuset.mems.effective").read_text().strip() == "0"
    finally:
        cgroup.rmdir()


@pytest.fixture
def zram() -> Iterator[Path]:
    """A new zram device of 64 MiB."""
    number = Path("/sys/class/zram-control/hot_add").read_text().strip()
    Path(f"/sys/block/zram{number}/disksize").write_text("64M")
    device = Path(f"/dev/zram{number}")
    yield device
    Path("/sys/class/zram-control/hot_remove").write_text(number)


def test_swap_on_compressed_memory(zram: Path) -> None:
    subprocess.run(["mkswap", zram], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", zram], check=True)
    try:
        pages = Pages(64)
        pages.memory.madvise(21)  # MADV_PAGEOUT
        swapped = sum(entry >> 62 & 1 for entry in pages.pagemap())
        assert swapped > 0
    finally:
        subprocess.run(["swapoff", zram], check=True)


def test_damon_watches_virtual_addresses() -> None:
    assert (DAMON / "nr_kdamonds").read_text().strip() == "0"
    (DAMON / "nr_kdamonds").write_text("1")
    try:
        (DAMON / "0/contexts/nr_contexts").write_text("1")
        operations = (DAMON / "0/contexts/0/avail_operations").read_text().split()
        assert {"vaddr", "fvaddr", "paddr"} <= set(operations)
    finally:
        (DAMON / "nr_kdamonds").write_text("0")


def test_damon_has_its_tracepoint() -> None:
    assert Path("/sys/kernel/tracing/events/damon/damon_aggregated/format").exists()


def test_kernel_configuration_can_be_read() -> None:
    options = gzip.decompress(Path("/proc/config.gz").read_bytes()).decode().splitlines()
    assert "CONFIG_IDLE_PAGE_TRACKING=y" in options


def test_numa_balancing_is_off() -> None:
    assert Path("/proc/sys/kernel/numa_balancing").read_text().strip() == "0"
