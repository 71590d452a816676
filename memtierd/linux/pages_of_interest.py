"""A directory of PID.vab files, in which another program says which addresses of which processes shall be managed.

Such a file holds pairs of virtual addresses, the first byte of a range and the byte behind it, as unsigned
little-endian 64-bit numbers.  The file `lock` beside them is for flock(2): whoever writes holds it exclusively
meanwhile, and the reader holds it shared.  Files are only read: they stay until their writer removes them.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.errors import KernelError, MemtierdError
from memtierd.linux.roots import translated
from memtierd.model import U64
from memtierd.units import PAGE_BYTES

SUFFIX = ".vab"
MOST_FILES = 100_000
MOST_RANGES = 1 << 17
"""In one file, which has 2 MiB then: each becomes a region at least, and is looked up again at every scan."""
_PAIR_BYTES = 16
_USER_SPACE_END = 1 << 56  # five levels of page tables, Documentation/arch/x86/x86_64/mm.rst
_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN)


class LockedError(MemtierdError):
    """Somebody is writing: what is in the directory now may be half of it."""


class BadFileError(MemtierdError):
    """A file that is no file of ranges; the message is said of it: "has …"."""


@attrs.frozen(eq=False)
class AddressRanges:
    """Ascending half-open ranges of addresses that neither overlap nor touch."""

    start: U64
    end: U64


@attrs.frozen(eq=False)
class InterestFile:
    """What one file says."""

    ranges: AddressRanges
    """Not empty."""
    written_ns: int
    """Time of its last change, in nanoseconds of the wall clock."""


@attrs.frozen
class Interest:
    """What a directory said at one moment."""

    files: dict[int, InterestFile]
    """By pid."""
    problems: tuple[str, ...]
    """Why other files count for nothing, a sentence each."""


def read_interest(directory: str) -> Interest:
    """Return what the files in the directory say, read while nobody writes.

    Raises LockedError while somebody does, KernelError when the directory or its lock can't be opened.
    """
    with _shared_lock(f"{directory}/lock"):
        files: dict[int, InterestFile] = {}
        problems: list[str] = []
        for name in sorted(_names(directory)):
            path = f"{directory}/{name}"
            try:
                found = _read(path)
                if found is not None:
                    files[_pid(name)] = found
            except (BadFileError, KernelError) as error:
                problems.append(f"{path} {error}" if isinstance(error, BadFileError) else str(error))
        return Interest(files, tuple(problems))


def parse_ranges(data: bytes) -> AddressRanges:
    """Return the ranges in the bytes of a file, sorted and joined where they overlap or touch.

    Raises BadFileError, for the whole file: what a writer got wrong once it may have got wrong everywhere.
    """
    if len(data) % _PAIR_BYTES:
        raise BadFileError("is not made of pairs of 64-bit addresses: its size is no multiple of 16 bytes")
    pairs = np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(-1, 2)
    start, end = pairs[:, 0], pairs[:, 1]
    if np.any(start > end):
        raise BadFileError("has a range whose end is below its start")
    if np.any(end > np.uint64(_USER_SPACE_END)):
        raise BadFileError("has an address that no process can have")
    if np.any((start | end) % np.uint64(PAGE_BYTES)):
        raise BadFileError(f"has an address that is no multiple of the page size {PAGE_BYTES}")
    some = start < end
    return _joined(start[some], end[some])


def _joined(start: U64, end: U64) -> AddressRanges:
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    first: npt.NDArray[np.bool_] = np.ones(start.shape, np.bool_)
    first[1:] = start[1:] > reach[:-1]
    last = np.roll(first, -1)
    return AddressRanges(start[first], reach[last])


@contextmanager
def _shared_lock(path: str) -> Iterator[None]:
    """Hold the lock while the `with` block runs; the file is made when it is missing, as a writer would do."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise translated(f"open {path}", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except OSError as error:
        if error.errno in _BUSY:
            raise LockedError(f"{path} is held by a writer") from error
        raise translated(f"lock {path}", error) from error
    finally:
        os.close(descriptor)  # and with it the lock


def _names(directory: str) -> list[str]:
    try:
        names = [name for name in os.listdir(directory) if name.endswith(SUFFIX)]
    except OSError as error:
        raise translated(f"list {directory}", error) from error
    if len(names) > MOST_FILES:
        raise KernelError(f"list {directory}", errno.E2BIG, f"at most {MOST_FILES} files can be read")
    return names


def _pid(name: str) -> int:
    number = name.removesuffix(SUFFIX)
    if not number.isascii() or not number.isdecimal() or number.startswith("0") or len(number) > 7:
        raise BadFileError(f"is not named PID{SUFFIX}")
    return int(number)


def _read(path: str) -> InterestFile | None:
    """Return what a file says, None when it names no memory."""
    _pid(os.path.basename(path))
    try:
        # A pipe must neither be waited for, nor taken for a file.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            facts = os.fstat(file.fileno())
            _check_kind(facts)
            data = file.read(MOST_RANGES * _PAIR_BYTES + 1)
    except OSError as error:
        raise translated(f"read {path}", error) from error
    if len(data) > MOST_RANGES * _PAIR_BYTES:
        raise BadFileError(f"has more than {MOST_RANGES} ranges")
    ranges = parse_ranges(data)
    return InterestFile(ranges, facts.st_mtime_ns) if ranges.start.size else None


def _check_kind(facts: Any) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise BadFileError("is not a regular file")
