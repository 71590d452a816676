"""The finder tracker: regions are the pages whose bits are as asked for, and only they are moved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from tests.vm.scenes import MIB, PAGE, Memory, meme, memtierd, until

START, FAST = 1, 0
WRITTEN_MB = 8
CLEAR_SOFT_DIRTY = "4"  # Documentation/filesystems/proc.rst
SOFT_DIRTY, PRESENT = np.uint64(1 << 55), np.uint64(1 << 63)  # Documentation/admin-guide/mm/pagemap.rst

CONFIG = """
policy:
  name: heat
  config:
    intervalms: 1000
    pids: [{pid}]
    heatnumas: {{9: [0]}}
    tracker:
      name: finder
      config:
        pagesinregion: 64
        scanintervalms: 1000
        reportaccesses: 64
        pagemapbitpresent: true
        pagemapbitsoftdirty: true
    mover: {{intervalms: 20, bandwidth: 200}}
"""


def pages_with(memory: Memory, bits: np.uint64) -> set[int]:
    """Return the numbers of the pages whose pagemap entries have all these bits."""
    with Path(f"/proc/{memory.pid}/pagemap").open("rb", buffering=0) as file:
        first = memory.start // PAGE
        entries = np.frombuffer(os.pread(file.fileno(), memory.size // PAGE * 8, first * 8), np.uint64)
    return {first + int(index) for index in np.flatnonzero((entries & bits) == bits)}


def test_only_memory_with_the_bits_asked_for_is_found_and_moved(tmp_path: Path) -> None:
    with meme("-bs", "24M", "-brs", "0", "-bws", f"{WRITTEN_MB}M", "-bwi", "100ms", node=START) as load:
        (array,) = load.arrays
        written = array.part(0, WRITTEN_MB * MIB)
        rest = array.part(written.size, array.size - written.size)
        Path(f"/proc/{load.pid}/clear_refs").write_text(CLEAR_SOFT_DIRTY)
        until("meme has written again", lambda: len(pages_with(written, SOFT_DIRTY)) == written.size // PAGE)

        def where() -> str:
            return f"written {written.spread()}, rest {rest.spread()}"

        with memtierd(tmp_path, CONFIG.format(pid=load.pid)) as daemon:
            until("written memory is on the fast node", lambda: written.is_on(FAST), where)
            assert rest.is_on(START), where()
            daemon.let_pass(2, "tracker.finder.scan")
            found: set[int] = set()
            for row in json.loads(daemon.ask(f"regions -pid {load.pid} -f json")):
                assert row["pages"] <= 64
                found.update(range(int(row["start"], 16) // PAGE, int(row["end"], 16) // PAGE))
            in_array = set(range(array.start // PAGE, array.end // PAGE))
            assert found & in_array == pages_with(array, SOFT_DIRTY | PRESENT)
            assert rest.is_on(START), where()
