"""The pidwatcher that is in use: its name and parameters, its thread, and who hears of the processes that it finds."""

import threading
from collections.abc import Callable
from typing import Any

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey
from memtierd.parameters import Part
from memtierd.watchers.base import See, Watcher, see_nothing
from memtierd.watchers.poller import Membership, Poller

LISTENERS = ("tracker", "log")
"""Who may hear of processes: the tracker, which then tracks them, or the log only."""


class _Guarded:
    """A watcher that the poller's thread and a command may ask at the same time."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._lock = threading.Lock()

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""
        return self._watcher.interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return the processes of this moment."""
        with self._lock:
            return self._watcher.poll(see)

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete."""
        with self._lock:
            return self._watcher.conditions()


class SelectedWatcher:
    """Runs one pidwatcher at a time; starting a running one and stopping a stopped one change nothing.

    Its methods are called from one thread at a time.
    """

    def __init__(
        self,
        build: Callable[[Part], Watcher],
        track: Callable[[Membership], None],
        log: Callable[[str], None],
        on_error: Callable[[str], None],
    ) -> None:
        self.name: str | None = None
        self.params: Any = None
        """None before it was configured, when it needs to be."""
        self.listener = "tracker"
        self.latest: Membership | None = None
        """What it found last, None before."""
        self._build = build
        self._track = track
        self._log = log
        self._on_error = on_error
        self._logged: frozenset[ProcessKey] = frozenset()
        self._hearing = threading.Lock()
        self._watcher: _Guarded | None = None
        self._poller: Poller | None = None

    @property
    def is_running(self) -> bool:
        """Return whether it polls by itself."""
        return self._poller is not None

    def select(self, name: str, params: Any) -> None:
        """Use another one from now on, which is not running; without parameters it needs to be configured.

        Its listener is the tracker.
        """
        self.stop()
        self.name, self.params, self._watcher, self.latest = name, params, None, None
        self.listener, self._logged = "tracker", frozenset()

    def configure(self, params: Any) -> None:
        """Give it parameters; a running one goes on with them."""
        running = self.is_running
        self.stop()
        self.params, self._watcher = params, None
        if running:
            self.start()

    def start(self) -> None:
        """Poll at once and then at every interval.  Raises MemtierdError before it was configured."""
        if not self.is_running:
            self._run(self._made())

    def start_with(self, watcher: Watcher, part: Part | None) -> None:
        """Run this watcher, which was made of the part for somebody else: the policy."""
        self.stop()
        self.name, self.params = (part.name, part.params) if part else (None, None)
        self.listener, self.latest, self._watcher = "tracker", None, _Guarded(watcher)
        self._run(self._watcher)

    def forget(self) -> None:
        """Stop, and have no pidwatcher any more."""
        self.stop()
        self.name = self.params = self.latest = self._watcher = None

    def stop(self) -> None:
        """Poll no more; what was found stays.  The next start makes the watcher anew from its parameters."""
        if self._poller is not None:
            self._poller.stop()
            self._poller = None
            self._watcher = None

    def poll(self) -> Membership:
        """Look at once, tell the listener, and return what was found.  Raises MemtierdError, also unconfigured."""
        watcher = self._made()
        deaf = self._poller.conditions if self._poller is not None else ()
        found = Membership(watcher.poll(), (*watcher.conditions(), *deaf))
        self._hear(found)
        return found

    def _run(self, watcher: _Guarded) -> None:
        self._poller = Poller(watcher, self._hear, self._on_error)
        self._poller.start()

    def _made(self) -> _Guarded:
        if self._watcher is None:
            if self.name is None or self.params is None:
                raise MemtierdError(
                    f"start pidwatcher {self.name}: it has no configuration; give one with: pidwatcher -config CONFIG"
                )
            self._watcher = _Guarded(self._build(Part(self.name, self.params)))
        return self._watcher

    def _hear(self, found: Membership) -> None:
        """Pass on what was found; from the poller's thread, or from that of a command."""
        self.latest = found
        if self.listener == "tracker":
            self._track(found)
            return
        with self._hearing:
            come, left = found.keys - self._logged, self._logged - found.keys
            self._logged = found.keys
        if come:
            self._log(f"pidwatcher: AddPids({_pids(come)})")
        if left:
            self._log(f"pidwatcher: RemovePids({_pids(left)})")


def _pids(keys: frozenset[ProcessKey]) -> str:
    return f"[{' '.join(str(key.pid) for key in sorted(keys))}]"
