"""The files that a configuration is read from: the one that was named, and the drop-ins in the directory beside it."""

import hashlib
import os
import stat
from collections.abc import Iterator

import attrs

from memtierd.config.places import MAX_BYTES
from memtierd.config.problems import Invalid, Place, Problem, config_error
from memtierd.errors import ConfigError, errno_name
from memtierd.text import printable

DROP_IN_SUFFIX = ".yaml"


@attrs.frozen
class Document:
    """A file with its text."""

    path: str
    text: str = attrs.field(repr=False)


def drop_in_directory(path: str) -> str:
    """Return the directory of the drop-ins of the configuration file at `path`: memtierd.d beside memtierd.yaml."""
    return f"{os.path.splitext(path)[0]}.d"


def drop_in_paths(path: str) -> list[str]:
    """Return the drop-ins of the configuration file at `path`, in the order in which they are merged.

    These are the files that ``*.yaml`` names, so none whose names begin with a dot.  Raises ConfigError when the
    directory is there and can't be read.
    """
    directory = drop_in_directory(path)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:  # a NUL in the path
        raise _unreadable(directory, error, "give a readable directory of YAML files, or none") from error
    return [
        os.path.join(directory, name)
        for name in sorted(names)
        if name.endswith(DROP_IN_SUFFIX) and not name.startswith(".")
    ]


def read_documents(path: str) -> tuple[Document, ...]:
    """Return the configuration file at `path`, and its drop-ins in the order in which they are merged.

    Raises ConfigError with every file that can't be read or is no text.
    """
    problems: list[str] = []
    documents: list[Document] = []
    left_bytes = MAX_BYTES
    for at in _paths(path, problems):
        try:
            data = _read(at, is_drop_in=bool(documents) or at != path)
            left_bytes -= len(data)
            if left_bytes < 0:
                limit = f"at most {MAX_BYTES >> 10} KiB" + (" in all files together" if at != path else "")
                raise _at_place(at, 1, 1, "the file is too big", limit)
            documents.append(Document(at, _decode(data, at)))
        except ConfigError as error:
            problems += error.problems
            if left_bytes < 0:
                break
    if problems:
        raise ConfigError(problems)
    return tuple(documents)


def digest(documents: tuple[Document, ...]) -> bytes:
    """Return what is the same only for the same files with the same texts."""
    whole = hashlib.sha256()
    for document in documents:
        for text in (document.path, document.text):
            data = text.encode("utf-8", "surrogateescape")
            whole.update(len(data).to_bytes(8, "little") + data)
    return whole.digest()


def _paths(path: str, problems: list[str]) -> Iterator[str]:
    yield path
    try:
        yield from drop_in_paths(path)
    except ConfigError as error:
        problems += error.problems


def _read(path: str, *, is_drop_in: bool) -> bytes:
    """Return the bytes of the file, at most one more than allowed."""
    try:
        # A pipe can be the file itself, which is read once; as a drop-in it would hold everything up.
        if is_drop_in and not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError([f"read configuration '{printable(path)}': it is no regular file; give a YAML file"])
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a NUL in the path
        raise _unreadable(path, error, "give a readable YAML file") from error


def _unreadable(path: str, error: OSError | ValueError, advice: str) -> ConfigError:
    said = str(error)
    if isinstance(error, OSError):
        said = f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
    return ConfigError([f"read configuration '{printable(path)}': {said}; {advice}"])


def _decode(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise _at_place(path, line, column, problem, "text in UTF-8") from error


def _at_place(path: str, line: int, column: int, problem: str, expected: str) -> ConfigError:
    return config_error(path, Invalid([Problem(Place(line, column), problem, expected)]).problems)
