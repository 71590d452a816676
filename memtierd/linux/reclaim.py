"""Asking the kernel to reclaim memory of a process's control group: memory.reclaim of cgroup v2.

Source: Documentation/admin-guide/cgroup-v2.rst, memory.reclaim (Linux 5.19) and its key swappiness (Linux 6.11).
"""

import errno
import os
import re

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.roots import ROOTS, Roots, open_fd, read_pid_text, read_text, translated
from memtierd.model import ProcessKey

_MOUNT = re.compile(r"^\d+ \d+ \S+ (?P<root>\S+) (?P<point>\S+) .* - cgroup2 ", re.MULTILINE)
_GROUP = re.compile(r"^0::(?P<path>.*)$", re.MULTILINE)
_ANONYMOUS_FIRST = "swappiness=200"
"""The most that every kernel with the key takes: page cache is reclaimed last."""
_INSTEAD = "use swapmethod process_madvise"


def group_directory(pid: int, roots: Roots = ROOTS) -> str:
    """Return the directory of the cgroup v2 that a process is in.

    Raises ProcessGoneError when it has ended, UnsupportedError where cgroup v2 is not mounted or does not have it.
    """
    mount = _MOUNT.search(read_text(f"{roots.proc}/self/mountinfo"))
    if mount is None:
        raise UnsupportedError(f"reclaim memory of pid {pid}: cgroup v2 is not mounted; {_INSTEAD}")
    group = _GROUP.search(read_pid_text(pid, "cgroup", roots))
    if group is None:
        raise UnsupportedError(f"reclaim memory of pid {pid}: it is in no group of cgroup v2; {_INSTEAD}")
    # Of a file system that was mounted from below its root only that part is seen.
    root = "" if mount["root"] == "/" else _unescaped(mount["root"])
    path = group["path"].rstrip("/")
    if root and not (path == root or path.startswith(f"{root}/")):
        raise UnsupportedError(f"reclaim memory of pid {pid}: its cgroup is outside of the mount; {_INSTEAD}")
    return _unescaped(mount["point"]) + path[len(root) :]


def reclaim(key: ProcessKey, size_bytes: int, roots: Roots = ROOTS) -> int:
    """Ask for so many bytes of the process's cgroup to be reclaimed; return them when it was done.

    The kernel chooses which memory of the group, anonymous memory before page cache where it can be told so.
    Raises KernelError (EAGAIN: it reclaimed less), ProcessGoneError, and UnsupportedError where the group has no
    memory.reclaim.
    """
    directory = group_directory(key.pid, roots)
    if not os.path.exists(f"{directory}/cgroup.type"):  # every group has it but the root
        raise UnsupportedError(
            f"reclaim memory of pid {key.pid}: it is in the root group, so all of the machine would be reclaimed;"
            f" {_INSTEAD}"
        )
    path = f"{directory}/memory.reclaim"
    try:
        _write(path, f"{size_bytes} {_ANONYMOUS_FIRST}")
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        _write(path, str(size_bytes))  # the key is unknown to this kernel
    return size_bytes


def _write(path: str, text: str) -> None:
    try:
        file = open_fd(path, os.O_WRONLY)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        raise UnsupportedError(
            f"open {path}: the group can't be told to reclaim memory: that needs the memory controller and Linux 5.19;"
            f" {_INSTEAD}"
        ) from error
    try:
        os.write(file, text.encode())
    except OSError as error:
        raise translated(f"write {text} to {path}", error) from error
    finally:
        os.close(file)


def _unescaped(path: str) -> str:
    """Return a path of mountinfo as it is: spaces and such are octal there (man proc_pid_mountinfo)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
