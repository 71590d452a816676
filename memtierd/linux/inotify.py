"""One inotify instance: what the kernel tells of changes in directories (man inotify)."""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress

import attrs

from memtierd.linux.roots import translated
from memtierd.native.inotify import inotify_add, inotify_open, inotify_remove

# include/uapi/linux/inotify.h
IN_MODIFY = 0x2
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_ISDIR = 0x40000000

_HEADER = struct.Struct("iIII")
"""struct inotify_event: watch, mask, cookie, length of the name behind it."""
_READ_BYTES = 1 << 16


@attrs.frozen
class Event:
    """Something changed in a watched directory."""

    watch: int
    """-1 when events were lost (IN_Q_OVERFLOW)."""
    mask: int
    name: str
    """Of the entry in the directory; empty for the directory itself."""


class Inotify:
    """An instance with its watches; owned by one thread."""

    def __init__(self) -> None:
        """Open it.  Raises KernelError: EMFILE at fs.inotify.max_user_instances, or without another open file."""
        try:
            self._descriptor = inotify_open()
        except OSError as error:
            raise translated("open an inotify instance", error) from error

    def fileno(self) -> int:
        """Return the descriptor, which can be read when there are events."""
        return self._descriptor

    def close(self) -> None:
        """Remove all watches."""
        os.close(self._descriptor)

    def add(self, directory: str, mask: int) -> int:
        """Watch a directory and return the number of its watch, for the same directory always the same.

        Raises KernelError: ENOENT, ENOTDIR, EACCES, ENOSPC at fs.inotify.max_user_watches.
        """
        try:
            return inotify_add(self._descriptor, directory, mask)
        except OSError as error:
            raise translated(f"watch {directory}", error) from error

    def remove(self, watch: int) -> None:
        """Watch it no longer.  Many a watch has gone with its directory, but none of a control group does."""
        with suppress(OSError):  # only EINVAL: the kernel removed it
            inotify_remove(self._descriptor, watch)

    def read(self) -> list[Event]:
        """Return the events that have come, without waiting."""
        events: list[Event] = []
        with suppress(BlockingIOError):
            while data := os.read(self._descriptor, _READ_BYTES):
                events.extend(parse_events(data))
        return events


def parse_events(data: bytes) -> Iterator[Event]:
    """Yield the events of one read (native byte order)."""
    offset = 0
    while offset < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        name = data[offset : offset + length].rstrip(b"\0")
        offset += length
        yield Event(watch, mask, os.fsdecode(name))
