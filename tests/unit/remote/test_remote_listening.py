"""The socket file: who can connect, whose place it takes, and that it goes with its daemon."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd.errors import MemtierdError
from memtierd.remote.connection import found
from memtierd.remote.listening import MAX_PATH_BYTES, Listening, listen

CRASHING = (
    "import os, sys; from memtierd.remote.listening import listen; listen(sys.argv[1]); print(flush=True); os._exit(1)"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "c.sock")


@pytest.fixture
def listening(path: str) -> Iterator[Listening]:
    one = listen(path)
    yield one
    one.close()


def mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_only_its_owner_can_connect_whatever_the_umask_is(path: str, umask: int) -> None:
    before = os.umask(umask)
    try:
        one = listen(path)
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    one.close()


def test_a_group_can_connect_too(path: str) -> None:
    one = listen(path, os.getegid())
    assert (mode(path), os.lstat(path).st_gid) == (0o660, os.getegid())
    one.close()


def test_the_directory_is_made(tmp_path: Path) -> None:
    before = os.umask(0o077)
    one = listen(str(tmp_path / "run" / "c.sock"))
    os.umask(before)
    assert mode(str(tmp_path / "run")) == 0o755
    one.close()
    with pytest.raises(MemtierdError, match=r"ENOENT"):
        listen(str(tmp_path / "no" / "such" / "c.sock"))


def test_a_daemon_that_lives_is_never_replaced(listening: Listening, path: str) -> None:
    with pytest.raises(MemtierdError, match=f"memtierd with pid {os.getpid()} listens there"):
        listen(path)
    assert found(path)


def test_nor_is_anything_else_that_listens(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(MemtierdError, match="another process listens there"):
            listen(path)
        assert found(path)


def test_the_socket_of_a_daemon_that_died_is_replaced(path: str) -> None:
    subprocess.run([sys.executable, "-c", CRASHING, path], check=False, stdout=subprocess.PIPE)
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    assert not found(path)
    one = listen(path)
    assert found(path)
    one.close()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_left_alone(path: str, tmp_path: Path, kind: str) -> None:
    if kind == "file":
        Path(path).write_text("mine")
    elif kind == "directory":
        os.mkdir(path)
    else:
        (tmp_path / "target").write_text("mine")
        os.symlink(tmp_path / "target", path)
    before = os.lstat(path)
    with pytest.raises(MemtierdError, match="it is no socket"):
        listen(path)
    assert os.lstat(path).st_ino == before.st_ino
    assert not found(path)


def test_the_socket_goes_with_its_daemon(path: str) -> None:
    listen(path).close()
    assert not os.path.lexists(path)
    assert not found(path)


def test_a_socket_that_another_has_put_there_stays(path: str) -> None:
    one = listen(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
        one.close()
        assert os.path.lexists(path)


def test_after_the_end_another_can_listen(path: str) -> None:
    listen(path).close()
    listen(path).close()


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(MemtierdError, match=f"at most {MAX_PATH_BYTES} bytes"):
        listen(str(tmp_path / ("x" * MAX_PATH_BYTES)))


def test_nothing_stays_open_when_it_fails(tmp_path: Path) -> None:
    Path(tmp_path / "file").write_text("")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(MemtierdError):
            listen(str(tmp_path / "file"))
    assert len(os.listdir("/proc/self/fd")) == before
