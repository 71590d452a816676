"""A client's connection to the daemon: the greeting, messages in and out, and how it ended."""

import errno
import os
import select
import socket
import stat
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, NoReturn

import attrs

from memtierd import __version__
from memtierd.errors import MemtierdError, from_oserror
from memtierd.remote.access import Peer, peer_of
from memtierd.remote.frames import VERSION, Decoder, Message, encode, field

_READ_BYTES = 1 << 16
_PATIENCE_S = 10.0
_ENDING_LOOKS, _ENDING_LOOK_S = 10, 0.05


class ConnectionLostError(MemtierdError):
    """The daemon has ended, or has ended the connection."""


@attrs.frozen
class About:
    """What the daemon tells of itself."""

    memtierd: str
    """Its version."""
    pid: int
    config: str | None
    dry_run: bool
    may_change: bool

    def __str__(self) -> str:
        texts = [f"memtierd {self.memtierd} (pid {self.pid})", self.config or "without a configuration file"]
        texts += ["dry run"] if self.dry_run else []
        return ", ".join(texts + ([] if self.may_change else ["read-only"]))


def found(path: str) -> bool:
    """Return whether a daemon listens at `path`, also one that won't let us in."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(_PATIENCE_S)
            caller.connect(path)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.EAGAIN) or isinstance(error, TimeoutError)
    return True


class Connection:
    """One connection; `send` may be called from any thread, all else from one."""

    def __init__(self, path: str, *, is_prompt: bool) -> None:
        """Connect and greet.  Raises MemtierdError."""
        self._socket = _connected(path)
        self._decoder = Decoder()
        self._messages: deque[Message] = deque()
        self._lock = threading.Lock()
        self._peer = Peer(0, 0, frozenset())
        self._number = 0
        self._farewell = ""
        try:
            self._peer = _trusted(self._socket, path)
            self.about = self._greeted(is_prompt=is_prompt)
        except BaseException:
            self._socket.close()
            raise

    @property
    def is_open(self) -> bool:
        """Return whether it was not closed, or lost."""
        return self._socket.fileno() >= 0

    def number(self) -> int:
        """Return a number for a new command."""
        self._number += 1
        return self._number

    def fileno(self) -> int:
        """Return the file descriptor, to wait for messages."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message.  Raises ConnectionLostError, ProtocolError when it is too long."""
        data = encode(kind, fields)
        try:
            with self._lock:
                self._socket.sendall(data)
        except OSError as error:
            self._lose(error)

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, None when none comes in time.  Raises ConnectionLostError, ProtocolError."""
        deadline_s = time.monotonic() + timeout_s
        while not self._messages:
            ready, _, _ = select.select([self._socket], [], [], max(0.0, deadline_s - time.monotonic()))
            if not ready:
                return None
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError as error:
                self._lose(error)
            if not data:
                self._lose(None)
            self._decoder.feed(data)
            self._messages.extend(self._decoder.messages())
        message = self._messages.popleft()
        if message["type"] == "bye":
            self._farewell = field(message, "message", str)
            self._lose(None)
        return message

    def _lose(self, error: OSError | None) -> NoReturn:
        """Raise ConnectionLostError with what is known of the reason."""
        self.close()
        who = f"memtierd (pid {self._peer.pid})"
        if self._farewell:
            raise ConnectionLostError(f"{who} has ended the connection: {self._farewell}")
        if self._peer.pid and _ends(self._peer.pid):
            raise ConnectionLostError(f"{who} has ended; start it again")
        said = f": {os.strerror(error.errno or 0).lower()} ({errno.errorcode.get(error.errno or 0)})" if error else ""
        raise ConnectionLostError(f"{who} has ended the connection{said}; its log may say why")

    def _greeted(self, *, is_prompt: bool) -> About:
        with suppress(OSError):  # it may have refused us already, and that is to be read
            self._socket.sendall(encode("hello", {"version": VERSION, "memtierd": __version__, "prompt": is_prompt}))
        message = self.receive(_PATIENCE_S)
        if message is None:
            raise ConnectionLostError(f"memtierd (pid {self._peer.pid}) does not answer within {_PATIENCE_S:g} s")
        version = field(message, "version", int)
        if version != VERSION:
            raise MemtierdError(
                f"this memtierd ({__version__}) speaks version {VERSION} of the control protocol, the daemon (pid"
                f" {self._peer.pid}) version {version}; restart the service, so that both are of one installation"
            )
        if message["type"] != "welcome":
            raise MemtierdError(f"memtierd (pid {self._peer.pid}) refuses to be attached to: {message.get('message')}")
        return About(
            memtierd=field(message, "memtierd", str),
            pid=field(message, "pid", int),
            config=message.get("config"),
            dry_run=field(message, "dry_run", bool),
            may_change=field(message, "may_change", bool),
        )


def _ends(pid: int) -> bool:
    """Return whether a process has ended, or does so now: its sockets are closed before that can be seen."""
    for _ in range(_ENDING_LOOKS):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                state = file.read().rpartition(b") ")[2][:1]
        except OSError:
            return True
        if state in (b"Z", b"X"):
            return True
        time.sleep(_ENDING_LOOK_S)
    return False


def _connected(path: str) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(_PATIENCE_S)
    tried = f"attach to memtierd at {path!r}"
    try:
        caller.connect(path)
    except TimeoutError:
        caller.close()
        raise MemtierdError(f"{tried}: it takes in nobody within {_PATIENCE_S:g} s; see its log") from None
    except OSError as error:
        caller.close()
        raise from_oserror(tried, error, _ADVICE.get(error.errno or 0, "")) from error
    caller.settimeout(None)
    return caller


_ADVICE = {
    errno.ENOENT: "start one with: memtierd -config FILE, or use -standalone",
    errno.ECONNREFUSED: "it has ended; start it again, or use -standalone",
    errno.EACCES: "be root or in the group of its -control-group, or use -standalone",
}


def _trusted(connection: socket.socket, path: str) -> Peer:
    """Return who listens.  Raises MemtierdError for other users than root and ourselves: it may ask for files."""
    peer = peer_of(connection)
    if peer.uid not in (0, os.geteuid()):
        raise MemtierdError(
            f"attach to {path!r}: {peer} listens there, neither root nor you; give another -attach PATH"
        )
    return peer
