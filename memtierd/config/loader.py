"""A configuration file, or the configuration of one part at the prompt, to parameters."""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from memtierd.config import tree
from memtierd.config.places import MAX_BYTES, file_source
from memtierd.config.policies import policy_structurer
from memtierd.config.problems import Collected, Invalid, Place, Problem, config_error
from memtierd.config.structuring import Registries
from memtierd.errors import ConfigError, errno_name
from memtierd.parameters import FieldProblem, Part, part
from memtierd.text import printable

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Config:
    """A whole configuration file."""

    policy: Part | None = part("policy", None, doc="What is managed, and by which rules.")
    routines: tuple[Part, ...] = part("routine", (), doc="Commands that run beside the policy.", many=True)

    def problems(self) -> Iterator[FieldProblem]:
        """Yield that there is nothing to do."""
        if self.policy is None and not self.routines:
            expected = "policy: what is managed, and by which rules; or routines"
            yield FieldProblem("policy", expected, "missing key", depends_on=("routines",))


@attrs.frozen
class ConfigFile:
    """A configuration file as it was read."""

    path: str
    text: str = attrs.field(repr=False)
    config: Config


class Loader:
    """Loads configurations made of the parts that `registries` names."""

    def __init__(self, registries: Registries) -> None:
        self._structurer = policy_structurer(registries)

    @property
    def default_part(self) -> Callable[[str, str], Any]:
        """Return what gives the part of a kind and name with its defaults, or those of a kind without names."""
        return self._structurer.default

    def load_file(self, path: str) -> Config:
        """Return the configuration in the file at `path`.  Raises ConfigError with every problem."""
        return self.read_file(path).config

    def read_file(self, path: str) -> "ConfigFile":
        """Return the file at `path` with the configuration in it.  Raises ConfigError with every problem."""
        text = _decode(_read(path), path)
        return ConfigFile(path, text, self.load_text(text, path))

    def load_text(self, text: str, origin: str) -> Config:
        """Return the configuration in `text`; `origin` names it in messages.  Raises ConfigError with every problem."""
        try:
            root = parse_text(text)
            if isinstance(root, tree.Scalar) and root.value is None:
                raise _one(root.place.line, root.place.column, "the file is empty", "a mapping with policy or routines")
            config: Config = self._structurer.structure(root, Config)
        except Invalid as invalid:
            raise config_error(origin, invalid.problems) from invalid
        return config

    def structure(self, kind: str, name: str, text: str, origin: str) -> Any:
        """Return the params of the part `name` of `kind` (empty for a kind without names) from YAML or JSON text.

        An empty text means all defaults.  Raises ConfigError with every problem, KeyError for an unknown kind.
        """
        try:
            return self._structurer.named_params(parse_text(text), kind, name)
        except Invalid as invalid:
            raise config_error(origin, invalid.problems) from invalid

    def structure_as(self, cls: type[T], text: str) -> T:
        """Return an instance of `cls`, whose fields are options and parts, from a text that nobody has written.

        Raises ConfigError with every problem, by its path alone.
        """
        try:
            made: T = self._structurer.structure(parse_text(text), cls)
        except Invalid as invalid:
            raise ConfigError(list(dict.fromkeys(map(_by_path, invalid.problems)))) from invalid
        return made


def _by_path(found: Problem) -> str:
    path = ".".join(key for key in found.path if key != "config")
    return (
        f"{path}: {found.problem}, expected {found.expected}" if path else f"{found.problem}, expected {found.expected}"
    )


def parse_text(text: str) -> tree.Node:
    """Return the tree of a whole file, or of an argument of the prompt.  Raises Invalid."""
    # Not even a megabyte of letters is parsed when it is more than a file may have.
    if len(text) > MAX_BYTES:
        raise _one(1, 1, "too much text", f"at most {MAX_BYTES >> 10} KiB")
    return tree.parse(file_source(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")))


def _read(path: str) -> bytes:
    """Return the bytes of the file, at most one more than allowed."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        said = f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
    except ValueError as error:  # a NUL in the path
        said = str(error)
    tried = f"read configuration '{printable(path)}'"
    raise ConfigError([f"{tried}: {said}; give a readable YAML file"])


def _decode(data: bytes, origin: str) -> str:
    if len(data) > MAX_BYTES:
        raise config_error(origin, _one(1, 1, "the file is too big", f"at most {MAX_BYTES >> 10} KiB").problems)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise config_error(origin, _one(line, column, problem, "text in UTF-8").problems) from error


def _one(line: int, column: int, problem: str, expected: str) -> Invalid:
    found = Collected()
    found.add(Place(line, column), problem, expected)
    return Invalid(found.problems)
