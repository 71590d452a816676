"""Configuration: YAML or JSON text to the parameters of all parts, with every problem and its place in the file."""

import json
from typing import Any

from memtierd.config.dump import dump_json
from memtierd.config.loader import Config, Loader
from memtierd.config.registry import REGISTRIES
from memtierd.config.schema import schema_of

__all__ = ["REGISTRIES", "Config", "Loader", "dump_json", "load_file", "load_text", "schema_text", "structure"]

_LOADER = Loader(REGISTRIES)


def load_file(path: str) -> Config:
    """Return the configuration in the file at `path`.  Raises ConfigError with every problem."""
    return _LOADER.load_file(path)


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
