"""The state file is replaced whole or not at all, and read only when nobody else can have written it."""

import errno
import os
import stat
from pathlib import Path

import pytest

from memtierd.errors import MemtierdError
from memtierd.state.directory import StateDirectory
from memtierd.state.encoding import DamagedError


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(str(tmp_path))


def test_what_is_written_is_read(directory: StateDirectory, tmp_path: Path) -> None:
    assert directory.read() is None
    assert directory.write([b"one ", b"two"]) == 7
    assert directory.read() == b"one two"
    directory.write([b"three"])
    assert directory.read() == b"three"
    assert [path.name for path in tmp_path.iterdir()] == ["learned"]
    assert stat.S_IMODE((tmp_path / "learned").stat().st_mode) == 0o600


def test_a_file_left_half_written_is_replaced(directory: StateDirectory, tmp_path: Path) -> None:
    (tmp_path / "learned.new").write_bytes(b"half")
    directory.write([b"whole"])
    assert [path.name for path in tmp_path.iterdir()] == ["learned"]


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_failure_leaves_the_old_file(
    failing: str, directory: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write([b"old"])

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(MemtierdError, match=r"no space left on device \(ENOSPC\); make room there"):
            directory.write([b"new"])
    assert directory.read() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["learned"]
    directory.write([b"new"])
    assert directory.read() == b"new"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_trusted(mode: int, directory: StateDirectory, tmp_path: Path) -> None:
    directory.write([b"data"])
    (tmp_path / "learned").chmod(mode)
    with pytest.raises(DamagedError, match=f"can be written by others: its mode is {mode:o}"):
        directory.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_trusted(directory: StateDirectory, tmp_path: Path) -> None:
    directory.write([b"data"])
    os.chown(tmp_path / "learned", 4242, 0)
    with pytest.raises(DamagedError, match="belongs to user 4242"):
        directory.read()


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_only_a_regular_file_is_read(kind: str, directory: StateDirectory, tmp_path: Path) -> None:
    file = tmp_path / "learned"
    if kind == "symlink":
        (tmp_path / "other").write_bytes(b"data")
        file.symlink_to("other")
    elif kind == "fifo":
        os.mkfifo(file, 0o600)
    else:
        file.mkdir(0o700)
    with pytest.raises(DamagedError, match=r"is no regular file|is a symbolic link"):
        directory.read()


def test_only_a_few_damaged_files_are_kept(directory: StateDirectory, tmp_path: Path) -> None:
    for year in range(2020, 2026):
        (tmp_path / f"learned.damaged-{year}0101T000000").touch()
    directory.write([b"data"])
    latest = directory.set_aside()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["learned.damaged-20240101T000000", "learned.damaged-20250101T000000", latest]
    assert directory.read() is None


def test_one_user_at_a_time(directory: StateDirectory, tmp_path: Path) -> None:
    directory.write([b"data"])
    other = StateDirectory(str(tmp_path))
    with pytest.raises(MemtierdError, match="in use by another memtierd"):
        other.write([b"other"])
    directory.close()
    assert other.read() == b"data"


def test_a_directory_that_was_replaced_is_opened_anew(directory: StateDirectory, tmp_path: Path) -> None:
    own = StateDirectory(str(tmp_path / "state"))
    with pytest.raises(MemtierdError, match="make it, or give another one with -state"):
        own.read()
    (tmp_path / "state").mkdir()
    own.write([b"data"])
    (tmp_path / "state").rename(tmp_path / "gone")
    with pytest.raises(MemtierdError, match="ENOENT"):
        own.write([b"data"])
    (tmp_path / "state").mkdir()
    own.write([b"data"])
    assert (tmp_path / "state" / "learned").read_bytes() == b"data"
