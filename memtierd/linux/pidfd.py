"""Process file descriptors: a handle on one process that no later process can take over."""

import os
import resource
import select
from collections.abc import Iterable

from memtierd.linux.proc import check_identity
from memtierd.linux.roots import ROOTS, Roots, translated
from memtierd.model import ProcessKey

_OTHER_FILES = 128
"""For logs, pipes, sockets, and the files in /proc and /sys that are read."""


def open_pidfd(key: ProcessKey, roots: Roots = ROOTS) -> int:
    """Return a new pidfd (close-on-exec) of exactly this process; the caller closes it.

    Raises ProcessGoneError when the process has ended, also when its pid names another process now;
    KernelError for everything else.
    """
    tried = f"open a pidfd of pid {key.pid}"
    try:
        descriptor = os.pidfd_open(key.pid)
    except OSError as error:
        raise translated(tried, error) from error
    try:
        # The pidfd pins the process it was opened on, so an identity read afterwards is that of the pinned one
        # or of a later one; only the former has the start time asked for.
        check_identity(key, roots)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def most_pidfds() -> int:
    """Return how many pidfds may be open so that files for everything else can still be opened (man getrlimit)."""
    return max(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES)


def ended(descriptors: Iterable[int]) -> frozenset[int]:
    """Return those pidfds whose process has ended (a zombie has), without waiting (man pidfd_open)."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return frozenset(descriptor for descriptor, _ in poll.poll(0))


def is_alive(descriptor: int) -> bool:
    """Return whether the process of a pidfd still runs."""
    return not ended((descriptor,))
