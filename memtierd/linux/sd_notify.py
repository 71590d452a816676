"""Telling systemd how the service is: ready, reloading, alive, stopping, and a line of status.

Source: man sd_notify(3) and sd_watchdog_enabled(3).  The protocol is one datagram of NAME=VALUE lines to the socket
that $NOTIFY_SOCKET names.
"""

import logging
import os
import socket
import threading
from collections.abc import Mapping

from memtierd.errors import errno_name
from memtierd.text import bounded

LOG = logging.getLogger("memtierd")
_STATUS_CHARACTERS = 500
"""As much as one can read in `systemctl status`."""
_SEND_TIMEOUT_S = 2.0
"""systemd may be busy; it must not hold up the service."""


class Notifier:
    """Sends to one socket; without an address it sends nothing.  All methods may be called from any thread."""

    def __init__(self, address: str | None) -> None:
        """Take the value of $NOTIFY_SOCKET: a path, or ``@name`` for an abstract socket; None or empty: none."""
        self._address = address or None
        self._lock = threading.Lock()
        self._has_failed = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Notifier":
        """Return the notifier of this process."""
        return cls(environment.get("NOTIFY_SOCKET"))

    @property
    def is_active(self) -> bool:
        """Return whether there is somebody to tell."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """Say that the service is up, or that a reload is over."""
        return self._send("READY=1", *_status(status))

    def reloading(self, now_ns: int) -> bool:
        """Say that a reload has begun, at a time of CLOCK_MONOTONIC."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}")

    def status(self, text: str) -> bool:
        """Show a line in `systemctl status`."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """Say that the service is alive."""
        return self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> bool:
        """Say that the service ends in order."""
        return self._send("STOPPING=1", *_status(status))

    def _send(self, *assignments: str) -> bool:
        """Return whether they were sent; the first failure after a success is logged."""
        if self._address is None or not assignments:
            return False
        with self._lock:
            try:
                _send_datagram(self._address, "\n".join(assignments).encode())
            except (OSError, ValueError) as error:  # ValueError: a NUL in the path
                self._failed(error)
                return False
            self._has_failed = False
            return True

    def _failed(self, error: OSError | ValueError) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        name = f" ({errno_name(error.errno)})" if isinstance(error, OSError) and error.errno else ""
        said = (isinstance(error, OSError) and error.strerror) or str(error)
        LOG.warning("tell systemd on $NOTIFY_SOCKET %r: %s%s; memtierd goes on", self._address, said.lower(), name)


def watchdog_interval_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Return within which time systemd wants to hear that process `pid` is alive; None when it does not watch it."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() and int(text) else None


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={bounded(text, _STATUS_CHARACTERS)}",) if text else ()


def _send_datagram(address: str, message: bytes) -> None:
    # The address of an abstract socket begins with NUL in place of @ (man unix(7)).
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(_SEND_TIMEOUT_S)
        sender.sendto(message, target)
