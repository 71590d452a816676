"""A bounded buffer of what happens while somebody records it."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Recording(Generic[T]):
    """Keeps what is added while it is on, until it is taken; when that gets too much the oldest is dropped."""

    def __init__(self, most: int) -> None:
        """Prepare; `most` is the total size that is kept, in whatever `add` counts."""
        self._most = most
        self._kept: deque[tuple[T, int]] = deque()
        self._size = 0
        self._dropped = 0
        self.is_on = False

    def start(self) -> None:
        """Begin anew."""
        self.stop()
        self.is_on = True

    def stop(self) -> None:
        """Forget everything, and record no more."""
        self.is_on = False
        self.take()

    def add(self, item: T, size: int = 1) -> None:
        """Keep an item while it is on; one that is too big for itself is dropped, too."""
        if not self.is_on:
            return
        self._kept.append((item, size))
        self._size += size
        while self._size > self._most:
            _, oldest = self._kept.popleft()
            self._size -= oldest
            self._dropped += oldest

    def take(self) -> tuple[list[T], int]:
        """Return what was kept since the last time, the oldest first, and the size of what was dropped."""
        items, dropped = [item for item, _ in self._kept], self._dropped
        self._kept.clear()
        self._size = self._dropped = 0
        return items, dropped
