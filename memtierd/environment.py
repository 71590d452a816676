"""Where a daemon and its prompts meet, and where a daemon keeps things, when no flag says it."""

import os
from collections.abc import Mapping

CONTROL_VARIABLE = "MEMTIERD_CONTROL"
STATE_VARIABLE = "STATE_DIRECTORY"
"""systemd sets it for a unit with StateDirectory= (man systemd.exec(5))."""
DEFAULT_CONTROL = "/run/memtierd/control.sock"


def control_path(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the socket on which a daemon listens and where a prompt looks for one; empty for none."""
    return environment.get(CONTROL_VARIABLE, DEFAULT_CONTROL) if given is None else given


def state_directory(given: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return where what was learned is kept, None for nowhere."""
    return given or environment.get(STATE_VARIABLE, "").split(":")[0] or None
