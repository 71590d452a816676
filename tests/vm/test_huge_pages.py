"""Huge pages on real nodes: no region splits one, they are moved whole, and others stay whole when some are swapped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.vm.scenes import MIB, SWAP, Memory, Memtierd, compressed_swap, meme, memtierd, numa_maps, until

START, ANY = 1, 0
HUGE_BYTES = 2 * MIB
ARRAY_BYTES = 16 * MIB

AGE = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}, {hugetlb_pid}]
    idledurationms: 2000
    idlenumas: [{node}]
    tracker:
      name: idlepage
      config: {{pagesinregion: {pages}, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


HUGETLB_POOL = Path(f"/sys/devices/system/node/node{START}/hugepages/hugepages-2048kB/nr_hugepages")
HUGETLB_USER = """
import ctypes, mmap, sys
file = open(sys.argv[1], "wb+", buffering=0)
file.truncate(2 << 20)
area = mmap.mmap(file.fileno(), 2 << 20, flags=mmap.MAP_PRIVATE)
area[0] = 1
print(ctypes.addressof(ctypes.c_char.from_buffer(area)), flush=True)
sys.stdin.read()
"""


@contextmanager
def hugetlb_user(directory: Path) -> Iterator[Memory]:
    """Run a process with a private copy of a hugetlb page on node START; give the page."""
    directory.mkdir()
    HUGETLB_POOL.write_text("1")
    subprocess.run(["mount", "-t", "hugetlbfs", "none", directory], check=True)
    try:
        command = [sys.executable, "-c", HUGETLB_USER, str(directory / "file")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            page = Memory(process.pid, int(process.stdout.readline()), HUGE_BYTES)
            assert numa_maps(page.pid)[page.start] == {f"N{START}": "1"}
            yield page
            process.kill()
    finally:
        subprocess.run(["umount", directory], check=True)
        HUGETLB_POOL.write_text("0")


def anon_huge_bytes(memory: Memory) -> int:
    """Return AnonHugePages of the mapping that begins at this memory."""
    text = Path(f"/proc/{memory.pid}/smaps").read_text()
    found = re.search(rf"^{memory.start:x}-.*?^AnonHugePages: +([0-9]+) kB", text, re.MULTILINE | re.DOTALL)
    assert found is not None, text
    return int(found[1]) * 1024


def vmstat(name: str) -> int:
    """Return a counter of /proc/vmstat (Documentation/admin-guide/mm/transhuge.rst)."""
    found = re.search(rf"^{name} ([0-9]+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1])


def regions_in(daemon: Memtierd, array: Memory) -> list[dict[str, Any]]:
    """Return the regions of a process that begin in this memory."""
    rows = json.loads(daemon.ask(f"regions -pid {array.pid} -f json"))
    assert rows
    return [row for row in rows if array.start <= int(row["start"], 16) < array.end]


def move_by_hand(daemon: Memtierd, part: Memory, node: int) -> None:
    """Let the mover move what is in this part, and wait until it has."""
    daemon.ask("policy -stop")
    daemon.ask(f"pages -pid {part.pid} -ranges {part.start:x}-{part.end:x}")
    daemon.ask(f"mover -start -pages-to {node}")
    daemon.ask("mover -wait")


@contextmanager
def demoted(directory: Path, array: Memory, hugetlb: Memory, node: int, pages: int) -> Iterator[Memtierd]:
    """Run memtierd with such regions until the array is on the node; check that nothing was split or harmed."""

    def is_there() -> bool:
        return array.portion(node) == 1

    def is_huge() -> bool:
        return {row["huge_percent"] for row in regions_in(daemon, array)} == {100}

    config = AGE.format(pid=array.pid, hugetlb_pid=hugetlb.pid, node=node, pages=pages)
    with memtierd(directory, config) as daemon:
        until("the array is on the idle node", is_there, lambda: str(array.spread()))
        assert anon_huge_bytes(array) == ARRAY_BYTES
        assert {int(row["start"], 16) % HUGE_BYTES for row in regions_in(daemon, array)} == {0}
        # The scan before may have met pages under way.
        until("all is seen as huge", is_huge, daemon.tail)
        assert regions_in(daemon, hugetlb) == []
        assert numa_maps(hugetlb.pid)[hugetlb.start] == {f"N{START}": "1"}
        yield daemon


def test_huge_pages_stay_whole(tmp_path: Path) -> None:
    with (
        compressed_swap(64),
        hugetlb_user(tmp_path / "huge") as hugetlb,
        meme("-bth", "-bs", "16M", "-brs", "0", "-bws", "0", node=START) as load,
    ):
        array = load.arrays[0]
        assert array.start % HUGE_BYTES == 0
        assert anon_huge_bytes(array) == ARRAY_BYTES
        moved, split = vmstat("thp_migration_success"), vmstat("thp_split_page")
        # Smaller than a huge page, and no multiple of one.
        with demoted(tmp_path, array, hugetlb, 3, pages=256) as daemon:
            assert [row["pages"] for row in regions_in(daemon, array)] == [512] * (ARRAY_BYTES // HUGE_BYTES)
        with demoted(tmp_path, array, hugetlb, 2, pages=700) as daemon:
            assert vmstat("thp_migration_success") - moved == 2 * ARRAY_BYTES // HUGE_BYTES

            # A range by hand from the middle of one huge page to the middle of the next: both go, whole.
            move_by_hand(daemon, array.part(HUGE_BYTES + MIB, HUGE_BYTES), ANY)
            assert array.part(HUGE_BYTES, 2 * HUGE_BYTES).portion(ANY) == 1, array.spread()
            assert array.portion(2) == 0.75, array.spread()
            assert anon_huge_bytes(array) == ARRAY_BYTES
            assert vmstat("thp_split_page") == split

            daemon.ask(f"swap -pid {load.pid} -out -ranges {array.start:x}+4M")
            assert array.part(0, 2 * HUGE_BYTES).is_on(SWAP), array.spread()
            assert anon_huge_bytes(array) == ARRAY_BYTES - 2 * HUGE_BYTES
