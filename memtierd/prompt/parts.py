"""Configurations of parts, as the prompt takes and shows them."""

import os
from typing import Any

from memtierd.errors import CommandError, errno_name
from memtierd.prompt.caller import Caller


def params_from_text(kind: str, name: str, text: str) -> Any:
    """Return the parameters of a part from YAML or JSON text.  Raises ConfigError with every problem."""
    from memtierd.config import structure  # noqa: PLC0415  reading YAML costs start-up time that few commands need

    return structure(kind, name, text, "-config")


def params_from_file(kind: str, name: str, path: str, caller: Caller) -> Any:
    """Return the parameters of a part from a file of the caller that holds just its configuration."""
    from memtierd.config import structure  # noqa: PLC0415

    try:
        text = caller.read_text(path)
    except (OSError, ValueError) as error:
        said = str(error)
        if isinstance(error, OSError):
            said = f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
        raise CommandError(f"read configuration {path!r}: {said}; give a readable YAML file") from error
    return structure(kind, name, text, path)


def as_json(params: Any) -> str:
    """Return parameters as one line of JSON that -config takes back."""
    from memtierd.config import dump_json  # noqa: PLC0415

    return dump_json(params)
