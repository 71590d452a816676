"""Child processes in groups of their own: where they write, how they are ended, and how they ended in words."""

import os
import signal
import subprocess
from typing import Any, BinaryIO

from memtierd.errors import errno_name


def kill_group(process: "subprocess.Popen[Any]") -> None:
    """Kill a child that leads a process group, and all in the group but what has left it.

    The group's number is not used again before its leader was waited for (man 2 setpgid); from any thread.
    """
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it was waited for just now


def how_ended(returncode: int) -> str:
    """Return what Popen's return code means, empty for success."""
    if returncode < 0:
        return f"ended by signal {-returncode} ({signal_name(-returncode)})"
    return f"exit status {returncode}" if returncode else ""


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number when it has none (real-time signals)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def open_to_append(path: str) -> BinaryIO:
    """Open a file that others may read meanwhile; a pipe without a reader is an error (ENXIO), not waited for.

    Raises OSError, and ValueError for a NUL in the path.
    """
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK, 0o666))


def why_not_started(error: OSError | ValueError) -> str:
    """Return why Popen could not start a program, and what to do."""
    if isinstance(error, OSError):
        said = f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
        return f"{said}; give a program that can be run, or [sh, -c, COMMAND]"
    return str(error)  # a NUL in a word
