"""The socket file on which a daemon listens: made safely, never taken from a daemon that lives, removed at the end."""

import errno
import fcntl
import os
import socket
import stat
from contextlib import suppress

import attrs

from memtierd.errors import KernelError, MemtierdError, from_oserror

_OWNER_MODE, _GROUP_MODE = 0o600, 0o660
_DIRECTORY_MODE = 0o755
_BACKLOG = 64
MAX_PATH_BYTES = 107
"""sun_path has 108 bytes with the zero at its end (man unix(7))."""


@attrs.frozen
class Listening:
    """A socket that listens; the lock says so to other daemons for as long as this process lives."""

    socket: socket.socket
    path: str
    _identity: tuple[int, int]
    _lock_fd: int

    def close(self) -> None:
        """Listen no longer; the file is removed if it is still ours."""
        self.socket.close()
        with suppress(OSError):  # it was removed, or its directory
            if _identity(os.lstat(self.path)) == self._identity:
                os.unlink(self.path)
        os.close(self._lock_fd)


def listen(path: str, gid: int | None = None) -> Listening:
    """Listen at `path`, for members of a group, too, if one is given.

    The mode is right before anybody can connect.  The file of a daemon that has ended is replaced.  Raises
    MemtierdError when another daemon has it, or when it can't be made.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES or "\0" in path:
        raise MemtierdError(f"listen on {path!r}: a socket's path has at most {MAX_PATH_BYTES} bytes; give another")
    try:
        return _listen(path, gid)
    except OSError as error:
        raise from_oserror(f"listen on {path!r}", error, "give another path to -control") from error


def _listen(path: str, gid: int | None) -> Listening:
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        os.mkdir(directory)
        os.chmod(directory, _DIRECTORY_MODE)  # the socket's own mode decides, whatever the umask is
    lock_fd = _locked(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path)
        # The file gets the mode of the socket, less the umask (unix_bind_bsd in net/unix/af_unix.c).
        os.fchmod(listener.fileno(), _OWNER_MODE)
        listener.bind(path)
        identity = _set_mode(path, gid)
        listener.setblocking(False)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        os.close(lock_fd)
        raise
    return Listening(listener, path, identity, lock_fd)


def _locked(path: str) -> int:
    """Return a locked file beside the socket, with our pid in it.  Raises MemtierdError when another has it.

    The kernel gives the lock free when its holder ends, however it ends.
    """
    lock_path = f"{path}.lock"
    descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise MemtierdError(
            f"listen on {path!r}: memtierd with pid {holder or 'unknown'} listens there; stop it, or give another path"
            " to -control"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _make_room(path: str) -> None:
    """Remove the socket of a daemon that has ended: its lock is ours.  Raises KernelError for another kind of file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise KernelError(f"listen on {path!r}", errno.EEXIST, "it is no socket; move it away, or give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                os.unlink(path)
                return
            if error.errno == errno.ENOENT:
                return
    raise MemtierdError(f"listen on {path!r}: another process listens there; stop it, or give another path to -control")


def _set_mode(path: str, gid: int | None) -> tuple[int, int]:
    """Give the socket just made its mode and group; return which file that is.  A link is not followed."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISSOCK(found.st_mode):
            raise KernelError(f"listen on {path!r}", errno.EEXIST, "something else has taken its place")
        # A descriptor opened with O_PATH takes neither fchmod nor fchown (man open(2)).
        itself = f"/proc/self/fd/{descriptor}"
        if gid is not None:
            os.chown(itself, -1, gid)
        os.chmod(itself, _OWNER_MODE if gid is None else _GROUP_MODE)
        return _identity(found)
    finally:
        os.close(descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
