"""The demote-idle policy on real nodes: what is idle leaves, whenever it comes back, and only what is named."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm.scenes import MIB, PAGE, Memory, meme, memtierd, until

START, FAST, SLOW, OTHER_SLOW = 1, 0, 3, 2
USED_MB = 4
_SYS_MIGRATE_PAGES = 256  # x86_64
_LIBC = ctypes.CDLL(None, use_errno=True)

CONFIG = """
policy:
  name: demote-idle
  config:
    intervalms: 1000
    idlenumas: {nodes}
    {whom}
    tracker:
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: 1000, regionsupdatems: 0}}
    mover: {{intervalms: 20, bandwidth: 400}}
"""


def migrate(pid: int, source: int, target: int) -> None:
    """Move what a process has on one node to another one, as migratepages(8) does."""
    masks = [(ctypes.c_ulong * 1)(1 << node) for node in (source, target)]
    result = _LIBC.syscall(_SYS_MIGRATE_PAGES, ctypes.c_int(pid), ctypes.c_ulong(64), *masks)
    assert result >= 0, os.strerror(ctypes.get_errno())


def test_idle_memory_leaves_whenever_it_is_back_and_used_memory_stays(tmp_path: Path) -> None:
    with meme("-bs", "16M", "-bws", "0", "-brs", f"{USED_MB}M", "-bri", "50ms", node=START) as load:
        used = load.arrays[0].part(0, USED_MB * MIB)
        idle = load.arrays[0].part(used.size, load.arrays[0].size - used.size)
        with memtierd(tmp_path, CONFIG.format(nodes=[SLOW, OTHER_SLOW], whom=f"pids: [{load.pid}]")):
            until("idle memory is on a slow node", lambda: idle.is_on(SLOW, OTHER_SLOW), idle.spread)
            assert used.is_on(START), used.spread()
            for node in (SLOW, OTHER_SLOW):
                migrate(load.pid, node, FAST)
            until("it has left again", lambda: idle.is_on(SLOW, OTHER_SLOW), idle.spread)
            assert used.is_on(START), used.spread()


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Hold the lock as a writer, and write in the block."""
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def name_pages(directory: Path, *parts: Memory) -> None:
    """Write the file of a process: these parts of its memory and no others."""
    pairs = b"".join(struct.pack("<QQ", part.start, part.end) for part in parts)
    (directory / f"{parts[0].pid}.vab").write_bytes(pairs)


def pages_on_slow(memory: Memory) -> set[int]:
    """Return the numbers of the pages that are on the slow node."""
    return {page for page, node in enumerate(memory.nodes().tolist()) if node == SLOW}


def numbers_of(part: Memory, whole: Memory) -> set[int]:
    """Return the numbers that the pages of a part have in the whole."""
    first = (part.start - whole.start) // PAGE
    return set(range(first, first + part.size // PAGE))


def test_only_what_is_named_leaves_and_not_while_it_is_being_named(tmp_path: Path) -> None:
    interest = tmp_path / "interest"
    interest.mkdir()
    whom = f"pagesofinterestdir: {interest}\n    pids: [{{pid}}]"
    idle_one = ("-bs", "4M", "-bws", "0", "-brs", "0")
    with (
        meme("-bs", "24M", "-bws", "0", "-brs", f"{USED_MB}M", "-bri", "50ms", node=START) as load,
        meme(*idle_one, node=START) as watched,
        meme(*idle_one, node=START) as stranger,
    ):
        array = load.arrays[0]
        used = array.part(0, USED_MB * MIB)
        first = array.part(8 * MIB + 3 * PAGE, 2 * MIB + 7 * PAGE)
        second = array.part(16 * MIB + 5 * PAGE, 3 * MIB)
        config = CONFIG.format(nodes=[SLOW], whom=whom.format(pid=watched.pid))
        with memtierd(tmp_path, config) as daemon:
            with writing(interest):
                name_pages(interest, first)
                until("a watched process is managed wholly", lambda: watched.arrays[0].is_on(SLOW))
                migrate(watched.pid, SLOW, FAST)
                until("it is managed as ever", lambda: watched.arrays[0].is_on(SLOW))
                assert not pages_on_slow(array), array.spread()
            until("what is named is on the slow node", lambda: first.is_on(SLOW), first.spread)
            assert pages_on_slow(array) <= numbers_of(first, array)
            with writing(interest):
                name_pages(interest, second, used)
            until("what is named now is there, too", lambda: second.is_on(SLOW), second.spread)
            daemon.let_pass(3, "policy.demote-idle.tick")
            assert pages_on_slow(array) <= numbers_of(first, array) | numbers_of(second, array)
            assert first.is_on(SLOW), first.spread()
            assert used.is_on(START), used.spread()
            assert stranger.arrays[0].is_on(START)
