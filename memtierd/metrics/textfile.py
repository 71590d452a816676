"""Writes metrics to a file for the textfile collector of node_exporter."""

import contextlib
import os
import threading
from collections.abc import Callable

from memtierd.daemon import Daemon
from memtierd.errors import KernelError, from_oserror
from memtierd.metrics.collector import Collector
from memtierd.metrics.exposition import text

INTERVAL_S = 15.0
_SOURCE = "metrics file"
_ADVICE = "give -metrics-file a path in a directory that exists and that memtierd may write to"


class TextfileWriter:
    """Writes the file every INTERVAL_S, whole or not at all, and removes it at the end.

    node_exporter reads *.prom files only; the unfinished file beside it has another name.
    """

    def __init__(self, daemon: Daemon, path: str, *, interval_s: float = INTERVAL_S) -> None:
        self._path = os.path.abspath(path)
        self._daemon = daemon
        self._interval_s = interval_s
        self._collector = Collector(daemon)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write the file once, and then again and again; that it can't be written is held as a condition."""
        if self._thread is not None:
            return
        self._write_if_possible()
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="metrics file", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the file: metrics of a daemon that is not there would be believed."""
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        self._thread = None
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self._write_if_possible()

    def _write_if_possible(self) -> None:
        try:
            write_whole(self._path, lambda: text(self._collector.collect()))
        except KernelError as error:
            self._daemon.control.hold(_SOURCE, (str(error),))
        else:
            self._daemon.control.hold(_SOURCE, ())


def write_whole(path: str, content: Callable[[], str]) -> None:
    """Put text into a file that anybody may read, so that readers see the old or the new one.  Raises KernelError."""
    directory, name = os.path.split(path)
    unfinished = os.path.join(directory, f".{name}.tmp")
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(21, "Is a directory")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)  # of a run that was killed; never opened: it may be somebody's link
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                os.fchmod(descriptor, 0o644)  # whatever the umask: node_exporter runs as somebody else
                file.write(content())
            os.rename(unfinished, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise
    except OSError as error:
        raise from_oserror(f"write metrics to {path!r}", error, _ADVICE) from error
