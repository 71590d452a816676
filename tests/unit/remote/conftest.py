"""A server in this process for the tests of the control socket."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtierd.remote.server import Limits, Server
from tests.unit.remote.remote_fakes import Daemon


@pytest.fixture
def daemon() -> Daemon:
    """Return a daemon that tracks nothing."""
    return Daemon()


@pytest.fixture
def serve(daemon: Daemon, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return a function that starts a server with limits and returns its path."""
    started: list[Server] = []

    def start(**limits: float) -> str:
        path = str(tmp_path / f"{len(started)}.sock")
        server = Server(daemon, path, limits=Limits(**limits))  # type: ignore[arg-type]
        started.append(server)
        server.start()
        assert server.is_listening
        return path

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def path(serve: Callable[..., str]) -> str:
    """Return the path of a server with the usual limits."""
    return serve()
