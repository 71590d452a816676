"""The tracker in use: which it is, and the thread that scans with it."""

import logging
import time
from collections.abc import Callable

import attrs

from memtierd.control import Control
from memtierd.errors import MemtierdError
from memtierd.model import Scan
from memtierd.parameters import Part
from memtierd.trackers import Scanner, Tracker

LOG = logging.getLogger("memtierd")


class Tracking:
    """Runs at most one tracker; its scans go to the control thread.  Called from one thread at a time."""

    def __init__(self, build: Callable[[Part], Tracker], control: Control) -> None:
        self.build = build
        """Returns the tracker for a part.  Raises MemtierdError when it can't work here."""
        self.part: Part | None = None
        """What was chosen last."""
        self.why = ""
        """Why `auto` took the tracker that it took; empty when it was asked for by name."""
        self._control = control
        self._tracker: Tracker | None = None
        self._scanner: Scanner | None = None

    @property
    def is_running(self) -> bool:
        """Return whether it scans."""
        return self._scanner is not None

    def choose(self, part: Part | None, tracker: Tracker | None = None) -> None:
        """Use another tracker, which does not run; without `tracker` it is built when it starts."""
        self._close()
        self.part = part
        self._take(tracker)

    def reconfigure(self, part: Part) -> None:
        """Use another tracker; when one runs, go on with it.  Raises MemtierdError when it can't work here."""
        running = self.is_running
        self.choose(part, self.build(part))
        if running:
            self.start()

    def start(self) -> None:
        """Scan with the chosen tracker what is managed.  Raises MemtierdError when it can't work here."""
        if self.part is None:
            raise MemtierdError("start tracking: no tracker is chosen")
        if self._tracker is None:
            self._take(self.build(self.part))
        if self._tracker is not None and self._scanner is None:
            self._scan_with(self._tracker)

    def stop(self) -> None:
        """Stop scanning; a round under way is dropped.  The next start builds the tracker anew."""
        if self._scanner is not None:
            self._close()

    def _take(self, tracker: Tracker | None) -> None:
        self._tracker = tracker
        self.why = tracker.why if tracker is not None else ""

    def _scan_with(self, tracker: Tracker) -> None:
        if self.why:
            LOG.info("%s", self.why)
        scanner = Scanner(tracker, lambda scan: self._post(tracker, scan), time.monotonic_ns, LOG.error)
        self._scanner = scanner
        self._control.on_targets = scanner.set_targets
        self._control.announce_targets()
        scanner.start()

    def _post(self, tracker: Tracker, scan: Scan) -> None:
        self._control.post(attrs.evolve(scan, conditions=tracker.conditions()))

    def _close(self) -> None:
        ended = self._scanner is None or self._scanner.stop()
        self._scanner = None
        if self._tracker is not None and ended:  # else the scanner's thread still uses it
            self._tracker.close()
        self._tracker = None
