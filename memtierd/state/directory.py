"""The directory with the state file: locked by one daemon, written atomically, read with suspicion."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable

from memtierd.errors import MemtierdError, from_oserror
from memtierd.linux.roots import translated
from memtierd.state.encoding import DamagedError
from memtierd.text import printable

NAME = "learned"
_NEW = NAME + ".new"
_DAMAGED = NAME + ".damaged-"
_MOST_DAMAGED = 3
_MOST_BYTES = 1 << 31
_PIECE_BYTES = 1 << 24


class StateDirectory:
    """Opens the directory when it is needed; used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def file(self) -> str:
        """Return the path of the state file, fit to be printed."""
        return printable(os.path.join(self.path, NAME))

    def read(self) -> bytes | None:
        """Return the bytes of the state file, None when there is none.

        Raises DamagedError for a file that can't be trusted, KernelError.
        """
        directory = self._open()
        try:
            # Without O_NONBLOCK a named pipe would hold us up.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(NAME, flags, dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise DamagedError("is a symbolic link") from error
            raise translated(f"open {self.file}", error) from error
        try:
            _check(os.fstat(descriptor))
            return _read_all(descriptor)
        except OSError as error:
            raise translated(f"read {self.file}", error) from error
        finally:
            os.close(descriptor)

    def write(self, pieces: Iterable[bytes]) -> int:
        """Replace the state file and return its size; after a crash it is the old or the new one.

        Raises KernelError.
        """
        directory = self._open()
        try:
            self._remove(_NEW)  # left by a daemon that was killed
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(_NEW, flags, 0o600, dir_fd=directory)
            try:
                size = sum(_write_all(descriptor, piece) for piece in pieces)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(_NEW, NAME, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        except OSError as error:
            self._drop_new()
            raise from_oserror(f"write {self.file}", error, _advice(error)) from error
        return size

    def set_aside(self) -> str:
        """Give the state file another name, keep only a few such files, and return that name.  Raises KernelError."""
        directory = self._open()
        name = _DAMAGED + time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        try:
            os.rename(NAME, name, src_dir_fd=directory, dst_dir_fd=directory)
            for old in sorted(other for other in os.listdir(directory) if other.startswith(_DAMAGED))[:-_MOST_DAMAGED]:
                self._remove(old)
        except OSError as error:
            raise translated(f"rename {self.file} to {name}", error) from error
        return name

    def close(self) -> None:
        """Let go of the directory; the next use opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        """Return the descriptor of the directory that is there now, locked for us as long as it is open."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self.close()
        if self._descriptor is not None:
            return self._descriptor
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise from_oserror(f"open the state directory {printable(self.path)}", error, _advice(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EWOULDBLOCK:
                raise MemtierdError(
                    f"the state directory {printable(self.path)} is in use by another memtierd; give each its own"
                ) from error
            raise translated(f"lock the state directory {printable(self.path)}", error) from error
        self._descriptor = descriptor
        return descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except OSError:
            return False

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return

    def _drop_new(self) -> None:
        """Remove what was written in vain; the failure before it is the one to tell of."""
        try:
            self._remove(_NEW)
        except OSError:
            return


def _check(found: os.stat_result) -> None:
    """Raise DamagedError unless only we, or root, can have written the file."""
    if not stat.S_ISREG(found.st_mode):
        raise DamagedError("is no regular file")
    if found.st_uid != os.geteuid():
        raise DamagedError(f"belongs to user {found.st_uid}, and memtierd runs as user {os.geteuid()}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DamagedError(f"can be written by others: its mode is {stat.S_IMODE(found.st_mode):o}")
    if found.st_size > _MOST_BYTES:
        raise DamagedError(f"is too large: {found.st_size} bytes")


def _read_all(descriptor: int) -> bytes:
    pieces, size = [], 0
    while size <= _MOST_BYTES and (piece := os.read(descriptor, _PIECE_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "make it, or give another one with -state"
        case errno.ENOSPC | errno.EDQUOT:
            return "make room there"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "let memtierd write there, or give another one with -state"
        case _:
            return ""
