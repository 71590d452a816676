"""What was learned before this run, kept until its process is seen, has ended, or it is too old to be of use."""

from collections.abc import Callable, Iterable

from memtierd.errors import MemtierdError
from memtierd.linux.proc import Mapping
from memtierd.model import ProcessFacts, ProcessKey
from memtierd.regions.learned import Learned, clipped
from memtierd.state.histories import ProcessHistory, backed, trusted

FRESH_NS = 3_600_000_000_000
"""How long after the last scan what it told is still worth something: an hour."""


class Recollection:
    """Histories by process; owned by the control thread."""

    def __init__(
        self,
        histories: Iterable[ProcessHistory],
        mappings: Callable[[int], list[Mapping]],
        count: Callable[[str], None],
        clock_ns: Callable[[], int],
    ) -> None:
        """Remember.

        Args:
            histories: of processes of this boot.
            mappings: returns the mappings of a pid now; raises MemtierdError.
            count: called with each event that is to be counted.
            clock_ns: the monotonic clock by which the histories were made.

        """
        self._histories = {history.key: history for history in histories}
        self._mappings = mappings
        self._count = count
        self._clock_ns = clock_ns

    def __bool__(self) -> bool:
        return bool(self._histories)

    def recall(self, facts: ProcessFacts) -> Learned | None:
        """Return what still holds of a process, and forget it."""
        history = self._histories.pop(facts.key, None)
        if history is None:
            return None
        if not history.image or history.image != facts.image:
            self._count("state not used: another program runs")
            return None
        if not self._is_fresh(history):
            self._count("state not used: too old")
            return None
        try:
            now = backed(self._mappings(facts.key.pid))
        except MemtierdError:
            self._count("state not used: mappings can't be read")
            return None
        self._count("state used")
        return clipped(history.learned, *trusted(history.mappings, now))

    def forget(self, keys: Iterable[ProcessKey]) -> None:
        """Drop what was learned of these, such as processes that have ended."""
        for key in keys:
            self._histories.pop(key, None)

    def fresh(self) -> tuple[ProcessHistory, ...]:
        """Drop what is too old, and return the rest."""
        self._histories = {key: history for key, history in self._histories.items() if self._is_fresh(history)}
        return tuple(self._histories.values())

    def _is_fresh(self, history: ProcessHistory) -> bool:
        return 0 <= self._clock_ns() - history.seen_ns <= FRESH_NS
