"""The process table: a small row number for every process that has regions, and what was last seen of it."""

from collections.abc import Iterator

import numpy as np

from memtierd.errors import MemtierdError
from memtierd.model import U32, U64, ProcessFacts, ProcessKey

MAX_PROCESSES = 65535


class ProcessTable:
    """Rows of processes; a row number is reused after its process is removed."""

    def __init__(self) -> None:
        self._row_of: dict[ProcessKey, int] = {}
        self._facts: dict[int, ProcessFacts] = {}
        self._free: list[int] = []
        self._observed_ms: U32 = np.zeros(64, dtype=np.uint32)
        self._pid: U64 = np.zeros(64, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[ProcessKey]:
        return iter(self._row_of)

    def __contains__(self, key: object) -> bool:
        return key in self._row_of

    def row(self, key: ProcessKey) -> int | None:
        """Return the row of a process, None when it has none."""
        return self._row_of.get(key)

    def add(self, facts: ProcessFacts) -> int:
        """Return the row of a process, made when it is new, and keep its latest facts."""
        row = self._row_of.get(facts.key)
        if row is None:
            row = self._free.pop() if self._free else len(self._row_of)
            if row >= MAX_PROCESSES:
                raise MemtierdError(f"track pid {facts.key.pid}: {MAX_PROCESSES} processes are tracked already")
            self._row_of[facts.key] = row
            self._grow(row)
            self._pid[row] = facts.key.pid
            self._observed_ms[row] = 0
        self._facts[row] = facts
        return row

    def remove(self, key: ProcessKey) -> int | None:
        """Forget a process and return the row that it had."""
        row = self._row_of.pop(key, None)
        if row is not None:
            del self._facts[row]
            self._free.append(row)
        return row

    def facts(self, row: int) -> ProcessFacts:
        """Return the latest facts of the process in a row."""
        return self._facts[row]

    def rows(self) -> Iterator[tuple[int, ProcessFacts]]:
        """Yield row and facts of every process."""
        return iter(self._facts.items())

    def by_pid(self, pid: int) -> ProcessKey | None:
        """Return the tracked process that has this pid; the latest one when the pid was used again."""
        return max((key for key in self._row_of if key.pid == pid), default=None)

    def observe(self, row: int, at_ms: int) -> tuple[int, int]:
        """Note a scan of the process; return the time of the scan before, 0 when there was none, and of this one.

        Time never goes back: a scan that comes late, such as the last one of a tracker that was replaced,
        counts as made at the time of the scan before.
        """
        before_ms = int(self._observed_ms[row])
        seen_ms = max(before_ms, at_ms)
        self._observed_ms[row] = seen_ms
        return before_ms, seen_ms

    def shift_times(self, ms: int) -> None:
        """Move the epoch of all times forward by `ms`."""
        self._observed_ms -= np.minimum(self._observed_ms, np.uint32(ms))

    @property
    def observed_ms(self) -> U32:
        """Return the time of the last scan for every process row (rows in no use hold anything)."""
        return self._observed_ms

    @property
    def pids(self) -> U64:
        """Return the pid of every process row (rows in no use hold anything)."""
        return self._pid

    def _grow(self, row: int) -> None:
        if row >= len(self._observed_ms):
            more = len(self._observed_ms)
            self._observed_ms = np.r_[self._observed_ms, np.zeros(more, dtype=np.uint32)]
            self._pid = np.r_[self._pid, np.zeros(more, dtype=np.uint64)]
