"""The processes that are managed now, each held by a pidfd, so that its end shows at once."""

import os

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.pidfd import ended, most_pidfds, open_pidfd
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import refusals

MOST_PROCESSES = 65_000
"""The region table numbers processes with 16 bits."""
_MOST_SAID = 10


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
        """Hold exactly these; return those that are held no longer, and why others can't be held.

        Those that are held already go before the others; of these the lowest pids come first.
        """
        left = self.drop(frozenset(self._pidfds) - keys)
        new = sorted(keys - self._pidfds.keys())
        room = max(0, min(most_pidfds(), MOST_PROCESSES) - len(self._pidfds))
        refused: list[KernelError] = []
        for key in new[:room]:
            try:
                self._pidfds[key] = open_pidfd(key, self._roots)
            except ProcessGoneError:
                continue  # it ended since the watcher saw it
            except KernelError as error:
                refused.append(error)
        return left, _problems(refused, too_many=len(new) > room)

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
