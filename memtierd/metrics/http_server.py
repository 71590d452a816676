"""A small HTTP server: a thread for each client, at most so many, and none is waited for."""

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

LOG = logging.getLogger("memtierd")
MAX_CLIENTS = 16
_IDLE_S = 10.0


def listen(family: socket.AddressFamily, address: tuple[str, int], app: Callable[..., Any]) -> "Server":
    """Return a server that listens; `serve_forever` makes it answer with a WSGI application.  Raises OSError."""
    # A class of its own, because the server reads the family from there before it has an instance.
    server_class = type("FamilyServer", (Server,), {"address_family": family})
    server: Server = make_server(*address, app, server_class, _Handler)
    return server


class _Handler(WSGIRequestHandler):
    """Answers a request; a client that does not go on is left."""

    timeout = _IDLE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the standard library's
        """Log nothing: scrapes come all the time."""

    def handle(self) -> None:
        """Answer, unless the client goes away or takes too long."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # TimeoutError and broken pipes: there is nobody to tell


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each client, and at most so many: when another one comes, the client that came first is left."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clients: deque[socket.socket] = deque()
        self._clients_lock = threading.Lock()
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind; `http.server` would look up the name of this machine, which may take many seconds."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] is every address, v4, too
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread of its own."""
        with self._clients_lock:
            if len(self._clients) >= MAX_CLIENTS:
                _hang_up(self._clients.popleft())
            self._clients.append(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End with a client."""
        with self._clients_lock:
            if request in self._clients:
                self._clients.remove(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Listen no longer, and leave every client."""
        super().server_close()
        with self._clients_lock:
            for client in self._clients:
                _hang_up(client)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong; the standard library would print it."""
        LOG.exception("metrics: unexpected error; this is a bug, report it")


def _hang_up(client: socket.socket) -> None:
    """Let the thread that serves a client find its connection at an end; it closes it."""
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has gone by itself
