"""The processes that are managed now, each held by a pidfd, so that its end shows at once."""

import os

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.pidfd import ended, open_pidfd
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey


class Watched:
    """A set of live processes; owned by one thread."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._pidfds: dict[ProcessKey, int] = {}

    @property
    def keys(self) -> tuple[ProcessKey, ...]:
        """Return the processes, ascending by pid."""
        return tuple(sorted(self._pidfds))

    def become(self, keys: frozenset[ProcessKey]) -> tuple[frozenset[ProcessKey], frozenset[str]]:
        """Hold exactly these; return those that are held no longer, and why others can't be held."""
        left = self.drop(frozenset(self._pidfds) - keys)
        problems: set[str] = set()
        for key in keys - self._pidfds.keys():
            try:
                self._pidfds[key] = open_pidfd(key, self._roots)
            except ProcessGoneError:
                continue  # it ended since the watcher saw it
            except KernelError as error:
                problems.add(str(error))
        return left, frozenset(problems)

    def take_ended(self) -> frozenset[ProcessKey]:
        """Return the processes that have ended since the last call; they are held no longer."""
        over = ended(self._pidfds.values())
        return self.drop(frozenset(key for key, pidfd in self._pidfds.items() if pidfd in over))

    def drop(self, keys: frozenset[ProcessKey]) -> frozenset[ProcessKey]:
        """Let go of these and return those of them that were held."""
        held = keys & self._pidfds.keys()
        for key in held:
            os.close(self._pidfds.pop(key))
        return held
