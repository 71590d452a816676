"""A policy with pages of interest, on live memory and without moving any: what is in the table is what was named."""

import ctypes
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtierd import config
from memtierd.daemon import Daemon
from memtierd.linux.probe import probe
from memtierd.reconcile import Reconciler

FEATURES = probe()
PAGE = mmap.PAGESIZE
DEADLINE_S = 30.0

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
    pytest.mark.skipif(not FEATURES.works("referenced"), reason=FEATURES.get("referenced").detail),
]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon(features=FEATURES, dry_run=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def child() -> Iterator[tuple[int, int]]:
    """Run a process with 64 pages of its own; give its pid and their address."""
    memory = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        memory[:] = b"x" * len(memory)
        os.write(done, b"!")
        while True:
            time.sleep(600)
    os.read(ready, 1)
    yield pid, start
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(done)


def until(condition: Callable[[], bool], say: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, say()
        time.sleep(0.02)


def table_of(daemon: Daemon) -> list[tuple[int, int, int]]:
    """Return (pid, address, pages) of each region."""

    def rows(reconciler: Reconciler) -> list[tuple[int, int, int]]:
        table = reconciler.table
        pids = reconciler.processes.pids[table.process]
        return list(zip(pids.tolist(), table.start.tolist(), table.pages.tolist(), strict=True))

    return daemon.call(rows)


def test_regions_are_what_was_named_last(daemon: Daemon, child: tuple[int, int], tmp_path: Path) -> None:
    pid, start = child

    def name(first: int, pages: int) -> tuple[int, int, int]:
        address = start + first * PAGE
        (tmp_path / f"{pid}.vab").write_bytes(struct.pack("<QQ", address, address + pages * PAGE))
        return pid, address, pages

    text = f"""
        {{intervalms: 20, idlenumas: [0], pagesofinterestdir: {tmp_path},
          tracker: {{name: referenced, config: {{scanintervalms: 20}}}}}}
    """
    named = name(3, 5)
    daemon.create_policy("demote-idle")
    daemon.configure_policy(config.structure("policy", "demote-idle", text, "x"))
    daemon.start_policy()
    until(lambda: table_of(daemon) == [named], lambda: table_of(daemon))
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = name(10, 2)
        scans = daemon.call(lambda reconciler: reconciler.last_scan)
        until(lambda: daemon.call(lambda reconciler: reconciler.last_scan) is not scans, lambda: "no other scan")
        assert table_of(daemon) == [named]
    until(lambda: table_of(daemon) == [other], lambda: table_of(daemon))
    assert daemon.pidwatcher.is_running
    assert daemon.pidwatcher.name is None
    (tmp_path / f"{pid}.vab").unlink()
    until(lambda: table_of(daemon) == [], lambda: table_of(daemon))
    # Without the policy nothing is limited any more.
    daemon.stop_policy()
    assert not daemon.pidwatcher.is_running
    daemon.start_tracker([pid])
    until(lambda: sum(pages for _, _, pages in table_of(daemon)) > 64, lambda: table_of(daemon))


def test_a_pidwatcher_by_hand_feeds_the_tracker(daemon: Daemon, child: tuple[int, int]) -> None:
    pid, _ = child
    daemon.create_tracker("referenced")
    daemon.start_tracker([os.getppid()])
    daemon.create_pidwatcher("pidlist")
    daemon.pidwatcher.configure(config.structure("pidwatcher", "pidlist", f"pids: [{pid}]", "x"))
    daemon.pidwatcher.start()
    daemon.pidwatcher.start()
    until(lambda: {row[0] for row in table_of(daemon)} == {pid}, lambda: table_of(daemon))
    daemon.pidwatcher.stop()
    daemon.pidwatcher.stop()
    assert {row[0] for row in table_of(daemon)} == {pid}
