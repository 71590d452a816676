"""Lasting conditions: each is a warning when it appears and a notice when it has passed, never a repetition."""

import logging
from collections.abc import Callable, Iterable

import attrs

LOG = logging.getLogger("memtierd")


@attrs.frozen
class Held:
    """A condition that holds now."""

    source: str
    """What told of it: "scan", "plan", "mover", …"""
    text: str
    since_ns: int


class Conditions:
    """The conditions that hold now, by source; `clock_ns` gives monotonic nanoseconds."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._held: dict[str, dict[str, int]] = {}

    def hold(self, source: str, texts: Iterable[str]) -> None:
        """Take these as all conditions of one source; say what is new and what has passed."""
        now, before = frozenset(texts), self._held.get(source, {})
        for text in sorted(now - before.keys()):
            LOG.warning("%s", text)
        for text in sorted(before.keys() - now):
            LOG.info("no longer: %s", text)
        at_ns = self._clock_ns()
        self._held[source] = {text: before.get(text, at_ns) for text in now}

    @property
    def all(self) -> tuple[Held, ...]:
        """Return every condition that holds now, by source, the longest-lasting of a source first."""
        found = [
            Held(source, text, since) for source, texts in sorted(self._held.items()) for text, since in texts.items()
        ]
        return tuple(sorted(found, key=lambda held: (held.source, held.since_ns, held.text)))
