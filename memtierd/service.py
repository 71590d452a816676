"""The daemon as a service: what goes on around it, started and stopped in order."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import attrs

from memtierd.errors import MemtierdError

if TYPE_CHECKING:
    from memtierd.daemon import Daemon
    from memtierd.reloading import Reloader
    from memtierd.supervision import Supervision

LOG = logging.getLogger("memtierd")
CONTROL_VARIABLE = "MEMTIERD_CONTROL"
STATE_VARIABLE = "STATE_DIRECTORY"
"""systemd sets it for a unit with StateDirectory= (man systemd.exec(5))."""
DEFAULT_CONTROL = "/run/memtierd/control.sock"


class Part(Protocol):
    """Something that goes on around the daemon."""

    def start(self) -> None:
        """Begin.  Raises MemtierdError when it can't."""

    def stop(self) -> None:
        """End; no effect when it has not begun."""


@attrs.frozen(kw_only=True)
class Settings:
    """What goes on around the daemon."""

    control: str
    """Path of the socket for prompts; empty: none."""
    control_group: str | None
    control_group_writes: bool
    state: str | None
    """Directory where what was learned is kept."""
    metrics: str | None
    """Address at which metrics are served."""
    metrics_file: str | None


def control_path(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the socket on which a daemon listens and where a prompt looks for one; empty for none."""
    return environment.get(CONTROL_VARIABLE, DEFAULT_CONTROL) if given is None else given


def state_directory(given: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return where what was learned is kept, None for nowhere."""
    return given or environment.get(STATE_VARIABLE, "").split(":")[0] or None


class Service:
    """Everything around one daemon, which is started before and stopped after it by the caller."""

    def __init__(self, daemon: "Daemon", settings: Settings) -> None:
        self._daemon = daemon
        self._settings = settings
        self._started = ExitStack()
        self._reloader: Reloader | None = None

    def restore(self) -> None:
        """Give the daemon what it had learned before; to be called before it is configured."""
        if self._settings.state is not None:
            from memtierd.state import Keeper  # noqa: PLC0415  not every run keeps state

            self._start(Keeper(self._daemon, self._settings.state))

    def start(self) -> None:
        """Start the rest.  Raises MemtierdError when a part that was asked for can't be had."""
        for part in self._parts():
            self._start(part)

    def request_reload(self, why: str) -> None:
        """Look at the configuration file soon; may be called from a signal handler."""
        if self._reloader is not None:
            self._reloader.request(why)

    def stop(self) -> None:
        """Stop the parts, the last one first."""
        self._started.close()

    def _start(self, part: Part) -> None:
        self._started.callback(part.stop)
        part.start()

    def _parts(self) -> Iterator[Part]:
        settings = self._settings
        if settings.metrics is not None:
            from memtierd.metrics import Exporter  # noqa: PLC0415  costs time and memory

            yield Exporter(self._daemon, settings.metrics)
        if settings.metrics_file is not None:
            from memtierd.metrics import TextfileWriter  # noqa: PLC0415  not needed by every run

            yield TextfileWriter(self._daemon, settings.metrics_file)
