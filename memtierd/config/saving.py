"""Writing a configuration file in one step: whoever reads it finds the old one or the new one, whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from memtierd.errors import CommandError, from_oserror

_NEW_MODE = 0o644


def save_text(path: str, text: str, *, overwrite: bool) -> None:
    """Write `text` to the file at `path`, which keeps its mode and owner when it is there already.

    The text is on the disk before it gets the name.  Raises CommandError when the file exists and is not to be
    overwritten, KernelError when it can't be written; nothing is left behind then.
    """
    try:
        target = os.path.realpath(path)  # of a symbolic link the file is replaced, not the link
        with _temporary_beside(target, text) as temporary:
            if overwrite:
                os.replace(temporary, target)
            else:
                os.link(temporary, target)  # unlike a rename it never takes another file's place
        _sync_directory(os.path.dirname(target))
    except FileExistsError:
        raise CommandError(f"save configuration {path!r}: the file exists; -force overwrites it") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise from_oserror(f"save configuration {path!r}", error, "give a file that can be written") from error
        raise CommandError(f"save configuration {path!r}: {error}") from error


@contextmanager
def _temporary_beside(target: str, text: str) -> Iterator[str]:
    """Give the path of a file that holds the text, and is gone afterwards if it has not been renamed."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _take_over_mode(descriptor, target)
            os.fsync(descriptor)
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _take_over_mode(descriptor: int, target: str) -> None:
    try:
        before = os.stat(target)
    except FileNotFoundError:
        os.fchmod(descriptor, _NEW_MODE)
        return
    os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o7777)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
