"""The journal of systemd: entries with fields in its native protocol, a datagram each."""

import errno
import fcntl
import os
import re
import socket
import struct
from collections.abc import Mapping

SOCKET_PATH = "/run/systemd/journal/socket"
_NAME = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}")
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)
_PATIENCE_S = 1.0
"""How long one entry waits for a journal that is busy; while it stays stuck the next ones don't wait."""


def encode(fields: Mapping[str, str]) -> bytes:
    """Return an entry as the journal reads it.

    A field is NAME=VALUE and a line feed; a value of several lines is the name, a line feed, its length in bytes as
    64-bit little-endian number, the value and a line feed (systemd, docs/JOURNAL_NATIVE_PROTOCOL.md).  Names are upper
    case letters, digits and underscores, at most 64; a letter that is none of these becomes an underscore, and a
    leading underscore, which only the journal itself may write, is dropped.
    """
    return b"".join(_field(_fit(name), value.encode("utf-8", "surrogateescape")) for name, value in fields.items())


def _field(name: str, value: bytes) -> bytes:
    key = name.encode()
    if b"\n" not in value:
        return b"%s=%s\n" % (key, value)
    return b"%s\n%s%s\n" % (key, struct.pack("<Q", len(value)), value)


def _fit(name: str) -> str:
    fit = re.sub(r"[^A-Z0-9_]", "_", name.upper()).lstrip("_")[:64]
    return fit if _NAME.fullmatch(fit) else "FIELD"


class JournalSocket:
    """The way to the journal; it is looked up anew for every entry, so that a restart of the journal is no matter."""

    def __init__(self, path: str = SOCKET_PATH, patience_s: float = _PATIENCE_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._is_stuck = False
        self._socket: socket.socket | None = None
        """Made with the first entry: a service may forbid sockets, which is no worse than no journal."""

    def send(self, fields: Mapping[str, str]) -> None:
        """Write one entry.

        Raises TimeoutError when the journal does not take it in time, another OSError when there is no journal.
        """
        entry = encode(fields)
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # close-on-exec, as all of Python's
        self._socket.settimeout(0 if self._is_stuck else self._patience_s)
        try:
            _send(self._socket, entry, self._path)
        except (BlockingIOError, TimeoutError) as error:
            self._is_stuck = True
            raise TimeoutError(errno.ETIMEDOUT, "the journal takes nothing") from error
        self._is_stuck = False

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


def _send(sender: socket.socket, entry: bytes, path: str) -> None:
    try:
        sender.sendto(entry, path)
    except OSError as error:
        if error.errno not in _TOO_LARGE:
            raise
        _send_file(sender, entry, path)


def _send_file(sender: socket.socket, entry: bytes, path: str) -> None:
    """Pass an entry that is too large for a datagram as a file in memory that nobody can change any more."""
    descriptor = os.memfd_create("memtierd-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(entry)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        sender.sendmsg([], passed, 0, path)
    finally:
        os.close(descriptor)
