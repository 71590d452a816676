"""/proc/PID/pagemap and /proc/PID/mem of one certain process: opened for others to read, and read to swap memory in."""

import contextlib
import errno
import os
from collections.abc import Iterator

from memtierd.linux.proc import check_identity
from memtierd.linux.roots import ROOTS, Roots, pid_error
from memtierd.model import ProcessKey

_BUFFER_BYTES = 1 << 20
_UNREADABLE = (errno.EIO, errno.EFAULT)
"""What a read of /proc/PID/mem says where nothing is mapped or no memory is behind it (fs/proc/base.c, mem_rw)."""


def open_file(key: ProcessKey, name: str, roots: Roots = ROOTS) -> int:
    """Return a new descriptor (close-on-exec) of /proc/PID/`name` of exactly this process; the caller closes it.

    It stays with the address space that the process has now: once that is gone, because the process ended or ran
    another program, it reads as empty.  Raises ProcessGoneError when the process has ended, also when its pid names
    another process now; KernelError.
    """
    path = f"{roots.proc}/{key.pid}/{name}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise pid_error(f"open {path}", error, key.pid, roots) from error
    try:
        # The descriptor pins the address space: an identity read afterwards is its owner's or a later process's.
        check_identity(key, roots)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def opened(key: ProcessKey, name: str, roots: Roots = ROOTS) -> Iterator[int]:
    """Give the descriptor of `open_file` within the block."""
    descriptor = open_file(key, name, roots)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_through(mem_fd: int, start: int, length_bytes: int) -> int:
    """Read another process's memory and throw it away, so that the kernel swaps it in; return the bytes read.

    Stops early where nothing can be read.  `mem_fd` is open on /proc/PID/mem.  Raises OSError.
    """
    buffer = bytearray(min(_BUFFER_BYTES, length_bytes))
    done = 0
    while done < length_bytes:
        view = memoryview(buffer)[: length_bytes - done]
        try:
            got = os.preadv(mem_fd, [view], start + done)
        except OSError as error:
            if error.errno in _UNREADABLE:
                return done
            raise
        if not got:  # the address space is gone (fs/proc/base.c, mem_rw)
            return done
        done += got
    return done
