"""Configuration: YAML or JSON text to the parameters of all parts, with every problem and its place in the file."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from memtierd.config.compare import Change, changes
from memtierd.config.dump import dump_json
from memtierd.config.edits import Edit, edited, parse_edits
from memtierd.config.loader import Config, ConfigFile, Loader
from memtierd.config.origins import Setting, settings
from memtierd.config.plain import to_plain, yaml_text
from memtierd.config.registry import REGISTRIES
from memtierd.config.saving import save_text
from memtierd.config.schema import schema_of
from memtierd.errors import ConfigError

__all__ = [
    "REGISTRIES",
    "Change",
    "Config",
    "ConfigFile",
    "Edit",
    "Loader",
    "Setting",
    "changes",
    "dump_json",
    "dump_yaml",
    "effective_settings",
    "load_file",
    "load_text",
    "parse_edits",
    "read_file",
    "save_text",
    "schema_text",
    "structure",
    "with_edits",
]

T = TypeVar("T")
_LOADER = Loader(REGISTRIES)


def load_file(path: str) -> Config:
    """Return the configuration in the file at `path`.  Raises ConfigError with every problem."""
    return _LOADER.load_file(path)


def read_file(path: str) -> ConfigFile:
    """Return the file at `path` with the configuration in it.  Raises ConfigError with every problem."""
    return _LOADER.read_file(path)


def load_text(text: str, origin: str) -> Config:
    """Return the configuration in `text`; `origin` names it in messages.  Raises ConfigError with every problem."""
    return _LOADER.load_text(text, origin)


def schema_text() -> str:
    """Return the JSON Schema of configuration files, as it is kept in schemas/memtierd.schema.json."""
    return json.dumps(schema_of(REGISTRIES), indent=2, ensure_ascii=False) + "\n"


def structure(kind: str, name: str, text: str, origin: str) -> Any:
    """Return the params of the part `name` of `kind` ("policy", "tracker", "pidwatcher", or "mover" with name "").

    `text` is YAML or JSON; an empty one means all defaults.  Raises ConfigError with every problem.
    """
    return _LOADER.structure(kind, name, text, origin)


def dump_yaml(params: Any, *, sparse: bool) -> str:
    """Return the text of a file from which the same parameters come; when `sparse`, without what is default."""
    return yaml_text(to_plain(params, _LOADER.default_part, sparse=sparse))


def effective_settings(effective: Any, file: ConfigFile | None) -> list[Setting]:
    """Return every value of a parameter tree with its origin, given the file that was loaded."""
    return settings(effective, file, _LOADER.default_part)


def with_edits(tree: T, edits: Sequence[Edit]) -> T:
    """Return a parameter tree with some values set, checked as a file is.  Raises ConfigError with every problem."""
    # Defaults are left out, so that those that depend on other values follow them.
    plain = to_plain(tree, _LOADER.default_part, sparse=True)
    problems = edited(plain, type(tree), list(edits), REGISTRIES)
    try:
        made = _LOADER.structure_as(type(tree), yaml_text(plain))
    except ConfigError as error:
        raise ConfigError(problems + error.problems) from error
    if problems:
        raise ConfigError(problems)
    return made
