"""The prompt answers while a scan or a move is under way that takes for ever.

Nothing is timed: the scan, or the system call, is held until the test has its answers.
"""

import io
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import pytest

from memtierd import trackers
from memtierd.daemon import Daemon
from memtierd.linux.probe import Features, probe
from memtierd.model import ProcessKey, Scan
from memtierd.mover import Batch, Mover, MoverParams
from memtierd.prompt.session import Session
from memtierd.prompt.voice import FAILED, INTERRUPTED, OK
from memtierd.trackers.params import StubParams
from memtierd.trackers.tracker import ScanStoppedError, StopFlag

FEATURES: Features = probe()
DEADLINE_S = 60

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
]


@attrs.define(eq=False)
class HeldTracker:
    """Begins a scan, and goes on only when it is let go."""

    name: str = "stub"
    why: str = ""
    params: Any = attrs.field(factory=StubParams)
    interval_ms: int = 1
    is_scanning: threading.Event = attrs.field(factory=threading.Event)
    let_go: threading.Event = attrs.field(factory=threading.Event)

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        self.is_scanning.set()
        assert self.let_go.wait(DEADLINE_S)
        if stop.is_set():
            raise ScanStoppedError("stopped")
        return Scan(self.name, 0, 1, ())

    def conditions(self) -> tuple[str, ...]:
        return ()

    def forget(self, key: ProcessKey) -> None:
        pass

    def close(self) -> None:
        pass


@attrs.define
class User:
    """Somebody at the prompt of a daemon."""

    daemon: Daemon
    out: io.StringIO = attrs.field(factory=io.StringIO)
    err: io.StringIO = attrs.field(factory=io.StringIO)

    def says(self, line: str) -> int:
        """Return the status of a line that ends in time."""

        def hangs(_number: int, _frame: object) -> None:
            raise AssertionError(f"no answer: {line}")

        before = signal.signal(signal.SIGALRM, hangs)
        signal.alarm(DEADLINE_S // 2)
        try:
            return Session(self.daemon, self.out, self.err).run_line(line)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


@pytest.fixture
def user() -> Iterator[User]:
    daemon = Daemon(features=FEATURES)
    daemon.start()
    yield User(daemon)
    daemon.stop()


@pytest.fixture
def held(user: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldTracker]:
    """Return the tracker of a policy that is in the middle of its scan."""
    tracker = HeldTracker()
    monkeypatch.setattr(trackers, "build", lambda *_: tracker)
    own = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", own], stdin=subprocess.PIPE) as process:
        config = f'{{"pids": [{process.pid}], "tracker": {{"name": "stub"}}}}'
        assert user.says(f"policy -create age -config {config} -start") == OK
        assert tracker.is_scanning.wait(DEADLINE_S)
        yield tracker
        tracker.let_go.set()
        process.kill()


LOOKING = (
    "regions",
    "regions -top 20 -f json",
    "plan -now",
    "stats",
    "stats -t events,memory_scans -f csv",
    "policy -dump accessed",
    "policy -config-dump",
    "policy -stop",
    "policy -start",
    "tracker -counters",
    "tracker -dump raw start",
    "pidwatcher -dump",
    "mover -tasks",
    "mover -wait",
    "routines -ls",
    "health",
    "top -count 1",
    "help",
)


def test_every_command_answers_in_the_middle_of_a_scan(user: User, held: HeldTracker) -> None:
    for line in LOOKING:
        assert user.says(line) == OK, (line, user.err.getvalue())
    assert not held.let_go.is_set()
    assert "stub" in user.out.getvalue()


class HeldFiles:
    """A kernel whose first system call goes on only when it is let go."""

    def __init__(self) -> None:
        self.is_moving = threading.Event()
        self.let_go = threading.Event()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_arguments: Any, **_named: Any) -> Any:
            self.is_moving.set()
            self.let_go.wait(DEADLINE_S)
            raise OSError(3, "no such process")

        return call


@pytest.fixture
def moving(user: User) -> Iterator[HeldFiles]:
    """Return the kernel of a mover that is in the middle of a system call."""
    kernel: Any = HeldFiles()
    user.daemon.mover = Mover(MoverParams(), kernel, lambda: 0, lambda _: None, lambda _: None)
    user.daemon.mover.start()
    batch = Batch(ProcessKey(1, 1), 0, np.array([0x1000], np.uint64), np.ones(1, np.uint32), 1, "prompt")
    user.daemon.mover.add(batch)
    assert kernel.is_moving.wait(DEADLINE_S)
    yield kernel
    kernel.let_go.set()


def test_every_command_answers_in_the_middle_of_a_move(user: User, moving: HeldFiles) -> None:
    for line in (
        "regions",
        "stats",
        "plan",
        "health",
        "top -count 1",
        "mover -tasks",
        "mover -pause",
        "mover -continue",
    ):
        assert user.says(line) == OK, (line, user.err.getvalue())
    assert "MoverTask{pid: 1, " in user.out.getvalue()
    assert user.says("mover -wait -timeout 10ms") == FAILED
    assert "not done within 0.01 s" in user.err.getvalue()
    assert user.says("mover -stop") == FAILED
    assert "still under way" in user.err.getvalue()
    assert not moving.let_go.is_set()


def test_ctrl_c_ends_waiting_for_a_move(user: User, moving: HeldFiles) -> None:
    main = threading.main_thread().ident
    assert main is not None

    ended = threading.Event()

    def interrupt() -> None:
        # Again, as a person would: Python does not hear of a signal that comes just before it begins to wait.
        while not ended.wait(0.5):
            if "wait_for" in called(main):
                signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        assert user.says("mover -wait") == INTERRUPTED
    finally:
        ended.set()
        thread.join()
    assert user.err.getvalue() == "mover: interrupted\n"
    assert user.says("mover -tasks") == OK
    assert not moving.let_go.is_set()


def called(thread: int) -> list[str]:
    """Return the names of the functions that a thread is in."""
    frame, names = sys._current_frames().get(thread), []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names
