"""The processes that are managed now, each held by a pidfd, so that its end shows at once."""

import os
import select
from operator import attrgetter

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.pidfd import most_pidfds, open_pidfd
from memtierd.linux.roots import Roots, translated
from memtierd.model import ProcessKey
from memtierd.watchers.base import refusals

MOST_PROCESSES = 65_000
"""The region table numbers processes with 16 bits."""
_MOST_SAID = 10
_ORDER = attrgetter("pid", "start_ticks")
"""That of the keys themselves; 20 times faster, which shows with 10,000 processes."""


class Watched:
    """A set of live processes; owned by one thread.

    One epoll instance has all their pidfds, so looking for ends costs nothing for those that live.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._pidfds: dict[ProcessKey, int] = {}
        self._keys: dict[int, ProcessKey] = {}
        """The process of each pidfd."""
        self._sorted: tuple[ProcessKey, ...] | None = ()
        self._ends = select.epoll()

    def fileno(self) -> int:
        """Return a descriptor that can be read while `take_ended` would return something."""
        return self._ends.fileno()

    @property
    def keys(self) -> tuple[ProcessKey, ...]:
        """Return the processes, ascending by pid."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._pidfds, key=_ORDER))
        return self._sorted

    def become(self, keys: frozenset[ProcessKey]) -> tuple[frozenset[ProcessKey], frozenset[str]]:
        """Hold exactly these; return those that are held no longer, and why others can't be held.

        Those that are held already go before the others; of these the lowest pids come first.
        """
        left = self.drop(frozenset(self._pidfds) - keys)
        new = sorted(keys - self._pidfds.keys(), key=_ORDER)
        room = max(0, min(most_pidfds(), MOST_PROCESSES) - len(self._pidfds))
        refused: list[KernelError] = []
        for key in new[:room]:
            try:
                self._hold(key)
            except ProcessGoneError:
                continue  # it ended since the watcher saw it
            except KernelError as error:
                refused.append(error)
        return left, _problems(refused, too_many=len(new) > room)

    def take_ended(self) -> frozenset[ProcessKey]:
        """Return the processes that have ended since the last call; they are held no longer."""
        over = self._ends.poll(0, max(1, len(self._pidfds)))
        return self.drop(frozenset(self._keys[pidfd] for pidfd, _ in over))

    def drop(self, keys: frozenset[ProcessKey]) -> frozenset[ProcessKey]:
        """Let go of these and return those of them that were held."""
        held = keys & self._pidfds.keys()
        for key in held:
            pidfd = self._pidfds.pop(key)
            # Closing would not do it while a child that has not run its program yet has a copy (man epoll).
            self._ends.unregister(pidfd)
            os.close(pidfd)
            del self._keys[pidfd]
        if held:
            self._sorted = None
        return held

    def _hold(self, key: ProcessKey) -> None:
        """Raise ProcessGoneError when it has ended, KernelError when it can't be held."""
        pidfd = open_pidfd(key, self._roots)
        try:
            self._ends.register(pidfd, select.EPOLLIN)
        except OSError as error:  # ENOSPC: more than fs.epoll.max_user_watches
            os.close(pidfd)
            raise translated(f"wait for the end of pid {key.pid}", error) from error
        self._pidfds[key], self._keys[pidfd], self._sorted = pidfd, key, None


def _problems(refused: list[KernelError], *, too_many: bool) -> frozenset[str]:
    """Return a sentence for each process that was refused, for each errno when these are many, and one for the rest."""
    said = {str(error) for error in refused}
    if len(said) > _MOST_SAID:
        said = set(refusals("processes", refused))
    if too_many:
        said.add(
            "some processes are not managed, because there are too many: one open file is needed for each, and"
            f" {MOST_PROCESSES} is the most; allow more open files (ulimit -n), or choose fewer processes"
        )
    return frozenset(said)
