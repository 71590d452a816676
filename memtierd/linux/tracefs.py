"""Trace instances of our own (Documentation/trace/ftrace.rst): events go to a buffer that nobody else reads or sets."""

import errno
import os

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.roots import ROOTS, Roots, open_fd, read_optional, translated

_PLACES = ("kernel/tracing", "kernel/debug/tracing")
EVENT = "events/damon/damon_aggregated"


def tracing_directory(roots: Roots = ROOTS) -> str:
    """Return where tracefs is mounted.  Raises UnsupportedError when it is not."""
    for place in _PLACES:
        if os.path.isdir(f"{roots.sys}/{place}/instances"):
            return f"{roots.sys}/{place}"
    raise UnsupportedError(
        f"no tracefs in {roots.sys}/{_PLACES[0]}; as root: mount -t tracefs nodev {roots.sys}/{_PLACES[0]}"
        " (the kernel needs CONFIG_FTRACE)"
    )


def damon_event(roots: Roots = ROOTS) -> str:
    """Return the `format` of the event damon:damon_aggregated.  Raises UnsupportedError when there is none."""
    directory = tracing_directory(roots)
    found = read_optional(f"{directory}/{EVENT}/format")
    if found is None:
        raise UnsupportedError(f"no {directory}/{EVENT}; the kernel needs CONFIG_DAMON and tracepoints")
    return found


class TraceInstance:
    """A trace instance from `open` to `close`."""

    def __init__(self, name: str, roots: Roots = ROOTS) -> None:
        """Prepare; `name` is that of the directory."""
        self._roots = roots
        self._directory = f"{tracing_directory(roots)}/instances/{name}"
        self._pipe = -1
        self._made = False

    def open(self, event: str, buffer_kb: int) -> int:
        """Make the instance with a buffer for each CPU, and return its pipe, which is non-blocking.

        Events come as text with monotonic times; there are none until `follow`.  Raises KernelError.
        """
        try:
            os.mkdir(self._directory)
        except OSError as error:
            raise translated(f"make {self._directory}", error) from error
        self._made = True
        try:
            self._write("trace_clock", "mono")
            self._write("buffer_size_kb", str(buffer_kb))
            self._pipe = open_fd(f"{self._directory}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        except KernelError:
            self.close(event)
            raise
        return self._pipe

    def follow(self, event: str, threads: list[int]) -> None:
        """Record an event of these threads only; of none when there are none."""
        self._write(f"{event}/enable", "0")
        if threads:
            self._write(f"{event}/filter", " || ".join(f"common_pid == {thread}" for thread in threads))
            self._write(f"{event}/enable", "1")

    def close(self, event: str) -> None:
        """Remove the instance; no effect when `open` has made none."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._made:
            self._made = False
            self._write(f"{event}/enable", "0")
            remove_instance(self._directory)

    def _write(self, name: str, value: str) -> None:
        path = f"{self._directory}/{name}"
        descriptor = open_fd(path, os.O_WRONLY)
        try:
            os.write(descriptor, f"{value}\n".encode())
        except OSError as error:
            raise translated(f"write {value[:80]} to {path}", error) from error
        finally:
            os.close(descriptor)


def remove_instance(directory: str) -> None:
    """Remove a trace instance; no effect when there is none.  Raises KernelError with EBUSY while somebody reads it."""
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise translated(f"remove {directory}", error) from error
