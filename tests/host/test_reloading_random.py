"""A thousand random edits in a row, valid and invalid, while memory is tracked: nothing is lost and nothing leaks."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest

from memtierd.config import ConfigFile, changes, read_file
from memtierd.daemon import Daemon
from memtierd.errors import ConfigError, MemtierdError
from memtierd.linux.probe import probe
from memtierd.prompt.console import Console
from memtierd.reconcile import Reconciler
from memtierd.regions.history import idle_ms, is_judged
from memtierd.units import MIB
from tests.host.random_edits import RandomEdits

FEATURES = probe()
EDITS = 1000
SEED = 20240229
MOST_GROWTH_BYTES = 24 * MIB

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not FEATURES.works("referenced") or not FEATURES.works("pagemap_pfn"), reason="no tracker works here"
    ),
]

IDLE = """
import ctypes, mmap, sys
memory = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(bytes(range(256)) * (32 << 12))
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
sys.stdin.read()
"""
BUSY = """
import time
memory = bytearray(range(256)) * (16 << 12)
while True:
    memory[:: 4096] = bytes(len(memory) // 4096)
    time.sleep(0.002)
"""


@attrs.frozen
class Idle:
    """A process with 32 MB that it never uses again."""

    pid: int
    start: int


@pytest.fixture
def idle() -> Iterator[Idle]:
    with subprocess.Popen([sys.executable, "-c", IDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Idle(process.pid, int(process.stdout.readline()))
        process.kill()


@pytest.fixture
def busy() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon(features=FEATURES)
    with open(os.devnull, "w", encoding="utf-8") as sink:
        made.console = Console(made, sink, sink)
        made.start()
        yield made
        made.stop()


@attrs.frozen
class Known:
    """What is known of the memory that is never used: for how long at least it is idle, and how much is judged."""

    idle_ms: int
    judged_pages: int
    keeps_heat: bool


def known(daemon: Daemon, idle: Idle) -> Known | None:
    """Return what is known of the idle process's memory, None when nothing is."""

    def look(reconciler: Reconciler) -> Known | None:
        table, processes = reconciler.table, reconciler.processes
        end = np.uint64(idle.start + 32 * MIB)
        rows = (processes.pids[table.process] == idle.pid) & (table.start < end) & (table.end > np.uint64(idle.start))
        if not rows.any():
            return None
        idle_for = idle_ms(table.last_access_ms[rows], processes.observed_ms[table.process[rows]])
        judged = int(table.pages[rows][is_judged(table.flags[rows])].sum())
        return Known(int(idle_for.max()), judged, reconciler.policy.heat is not None)

    return daemon.call(look, 60)


def watches(file: ConfigFile, pid: int) -> bool:
    """Return whether a configuration says that this process is managed, whatever its size."""
    policy = file.config.policy
    watcher = policy.params.pidwatcher if policy is not None else None
    return watcher is not None and watcher.name == "pidlist" and pid in watcher.params.pids


def held() -> tuple[int, int]:
    """Return how many threads and files are open."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def rss_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def until(is_so: Callable[[], bool], timeout_s: float = 60) -> None:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.01)


def config_conditions(daemon: Daemon) -> list[str]:
    return [held.text for held in daemon.conditions() if held.source == "configuration"]


def let_learn(daemon: Daemon, idle: Idle) -> Known | None:
    """Let the idle memory become older, if there is a tracker that finds it so soon; return what is known then."""
    before = known(daemon, idle)
    end_s = time.monotonic() + 0.2
    now = before
    while time.monotonic() < end_s and before is not None and (now is None or now.idle_ms <= before.idle_ms):
        time.sleep(0.01)
        now = known(daemon, idle)
    return now


def running_differs(daemon: Daemon, file: ConfigFile) -> list[str]:
    """Return what `config -diff` would show between what runs and a file."""
    running = daemon.effective()
    goal = attrs.evolve(running, policy=file.config.policy, routines=file.config.routines)
    return [str(change) for change in changes(running, goal)]


def reload(daemon: Daemon, path: Path, last: ConfigFile) -> ConfigFile:
    """Reload, and return the file that is to run now: what is there, or the last one that could be taken over."""
    expected, wrong = read(path)
    refused = problems_of(daemon.reload)
    held = sorted(config_conditions(daemon))
    assert held == sorted(set(refused))
    assert not wrong or refused == wrong
    return last if refused or expected is None else expected


def read(path: Path) -> tuple[ConfigFile | None, list[str]]:
    try:
        return read_file(str(path)), []
    except ConfigError as error:
        return None, error.problems


def problems_of(action: Callable[[], object]) -> list[str]:
    """Return what an action was refused for, nothing when it was done."""
    try:
        action()
    except MemtierdError as error:
        return error.problems if isinstance(error, ConfigError) else [str(error)]
    return []


def test_a_thousand_random_edits(daemon: Daemon, idle: Idle, busy: int, tmp_path: Path) -> None:
    path = tmp_path / "memtierd.yaml"
    edits = RandomEdits(SEED, path, [idle.pid, busy])
    first = read_file(str(path))
    daemon.load(first)
    until(lambda: known(daemon, idle) is not None)
    last, kept = first, 0
    sizes, failed = [], 0
    for number in range(EDITS):
        edits.edit()
        before = let_learn(daemon, idle) if number % 8 == 0 else known(daemon, idle)
        now = reload(daemon, path, last)
        failed += now is last
        assert running_differs(daemon, now) == [], f"edit {number}: {path.read_text() if path.exists() else 'missing'}"
        after = known(daemon, idle)
        if before is not None and watches(last, idle.pid) and watches(now, idle.pid):
            assert after is not None, f"edit {number}: the process was dropped"
            assert after.idle_ms >= before.idle_ms, f"edit {number}: the age was lost"
            if before.keeps_heat or not after.keeps_heat:
                assert after.judged_pages >= before.judged_pages, f"edit {number}: what was judged is not any more"
            kept += before.idle_ms > 0
        last = now
        if number in (EDITS // 2 - 1, EDITS - 1):
            sizes.append(rss_bytes())
    assert EDITS // 4 < failed < 3 * EDITS // 4
    assert kept > EDITS // 20, "too few edits could have lost something"
    assert sizes[1] - sizes[0] < MOST_GROWTH_BYTES


def test_edits_leave_no_thread_and_no_file_behind(daemon: Daemon, idle: Idle, busy: int, tmp_path: Path) -> None:
    path = tmp_path / "memtierd.yaml"
    edits = RandomEdits(SEED + 1, path, [idle.pid, busy])
    first = read_file(str(path))

    def at_rest() -> tuple[int, int]:
        daemon.apply(first.config)
        until(lambda: daemon.call(lambda reconciler: len(list(reconciler.processes.rows()))) == 2)
        return held()

    daemon.load(first)
    before = at_rest()
    for _ in range(100):
        edits.edit()
        problems_of(daemon.reload)
    until(lambda: all(now <= then for now, then in zip(at_rest(), before, strict=True)))
