"""Files of DAMON: they answer EBUSY while another one is at work, and what they took is read back."""

import errno
import os
import time
from collections.abc import Callable
from typing import TypeVar

import attrs

from memtierd.errors import KernelError
from memtierd.linux.roots import list_names, open_fd, read_text, translated

T = TypeVar("T")
LOCK_PATIENCE_S = 2.0
_NAP_S = 0.01


@attrs.frozen
class DamonFiles:
    """Reads and writes files below a directory, each write in one system call without any buffer.

    All files of DAMON share one lock in the kernel and give up with EBUSY when it is taken (mm/damon/sysfs.c,
    damon_sysfs_lock), as it is for an aggregation interval while regions are collected.
    """

    directory: str
    patience_s: float = LOCK_PATIENCE_S
    """How long EBUSY is taken for that lock."""
    sleep: Callable[[float], None] = time.sleep

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return f"{self.directory}/{name}"

    def exists(self, name: str) -> bool:
        """Tell whether this kernel has a file or directory."""
        return os.path.exists(self.path(name))

    def names(self, name: str) -> list[str]:
        """Return the names in a directory, in no order; none when it does not exist."""
        return list_names(self.path(name))

    def read(self, name: str) -> str:
        """Return the text of a file without white space around it."""
        return self._patiently(lambda: read_text(self.path(name)).strip())

    def read_int(self, name: str) -> int:
        """Return the number in a file."""
        return int(self.read(name))

    def write(self, name: str, value: object, advice: str = "") -> None:
        """Write a value."""
        self._patiently(lambda: self._write_once(name, str(value), advice))

    def set(self, name: str, value: object, advice: str = "") -> None:
        """Write a value and make sure that the file has it now."""
        self.write(name, value, advice)
        found = self.read(name)
        if found != str(value):
            raise KernelError(f"write {value} to {self.path(name)}, which holds {found} afterwards", errno.EIO, advice)

    def _write_once(self, name: str, value: str, advice: str) -> None:
        path = self.path(name)
        descriptor = open_fd(path, os.O_WRONLY)
        data = f"{value}\n".encode()
        try:
            written = os.write(descriptor, data)
        except OSError as error:
            if advice:
                raise KernelError(f"write {value} to {path}", error.errno or 0, advice) from error
            raise translated(f"write {value} to {path}", error) from error
        finally:
            os.close(descriptor)
        if written != len(data):
            raise KernelError(f"write {value} to {path}, of which {written} of {len(data)} bytes were taken", errno.EIO)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns, repeated while it fails with EBUSY."""
        for _ in range(int(self.patience_s / _NAP_S)):
            try:
                return attempt()
            except KernelError as error:
                if error.errno != errno.EBUSY:
                    raise
            self.sleep(_NAP_S)
        return attempt()
