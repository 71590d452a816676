"""The system calls of inotify(7)."""

import os

from memtierd.native._memtierd import lib
from memtierd.native.arrays import succeeded


def inotify_open() -> int:
    """Return a new descriptor (close-on-exec, never waiting).  OSError: EMFILE no more instances or open files."""
    return succeeded(lib.memtierd_inotify_open())


def inotify_add(descriptor: int, path: str, mask: int) -> int:
    """Return the number of the watch on this directory or file, the same for the same inode; its mask is `mask` now.

    OSError: ENOENT, ENOTDIR, EACCES, ENOSPC no more watches.
    """
    return succeeded(lib.memtierd_inotify_add(descriptor, os.fsencode(path), mask))


def inotify_remove(descriptor: int, watch: int) -> None:
    """Remove a watch.  OSError: EINVAL it is gone already."""
    succeeded(lib.memtierd_inotify_remove(descriptor, watch))
