"""Notes in /run/memtierd of which parts of DAMON are in whose hands, to be found again after a crash."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import attrs

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.proc import process_key
from memtierd.linux.roots import ROOTS, Roots, list_names, open_fd, read_optional, translated
from memtierd.model import ProcessKey

_PREFIX, _SUFFIX = "damon-", ".json"
_LOCK_PATIENCE_S = 5.0
_NAP_S = 0.02


@attrs.frozen
class Claim:
    """One kdamond in somebody's hands."""

    kdamond: int
    thread: ProcessKey | None = None
    """Its thread, None while it does not run."""
    target_pids: tuple[int, ...] = ()
    """The processes that it is, or is about to be, set up for."""


@attrs.frozen
class Marker:
    """All that one tracker holds of DAMON."""

    owner: ProcessKey
    interface: str
    """sysfs or debugfs."""
    claims: tuple[Claim, ...]
    made_kdamonds: int = 0
    """What nr_kdamonds was set to; it was 0 before, and has to be 0 again.  0: it was not set."""
    instance: str = ""
    """A trace instance, by its name."""

    @property
    def file_name(self) -> str:
        """Return a name that no other marker has: a kdamond is in one hand only."""
        return f"{_PREFIX}{self.owner.pid}-{self.interface}-{self.claims[0].kdamond}{_SUFFIX}"


def directory(roots: Roots = ROOTS) -> str:
    """Return where markers are."""
    return f"{roots.run}/memtierd"


def read_all(roots: Roots = ROOTS) -> list[Marker]:
    """Return all markers of this boot; what can't be read as one is no marker."""
    boot = _boot_id(roots)
    found = []
    for name in sorted(list_names(directory(roots))):
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
            marker = _parsed(read_optional(f"{directory(roots)}/{name}") or "", boot)
            if marker is not None:
                found.append(marker)
    return found


def write(marker: Marker, roots: Roots = ROOTS) -> None:
    """Write a marker in place of the one of the same name, all at once.  Raises KernelError."""
    path = f"{directory(roots)}/{marker.file_name}"
    text = json.dumps({"boot": _boot_id(roots), **attrs.asdict(marker)}, indent=1)
    try:
        os.makedirs(directory(roots), mode=0o700, exist_ok=True)
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
        os.replace(f"{path}.new", path)
    except OSError as error:
        raise translated(f"write {path}", error) from error


def remove(marker: Marker, roots: Roots = ROOTS) -> None:
    """Remove a marker; no effect when there is none."""
    path = f"{directory(roots)}/{marker.file_name}"
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise translated(f"remove {path}", error) from error


def is_alive(key: ProcessKey, roots: Roots = ROOTS) -> bool:
    """Tell whether exactly this process, or kernel thread, is there."""
    try:
        return process_key(key.pid, roots) == key
    except ProcessGoneError:
        return False


@contextmanager
def locked(roots: Roots = ROOTS) -> Iterator[None]:
    """Keep all other memtierds from taking or giving back kdamonds during a `with` block.  Raises KernelError."""
    path = f"{directory(roots)}/damon.lock"
    try:
        os.makedirs(directory(roots), mode=0o700, exist_ok=True)
    except OSError as error:
        raise translated(f"make {directory(roots)}", error) from error
    descriptor = open_fd(path, os.O_RDWR | os.O_CREAT)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    for _ in range(int(_LOCK_PATIENCE_S / _NAP_S)):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_NAP_S)
    raise KernelError(f"lock {path}", errno.EWOULDBLOCK, "another memtierd holds it; stop that one")


def _parsed(text: str, boot: str) -> Marker | None:
    try:
        data = json.loads(text)
        if data["boot"] != boot:
            return None
        claims = tuple(
            Claim(int(claim["kdamond"]), _key(claim["thread"]), tuple(int(pid) for pid in claim["target_pids"]))
            for claim in data["claims"]
        )
        owner = _key(data["owner"])
        if owner is None or not claims:
            return None
        return Marker(owner, str(data["interface"]), claims, int(data["made_kdamonds"]), str(data["instance"]))
    except (ValueError, KeyError, TypeError):
        return None


def _key(data: dict[str, int] | None) -> ProcessKey | None:
    return None if data is None else ProcessKey(int(data["pid"]), int(data["start_ticks"]))


def _boot_id(roots: Roots) -> str:
    return (read_optional(f"{roots.proc}/sys/kernel/random/boot_id") or "").strip()
