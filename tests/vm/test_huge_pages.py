"""Huge pages on real nodes: no region splits one, they are moved whole, and others stay whole when some are swapped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.vm.scenes import MIB, SWAP, Memory, Memtierd, compressed_swap, meme, memtierd, until

START, ANY = 1, 0
HUGE_BYTES = 2 * MIB
ARRAY_BYTES = 16 * MIB

AGE = """
policy:
  name: age
  config:
    intervalms: 1000
    pids: [{pid}]
    idledurationms: 2000
    idlenumas: [{node}]
    tracker:
      name: idlepage
      config: {{pagesinregion: {pages}, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


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


def regions_of(daemon: Memtierd, array: Memory) -> list[dict[str, Any]]:
    """Return the regions that lie in the array."""
    rows = json.loads(daemon.ask("regions -f json"))
    return [row for row in rows if array.start <= int(row["start"], 16) < array.end]


def move_by_hand(daemon: Memtierd, part: Memory, node: int) -> None:
    """Let the mover move what is in this part, and wait until it has."""
    daemon.ask("policy -stop")
    daemon.ask(f"pages -pid {part.pid} -ranges {part.start:x}-{part.end:x}")
    daemon.ask(f"mover -start -pages-to {node}")
    daemon.ask("mover -wait")


def test_huge_pages_stay_whole(tmp_path: Path) -> None:
    with compressed_swap(64), meme("-bth", "-bs", "16M", "-brs", "0", "-bws", "0", node=START) as load:
        array = load.arrays[0]
        assert array.start % HUGE_BYTES == 0
        assert anon_huge_bytes(array) == ARRAY_BYTES
        moved, split = vmstat("thp_migration_success"), vmstat("thp_split_page")

        def where() -> str:
            return f"{array.spread()}, huge {anon_huge_bytes(array)}"

        # Smaller than a huge page, and no multiple of one.
        for pages, node in ((256, 3), (700, 2)):
            with memtierd(tmp_path, AGE.format(pid=load.pid, node=node, pages=pages)) as daemon:
                until("the array is on the idle node", lambda node=node: array.portion(node) == 1, where)
                assert anon_huge_bytes(array) == ARRAY_BYTES
                regions = regions_of(daemon, array)
                assert {int(row["start"], 16) % HUGE_BYTES for row in regions} == {0}
                assert {row["huge_percent"] for row in regions} == {100}
                if pages == 256:
                    assert [row["pages"] for row in regions] == [512] * (ARRAY_BYTES // HUGE_BYTES)
                    continue
                assert vmstat("thp_migration_success") - moved == 2 * ARRAY_BYTES // HUGE_BYTES

                # A range by hand from the middle of one huge page to the middle of the next: both go, whole.
                move_by_hand(daemon, array.part(HUGE_BYTES + MIB, HUGE_BYTES), ANY)
                assert array.part(HUGE_BYTES, 2 * HUGE_BYTES).portion(ANY) == 1, where()
                assert array.portion(node) == 0.75, where()
                assert anon_huge_bytes(array) == ARRAY_BYTES
                assert vmstat("thp_split_page") == split

                daemon.ask(f"swap -pid {load.pid} -out -ranges {array.start:x}+4M")
                assert array.part(0, 2 * HUGE_BYTES).is_on(SWAP), where()
                assert anon_huge_bytes(array) == ARRAY_BYTES - 2 * HUGE_BYTES
