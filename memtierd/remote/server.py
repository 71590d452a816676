"""The server of the control socket: takes in clients, hears what they send, and lets each be worked for by itself."""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import attrs

from memtierd import __version__
from memtierd.errors import MemtierdError
from memtierd.prompt.context import DaemonPort
from memtierd.remote.access import Access, Peer, Rules, gid_of, peer_of
from memtierd.remote.attached import Attached, Host
from memtierd.remote.frames import (
    MAX_FRAME_BYTES,
    MAX_GREETING_BYTES,
    MAX_LOOKING_BYTES,
    VERSION,
    Decoder,
    Message,
    ProtocolError,
    encode,
    field,
)
from memtierd.remote.listening import Listening, listen

LOG = logging.getLogger("memtierd")
_READ_BYTES = 1 << 16
_SOURCE = "control socket"
_AFTER_ERROR_S = 0.1
"""A pause that keeps a lasting error from taking all of a CPU."""


@attrs.frozen
class Limits:
    """What clients may take."""

    clients: int = 32
    clients_of_others: int = 16
    """So many may be attached by others than root and the daemon's own user, who find room in any case."""
    greeting_s: float = 10.0
    """A client must say who it is within this time."""
    patience_s: float = 20.0
    """A client that takes nothing and says nothing for so long while it is being sent something is dropped."""
    denials_s: float = 60.0
    """Refused clients are logged at most once in this time, with their number."""
    stop_s: float = 5.0
    """How long the end waits for commands under way."""


class ControlPort(Protocol):
    """What the server needs of the control thread."""

    def count(self, event: str, times: int = 1) -> None:
        """Count an event."""

    def hold(self, source: str, texts: Sequence[str]) -> None:
        """Take these as all lasting conditions of a source."""


class ServedDaemon(DaemonPort, Protocol):
    """The daemon that clients look into."""

    @property
    def control(self) -> ControlPort:
        """Return its control thread."""


@attrs.define(eq=False)
class _Client:
    """A connection; before the greeting nothing but that."""

    connection: socket.socket
    peer: Peer
    access: Access
    since_s: float
    decoder: Decoder = attrs.field(factory=lambda: Decoder(MAX_GREETING_BYTES))
    attached: Attached | None = None


class Server:
    """Listens on a Unix socket.  A problem with that is a condition, and the daemon goes on without."""

    def __init__(
        self,
        daemon: ServedDaemon,
        path: str,
        *,
        group: str | None = None,
        group_writes: bool = False,
        on_problem: Callable[[str], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Prepare; `on_problem` hears why it can't listen, by default that is held as a condition."""
        self._daemon = daemon
        self._path = path
        self._group = group
        self._group_writes = group_writes
        self._on_problem = on_problem or (lambda text: daemon.control.hold(_SOURCE, [text]))
        self._limits = limits or Limits()
        self._rules = Rules(os.geteuid())
        self._listening: Listening | None = None
        self._clients: set[_Client] = set()
        self._leaving: list[Attached] = []
        """Clients that have gone, and for whom something is still being done."""
        self._selector: selectors.BaseSelector | None = None
        self._waker, self._waked = -1, -1
        self._thread: threading.Thread | None = None
        self._refused = Refusals(self._limits.denials_s)
        self._host = Host(daemon, daemon.control.count, self._limits.patience_s)

    @property
    def is_listening(self) -> bool:
        """Return whether clients can attach."""
        return self._thread is not None

    def start(self) -> None:
        """Listen from now on."""
        if self._thread is not None:
            return
        try:
            gid = gid_of(self._group) if self._group is not None else None
            self._rules = Rules(os.geteuid(), gid, self._group_writes)
            self._listening = listen(self._path, gid)
        except MemtierdError as error:
            self._on_problem(str(error))
            return
        self._daemon.control.hold(_SOURCE, ())
        self._waked, self._waker = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening.socket, selectors.EVENT_READ)
        self._selector.register(self._waked, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, args=(self._selector,), name="control socket", daemon=True)
        self._thread.start()
        LOG.info("control socket: listening on %s", self._path)

    def stop(self) -> None:
        """Tell the clients, end their commands, and remove the socket."""
        if self._thread is None or self._listening is None or self._selector is None:
            return
        os.close(self._waker)
        self._thread.join()
        self._thread = None
        self._listening.close()
        for client in list(self._clients):
            self._drop(client, "it is stopping")
        deadline_s = time.monotonic() + self._limits.stop_s
        for attached in self._leaving:
            attached.join(max(0.0, deadline_s - time.monotonic()))
        self._leaving.clear()
        self._selector.close()
        os.close(self._waked)

    # the server's thread

    def _serve(self, selector: selectors.BaseSelector) -> None:
        while True:
            ready = selector.select(self._wait_s())
            if any(key.fd == self._waked for key, _ in ready):
                return
            try:
                for key, _ in ready:
                    self._accept() if key.data is None else self._hear(key.data)
                self._tidy()
            except Exception:
                LOG.exception("control socket: unexpected error; this is a bug, report it")
                time.sleep(_AFTER_ERROR_S)

    def _wait_s(self) -> float | None:
        """Return when to look again although nothing comes, None for not: idle clients cost nothing."""
        if self._leaving:
            return 0.5
        waiting = [client.since_s for client in self._clients if client.attached is None]
        if not waiting:
            return None
        return max(0.0, min(waiting) + self._limits.greeting_s - time.monotonic())

    def _tidy(self) -> None:
        """Let go of clients whose commands have ended, and drop those that don't say who they are."""
        self._leaving = [attached for attached in self._leaving if not attached.join(0)]
        too_old_s = time.monotonic() - self._limits.greeting_s
        for client in [one for one in self._clients if one.attached is None and one.since_s <= too_old_s]:
            self._drop(client)

    def _accept(self) -> None:
        if self._listening is None or self._selector is None:
            return
        try:
            connection, _ = self._listening.socket.accept()
        except BlockingIOError:
            return  # it has gone already
        except OSError as error:
            self._refused.note(f"can't take in a client: {os.strerror(error.errno or 0).lower()}")
            time.sleep(_AFTER_ERROR_S)  # out of file descriptors: it stays in the queue, and would come at once again
            return
        try:
            connection.setblocking(False)
            peer = peer_of(connection)
        except OSError:
            connection.close()
            return
        client = _Client(connection, peer, self._rules.access(peer), time.monotonic())
        if client.access is Access.NONE:
            self._refuse(client, "client denied", "this socket is for root and for the group of -control-group")
        elif not self._has_room(client):
            self._refuse(
                client, "client over the limit", f"{len(self._clients)} clients are attached; end some of them"
            )
        else:
            self._clients.add(client)
            self._selector.register(connection, selectors.EVENT_READ, client)

    def _has_room(self, client: _Client) -> bool:
        peers = [one.peer for one in self._clients] + [one.peer for one in self._leaving]
        others = sum(not self._is_owner(peer) for peer in peers)
        is_one_more = self._is_owner(client.peer) or others < self._limits.clients_of_others
        return is_one_more and len(peers) < self._limits.clients

    def _is_owner(self, peer: Peer) -> bool:
        return peer.uid in (0, self._rules.own_uid)

    def _refuse(self, client: _Client, event: str, why: str) -> None:
        self._daemon.control.count(f"control socket: {event}")
        self._refused.note(f"{client.peer} {event.removeprefix('client ')}")
        _say(client.connection, "refused", version=VERSION, message=why)
        client.connection.close()

    def _hear(self, client: _Client) -> None:
        try:
            data = client.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        client.decoder.feed(data)
        try:
            self._take(client)
        except ProtocolError as error:
            self._daemon.control.count("control socket: protocol error")
            self._refused.note(f"{client.peer} sent {error}")
            self._drop(client, f"it got {error}")
        except Exception:
            LOG.exception("control socket: unexpected error for %s; this is a bug, report it", client.peer)
            self._drop(client, "it met an internal error, which is in its log")

    def _take(self, client: _Client) -> None:
        for message in client.decoder.messages():
            if client.attached is None:
                self._greet(client, message)
            else:
                client.attached.take(message)
            if client not in self._clients:
                return

    def _greet(self, client: _Client, message: Message) -> None:
        if message["type"] != "hello":
            raise ProtocolError(f"a message {message['type']!r} before the greeting")
        version = field(message, "version", int)
        if version != VERSION:
            self._refused.note(f"{client.peer} speaks version {version} of the protocol")
            _say(client.connection, "refused", version=VERSION, memtierd=__version__, pid=os.getpid(), message="")
            self._drop(client)
            return
        client.decoder.most_bytes = MAX_FRAME_BYTES if client.access is Access.CHANGE else MAX_LOOKING_BYTES
        client.attached = Attached(client.connection, client.peer, client.access, self._host)
        self._daemon.control.count("control socket: client attached")
        level = logging.INFO if message.get("prompt") is True else logging.DEBUG
        LOG.log(level, "control socket: %s attached, %s", client.peer, client.access.value)
        _say(client.connection, "welcome", **self._about(client))

    def _about(self, client: _Client) -> dict[str, Any]:
        file = self._daemon.config_file
        return {
            "version": VERSION,
            "memtierd": __version__,
            "pid": os.getpid(),
            "config": file.path if file is not None else None,
            "dry_run": self._daemon.dry_run,
            "may_change": client.access is Access.CHANGE,
        }

    def _drop(self, client: _Client, why: str = "") -> None:
        self._clients.discard(client)
        if self._selector is not None:
            self._selector.unregister(client.connection)
        if client.attached is None:
            client.connection.close()
            return
        client.attached.close(why)
        if not client.attached.join(0):
            self._leaving.append(client.attached)


class Refusals:
    """Logs refused clients: the first at once, then how many there were at most once in a while."""

    def __init__(self, quiet_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._quiet_s = quiet_s
        self._clock_s = clock_s
        self._said_s: float | None = None
        self._unsaid = 0

    def note(self, text: str) -> None:
        """Log it, or count it."""
        now_s = self._clock_s()
        if self._said_s is not None and now_s - self._said_s < self._quiet_s:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} others were refused before)" if self._unsaid else ""
        self._said_s, self._unsaid = now_s, 0
        LOG.warning("control socket: %s%s", text, more)


def _say(connection: socket.socket, kind: str, **fields: Any) -> None:
    """Send something to a client that was sent nothing before, so that there is room; it may have gone."""
    with suppress(OSError):
        connection.send(encode(kind, fields))
