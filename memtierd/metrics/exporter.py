"""Serves metrics over HTTP with the optional package prometheus_client."""

import errno
import logging
import socket
import threading
from collections import deque
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from memtierd.daemon import Daemon
from memtierd.errors import MemtierdError, from_oserror
from memtierd.metrics.address import Address, parse_address, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("memtierd")
_MAX_CLIENTS = 16
_IDLE_S = 10.0
_ADVICE = {
    errno.EADDRINUSE: "another program listens there; give -metrics another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; give -metrics one that it has, or :PORT",
    errno.EACCES: "give -metrics a port from 1024 on, or run as root",
}


class Exporter:
    """Serves /metrics at an address until it is stopped; the daemon waits for no client."""

    def __init__(self, daemon: Daemon, address: str) -> None:
        self._daemon = daemon
        self._wanted = address
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> Address:
        """Return where it listens; the port that was found free if 0 was asked for."""
        wanted = parse_address(self._wanted)
        return wanted if self._server is None else Address(wanted.host, self._server.server_port)

    def start(self) -> None:
        """Listen.  Raises MemtierdError when that can't be, or prometheus_client is missing."""
        if self._server is not None:
            return
        address = parse_address(self._wanted)
        app = _app(self._daemon)
        family, found = resolve(address)
        # A class of its own, because the server reads the family from there before it has an instance.
        server_class = type("Server", (_Server,), {"address_family": family})
        try:
            self._server = make_server(*found, app, server_class, _Handler)
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "give -metrics another address")
            raise from_oserror(f"serve metrics at {address}", error, advice) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        LOG.info("metrics at http://%s/metrics", self.address)

    def stop(self) -> None:
        """Listen no longer, and leave every client."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None


def _app(daemon: Daemon) -> "Callable[..., Any]":
    """Return the WSGI application: metrics at /metrics, a word about them elsewhere."""
    try:
        from memtierd.metrics.client_registry import metrics_app  # noqa: PLC0415  prometheus_client is optional
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        raise MemtierdError(
            "serve metrics: the Python package prometheus_client is missing; install it with: pip install"
            " 'memtierd[metrics]', or write metrics to a file with -metrics-file FILE.prom"
        ) from error
    metrics = metrics_app(daemon)

    def app(environ: Any, start_response: Any) -> Any:
        if environ.get("PATH_INFO") == "/metrics":
            return metrics(environ, start_response)
        status = "200 OK" if environ.get("PATH_INFO") in ("", "/") else "404 Not Found"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [b"memtierd: metrics are at /metrics\n"]

    return app


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


class _Server(ThreadingMixIn, WSGIServer):
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
            if len(self._clients) >= _MAX_CLIENTS:
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
