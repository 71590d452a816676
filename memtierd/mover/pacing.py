"""When the next chunk may start, and how big it is, so that the configured bandwidth is what is reached."""

import math

from memtierd.mover.params import MoverParams
from memtierd.units import pages_per_second

_NS_PER_S = 1_000_000_000


class Pacing:
    """A budget of pages that refills with time; a chunk may start whenever the budget isn't overdrawn.

    A chunk is charged when it is done, so the time its system calls took has already refilled the budget:
    only the rest of the interval is waited.  A chunk bigger than the interval allows (one huge page at a
    low bandwidth) overdraws the budget more, and the wait is longer.  Time without work refills the budget
    up to the pages of one interval and no further.
    """

    def __init__(self, params: MoverParams, now_ns: int) -> None:
        self._now_ns = now_ns
        self._budget_pages = 0.0
        self.configure(params)

    def configure(self, params: MoverParams) -> None:
        """Take other parameters for the time since the last chunk and from now on; what is overdrawn stays so."""
        self._rate_pages_per_ns = pages_per_second(params.bandwidth) / _NS_PER_S
        self._interval_pages = self._rate_pages_per_ns * params.interval_ms * 1_000_000
        self._max_call_pages = params.max_call_pages

    @property
    def chunk_pages(self) -> int:
        """Return the pages to ask for in one chunk, at least one."""
        return max(1, min(int(self._interval_pages), self._max_call_pages))

    def delay_ns(self, now_ns: int) -> int:
        """Return how long to wait before the next chunk; 0: it may start."""
        self._refill(now_ns)
        if self._budget_pages >= 0:
            return 0
        return math.ceil(-self._budget_pages / self._rate_pages_per_ns)

    def spend(self, pages: int) -> None:
        """Charge the pages that a chunk asked the kernel to move."""
        self._budget_pages -= pages

    def _refill(self, now_ns: int) -> None:
        elapsed_ns = max(0, now_ns - self._now_ns)
        self._now_ns = now_ns
        self._budget_pages = min(self._interval_pages, self._budget_pages + elapsed_ns * self._rate_pages_per_ns)
