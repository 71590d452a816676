"""A configuration file, or the configuration of one part at the prompt, to parameters."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from memtierd.config import tree
from memtierd.config.files import Document, digest, read_documents
from memtierd.config.leaves import wrong
from memtierd.config.merging import is_empty, merged
from memtierd.config.places import MAX_BYTES, Budget, file_source
from memtierd.config.policies import policy_structurer
from memtierd.config.problems import Collected, Invalid, Place, Problem, config_error
from memtierd.config.structuring import Registries
from memtierd.errors import ConfigError
from memtierd.parameters import FieldProblem, Part, part

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
    """A configuration file as it was read, with its drop-ins."""

    path: str
    documents: tuple[Document, ...]
    """The file, and the drop-ins in the order in which they were merged."""
    config: Config

    @property
    def digest(self) -> bytes:
        """Return what is the same only for the same files with the same texts."""
        return digest(self.documents)


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
        """Return the file at `path` with the configuration in it and its drop-ins.

        Raises ConfigError with every problem.
        """
        return self.load_documents(path, read_documents(path))

    def load_documents(self, path: str, documents: tuple[Document, ...]) -> "ConfigFile":
        """Return the configuration in texts that were read.  Raises ConfigError with every problem."""
        return ConfigFile(path, documents, self._load(documents, path))

    def load_text(self, text: str, origin: str) -> Config:
        """Return the configuration in `text`; `origin` names it in messages.  Raises ConfigError with every problem."""
        return self._load((Document(origin, text),), origin)

    def _load(self, documents: tuple[Document, ...], origin: str) -> Config:
        try:
            root = parse_documents(documents)
            if isinstance(root, tree.Scalar) and root.value is None:
                raise _one(root.place, "the file is empty", "a mapping with policy or routines")
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


def parse_documents(documents: tuple[Document, ...]) -> tree.Node:
    """Return the tree of a file with its drop-ins merged into it.  Raises Invalid with the problems of all."""
    budget, found = Budget(), Collected()
    first, *drop_ins = documents
    root: tree.Node | None = None
    with found.under():
        root = parse_text(first.text, budget=budget)
    for drop_in in drop_ins:
        with found.under():
            node = parse_text(drop_in.text, drop_in.path, budget)
            if not is_empty(node):
                if not isinstance(node, tree.Mapping):
                    raise wrong(node, "a mapping with policy or routines")
                root = node if root is None or is_empty(root) else merged(root, node)
    found.finish()
    if root is None:
        raise TypeError("nothing was parsed and nothing is wrong")
    return root


def parse_text(text: str, file: str = "", budget: Budget | None = None) -> tree.Node:
    """Return the tree of a whole file, or of an argument of the prompt.  Raises Invalid.

    A drop-in gives its path, and what of the budget is left.
    """
    # Not even a megabyte of letters is parsed when it is more than a file may have.
    if len(text) > MAX_BYTES:
        raise _one(Place(1, 1, file=file), "too much text", f"at most {MAX_BYTES >> 10} KiB")
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return tree.parse(file_source(plain, file, budget))


def _one(place: Place, problem: str, expected: str) -> Invalid:
    return Invalid([Problem(place, problem, expected)])
