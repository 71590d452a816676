"""Lasting conditions: each is a warning when it appears and a notice when it has passed, never a repetition."""

import logging
from collections.abc import Callable, Iterable

import attrs

LOG = logging.getLogger("memtierd")
CALM_NS = 10_000_000_000
"""How long a condition must have passed before that is said: one that comes and goes is said once."""


@attrs.frozen
class Held:
    """A condition that holds now."""

    source: str
    """What told of it: "scan", "plan", "mover", …"""
    text: str
    since_ns: int


@attrs.frozen
class _Passed:
    since_ns: int
    until_ns: int


class Conditions:
    """The conditions that hold now, by source; `clock_ns` gives monotonic nanoseconds."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._held: dict[str, dict[str, int]] = {}
        self._passed: dict[tuple[str, str], _Passed] = {}
        """What no longer holds, and is not yet said to be over."""

    def hold(self, source: str, texts: Iterable[str]) -> None:
        """Take these as all conditions of one source; say what is new, and later what has passed."""
        now, before, at_ns = frozenset(texts), self._held.get(source, {}), self._clock_ns()
        for text, since_ns in before.items():
            if text not in now:
                self._passed[source, text] = _Passed(since_ns, at_ns)
        self.settle()
        held = {text: since_ns for text, since_ns in before.items() if text in now}
        for text in sorted(now - before.keys()):
            passed = self._passed.pop((source, text), None)
            held[text] = passed.since_ns if passed is not None else at_ns
            if passed is None:
                LOG.warning("%s", text, extra={"source": source})
        self._held[source] = held

    def settle(self) -> None:
        """Say what has passed long enough ago; to be called again and again."""
        calm_ns = self._clock_ns() - CALM_NS
        for source, text in [key for key, passed in self._passed.items() if passed.until_ns <= calm_ns]:
            del self._passed[source, text]
            LOG.info("no longer: %s", text, extra={"source": source})

    @property
    def all(self) -> tuple[Held, ...]:
        """Return every condition that holds now, by source, the longest-lasting of a source first."""
        found = [
            Held(source, text, since) for source, texts in sorted(self._held.items()) for text, since in texts.items()
        ]
        return tuple(sorted(found, key=lambda held: (held.source, held.since_ns, held.text)))
