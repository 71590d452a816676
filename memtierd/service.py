"""The daemon as a service: what goes on around it, started and stopped in order."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import attrs

from memtierd.daemon import Daemon
from memtierd.linux.sd_notify import Notifier, watchdog_interval_s
from memtierd.reloading import Reloader
from memtierd.supervision import Supervision


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
    state_interval_s: float
    """How often it is written."""
    metrics: str | None
    """Address at which metrics are served."""
    metrics_file: str | None


class Service:
    """Everything around one daemon, which is started before and stopped after it by the caller."""

    def __init__(self, daemon: Daemon, settings: Settings) -> None:
        self._daemon = daemon
        self._settings = settings
        self._started = ExitStack()
        interval_s = watchdog_interval_s(os.environ, os.getpid())
        self._supervision = Supervision(Notifier.from_environment(), daemon, interval_s=interval_s)
        self._reloader = Reloader(daemon, listener=self._supervision)

    def request_reload(self, why: str) -> None:
        """Look at the configuration file soon; from any thread."""
        self._reloader.request(why)

    def restore(self) -> None:
        """Give the daemon what it had learned before; to be called before it is configured."""
        if self._settings.state is not None:
            from memtierd.state import Keeper  # noqa: PLC0415  not every run keeps state

            self._start(Keeper(self._daemon, self._settings.state, interval_s=self._settings.state_interval_s))

    def start(self) -> None:
        """Start the rest, once the daemon is configured; then the service is ready.

        Raises MemtierdError when a part that was asked for can't be had.
        """
        for part in self._parts():
            self._start(part)

    def stop(self) -> None:
        """Stop the parts, the last one first."""
        self._started.close()

    def _start(self, part: Part) -> None:
        self._started.callback(part.stop)
        part.start()

    def _parts(self) -> Iterator[Part]:
        """Yield the parts in the order of their start: the last one says that the service is ready, and stops first."""
        daemon, settings = self._daemon, self._settings
        if settings.metrics is not None:
            from memtierd.metrics import Exporter  # noqa: PLC0415  costs time and memory

            yield Exporter(daemon, settings.metrics)
        if settings.metrics_file is not None:
            from memtierd.metrics import TextfileWriter  # noqa: PLC0415  not needed by every run

            yield TextfileWriter(daemon, settings.metrics_file)
        if settings.control:
            from memtierd.remote.server import Server  # noqa: PLC0415  not needed by every run

            yield Server(
                daemon,
                settings.control,
                group=settings.control_group,
                group_writes=settings.control_group_writes,
            )
        yield self._reloader
        yield self._supervision
