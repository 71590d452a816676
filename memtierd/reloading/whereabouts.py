"""What the path of a configuration file leads through, and whether the files there are still the same."""

import os
from collections import deque
from contextlib import suppress

from memtierd.config.files import drop_in_directory, drop_in_paths
from memtierd.errors import ConfigError

_MOST_LINKS = 40
"""As the kernel's MAXSYMLINKS (include/linux/namei.h)."""

Plan = dict[str, frozenset[str] | None]
"""For each directory the names in it that matter, None: all."""
Mark = tuple[object, ...]


def watch_plan(path: str) -> Plan:
    """Return where a change can be one of the configuration file at `path` or of its drop-ins.

    The directories exist and are none but real ones: those of the file, of every symbolic link on the way to it, and
    of where they lead; where something is missing the directory in which it would have to appear.
    """
    directory = drop_in_directory(path)
    entries = [*_entries(path), *_entries(directory)]
    with suppress(ConfigError):  # the reload says it
        entries += [entry for drop_in in drop_in_paths(path) for entry in _entries(drop_in)]
    names: dict[str, set[str]] = {}
    for parent, name in entries:
        names.setdefault(parent, set()).add(name)
    plan: Plan = {parent: frozenset(of_parent) for parent, of_parent in names.items()}
    if os.path.isdir(directory):
        plan[os.path.realpath(directory)] = None
    return plan


def _entries(path: str) -> list[tuple[str, str]]:
    """Return (directory, name) of every link that is followed for `path`, and of its end or where it breaks off."""
    found: list[tuple[str, str]] = []
    left = deque(os.path.abspath(path).split("/"))
    at, links = "/", 0
    while left and links <= _MOST_LINKS:
        name = left.popleft()
        if name in {"", "."}:
            continue
        if name == "..":
            at = os.path.dirname(at)
            continue
        entry = os.path.join(at, name)
        try:
            target = os.readlink(entry)
        except OSError:
            if not left or not os.path.lexists(entry):
                return [*found, (at, name)]
            at = entry
            continue
        found.append((at, name))
        links += 1
        if target.startswith("/"):
            at = "/"
        left.extendleft(reversed(target.split("/")))
    return found


def mark(path: str) -> Mark:
    """Return what is another value when the file at `path` or one of its drop-ins may have changed."""
    try:
        drop_ins = drop_in_paths(path)
    except ConfigError as error:
        return (_mark_of(path), str(error))
    return tuple(map(_mark_of, (path, *drop_ins)))


def _mark_of(path: str) -> tuple[object, ...]:
    try:
        at = os.stat(path)
    except OSError as error:
        return path, error.errno
    return path, at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns
