"""Every exception that memtierd raises on purpose.

A message reads ``<what was tried>: <what the kernel said> (<ERRNO>); <what to do>`` and is one line.
"""

import errno as _errno
import os


class MemtierdError(Exception):
    """Base of all errors with a message for the operator; anything else is a bug."""


class ConfigError(MemtierdError):
    """The configuration is wrong; `problems` holds every problem found, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class CommandError(MemtierdError):
    """A prompt command can't be carried out as it was given."""


class UnsupportedError(MemtierdError):
    """This machine lacks a feature that was asked for; the message says what to change."""


class NotConfiguredError(UnsupportedError):
    """A part can't work on this machine with the parameters that it has; the message says which to give."""


class KernelError(MemtierdError):
    """The kernel refused an operation; `errno` keeps its number."""

    def __init__(self, tried: str, errno: int, advice: str = "") -> None:
        said = f"{os.strerror(errno).lower()} ({errno_name(errno)})"
        super().__init__(f"{tried}: {said}" + (f"; {advice}" if advice else ""))
        self.tried = tried
        self.errno = errno


class ProcessGoneError(KernelError):
    """The process ended, or its pid names another process now.  This is normal, not a failure."""

    def __init__(self, tried: str) -> None:
        super().__init__(tried, _errno.ESRCH)


class IllegalTransitionError(MemtierdError):
    """A region met an event that its state does not allow: a bug, with row, state and event in the message."""


def errno_name(errno: int) -> str:
    """Return the symbolic name of an errno (positive), or the number as text."""
    return _errno.errorcode.get(errno, str(errno))


def from_oserror(tried: str, error: OSError, advice: str = "") -> KernelError:
    """Translate an OSError met while doing `tried`; a vanished process becomes ProcessGoneError.

    Reading /proc/PID/* of a process that exits gives ENOENT on open and ESRCH on read
    (fs/proc/base.c), so both mean the same only where the caller says so: this function
    takes ESRCH as gone, a reader of /proc/PID also ENOENT.
    """
    if error.errno == _errno.ESRCH:
        return ProcessGoneError(tried)
    return KernelError(tried, error.errno or 0, advice)
