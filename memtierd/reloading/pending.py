"""When what was asked for is done: not before it has been quiet for a moment, and soon even if it never is."""

import attrs

QUIET_NS = 100_000_000
"""One edit is up to twenty events within a few milliseconds."""
MOST_NS = 1_000_000_000
"""What never gets quiet is looked at all the same."""
MOST_WRITING_NS = 5_000_000_000
"""How long a file that somebody has begun to write is left alone before he closes it."""


@attrs.frozen
class Request:
    """What is to be done now."""

    reasons: tuple[str, ...]
    """Who asked for a reload by name, each once; nobody: the files changed."""


@attrs.define
class Pending:
    """Requests that wait to be taken together; times are monotonic nanoseconds."""

    is_new: bool = False
    """Whether something was asked for since this was last set to False."""
    _reasons: dict[str, None] = attrs.field(factory=dict)
    _first_ns: int | None = None
    _last_ns: int = 0

    def ask(self, now_ns: int, reason: str = "") -> None:
        """Note a request; without a reason one to look whether the files have changed."""
        if reason:
            self._reasons[reason] = None
        if self._first_ns is None:
            self._first_ns = now_ns
        self._last_ns = now_ns
        self.is_new = True

    def due_ns(self, *, being_written: bool) -> int | None:
        """Return when the requests are to be taken, None when there are none."""
        if self._first_ns is None:
            return None
        if being_written:
            return self._first_ns + MOST_WRITING_NS
        return min(self._last_ns + QUIET_NS, self._first_ns + MOST_NS)

    def take(self) -> Request:
        """Return all requests as one, and have none any more."""
        taken = Request(tuple(self._reasons))
        self._reasons, self._first_ns, self.is_new = {}, None, False
        return taken
