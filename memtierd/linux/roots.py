"""Where the pseudo file systems are mounted, and reading them with the kernel's errors translated."""

import errno
import os

import attrs

from memtierd.errors import KernelError, ProcessGoneError, from_oserror

_READ_BYTES = 1 << 16
_AS_ROOT = "run as root"
_WITH_CAPABILITIES = "run as root with all capabilities, memtierd -check says which are missing"


@attrs.frozen
class Roots:
    """Directories where proc and sysfs are mounted, and where daemons keep notes; tests give trees of their own."""

    proc: str = "/proc"
    sys: str = "/sys"
    run: str = "/run"


ROOTS = Roots()
"""The mounts of this machine."""


def open_fd(path: str, flags: int = os.O_RDONLY) -> int:
    """Return a new descriptor (close-on-exec) of a pseudo file; the caller closes it.  Raises KernelError."""
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise translated(f"open {path}", error) from error


def read_text(path: str) -> str:
    """Return the whole text of a pseudo file; bytes that are not UTF-8 become escapes such as ``\\xff``.

    Raises KernelError, also for a file that does not exist.
    """
    try:
        return _read(path)
    except OSError as error:
        raise translated(f"read {path}", error) from error


def read_optional(path: str) -> str | None:
    """Return the text of a pseudo file, None when this kernel (or this moment) has no such file."""
    try:
        return read_text(path)
    except KernelError as error:
        # ENODEV: a node or memory block that went offline while its file was open (fs/kernfs/file.c).
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return None
        raise


def list_names(directory: str) -> list[str]:
    """Return the names in a directory, in no order; none when it does not exist."""
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translated(f"list {directory}", error) from error


def read_pid_text(pid: int, name: str, roots: Roots) -> str:
    """Return the text of /proc/PID/`name`.

    Raises ProcessGoneError when the process has ended, KernelError for everything else.
    """
    path = f"{roots.proc}/{pid}/{name}"
    try:
        return _read(path)
    except OSError as error:
        raise pid_error(f"read {path}", error, pid, roots) from error


def pid_error(tried: str, error: OSError, pid: int, roots: Roots) -> KernelError:
    """Translate an OSError met on a file below /proc/PID.

    A process that ends gives ENOENT on open and ESRCH on read (fs/proc/base.c).  ENOENT of a
    process that is still there means that this kernel lacks the file, and stays a KernelError.
    """
    if error.errno == errno.ENOENT and not os.path.exists(f"{roots.proc}/{pid}"):
        return ProcessGoneError(tried)
    return translated(tried, error)


def translated(tried: str, error: OSError) -> KernelError:
    """Translate an OSError met while doing `tried`, with the advice that lack of permission deserves."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return from_oserror(tried, error)
    return from_oserror(tried, error, _AS_ROOT if os.geteuid() else _WITH_CAPABILITIES)


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        # Pseudo files have no size: a read gives what fits and only an empty one says that it was all.
        while chunk := os.read(descriptor, _READ_BYTES):
            chunks.append(chunk)
    finally:
        os.close(descriptor)
    return b"".join(chunks).decode("utf-8", "backslashreplace")
