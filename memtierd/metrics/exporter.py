"""Serves metrics over HTTP with the optional package prometheus_client."""

import errno
import logging
import threading
from typing import TYPE_CHECKING, Any

from memtierd.daemon import Daemon
from memtierd.errors import MemtierdError, from_oserror
from memtierd.metrics.address import Address, parse_address, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from memtierd.metrics.http_server import Server

LOG = logging.getLogger("memtierd")
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
        self._server: Server | None = None
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
        from memtierd.metrics.http_server import listen  # noqa: PLC0415  costs memory

        try:
            self._server = listen(family, found, app)
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
