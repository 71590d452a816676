"""What has arrived from DAMON and was not taken yet: bounded, filled by one thread and emptied by another."""

import threading
from collections import deque

from memtierd.trackers.damon.connection import Records

MOST_RECORDS = 1 << 20
"""About 45 MB: ten reports a second of 1000 regions for 100 seconds."""
_QUIET_TAKES = 12
"""So often nothing must have been lost before that is taken as over."""


class Inbox:
    """Keeps the newest records; how many older ones were dropped is counted."""

    def __init__(self, most_records: int = MOST_RECORDS) -> None:
        self.dropped = 0
        """Records that went unread because too many were there."""
        self._most = most_records
        self._lock = threading.Lock()
        self._parts: deque[Records] = deque()
        self._kept = 0

    def put(self, records: Records) -> None:
        """Add records; the oldest go when there are too many."""
        if not len(records):
            return
        with self._lock:
            self._parts.append(records)
            self._kept += len(records)
            while self._kept > self._most:
                oldest = self._parts.popleft()
                self._kept -= len(oldest)
                self.dropped += len(oldest)

    def take(self) -> Records:
        """Return what there is, oldest first, and keep nothing."""
        with self._lock:
            parts, self._parts, self._kept = list(self._parts), deque(), 0
        return Records.joined(parts)


class Recently:
    """Tells whether a count that only grows did so lately: within the last few steps."""

    def __init__(self) -> None:
        self._count = 0
        self._quiet_steps = _QUIET_TAKES

    def step(self, count: int) -> None:
        """Take the count as it is now."""
        self._quiet_steps = self._quiet_steps + 1 if count == self._count else 0
        self._count = count

    @property
    def holds(self) -> bool:
        """Tell whether the count has grown lately."""
        return self._quiet_steps < _QUIET_TAKES
