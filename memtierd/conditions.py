"""Lasting conditions: each is a warning when it appears and a notice when it has passed, never a repetition."""

import logging
from collections.abc import Iterable

LOG = logging.getLogger("memtierd")


class Conditions:
    """The conditions that hold now, by source."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[str]] = {}

    def hold(self, source: str, texts: Iterable[str]) -> None:
        """Take these as all conditions of one source; say what is new and what has passed."""
        now, before = frozenset(texts), self._held.get(source, frozenset())
        for text in sorted(now - before):
            LOG.warning("%s", text)
        for text in sorted(before - now):
            LOG.info("no longer: %s", text)
        self._held[source] = now

    @property
    def all(self) -> tuple[str, ...]:
        """Return every condition that holds now."""
        return tuple(text for texts in self._held.values() for text in sorted(texts))
