"""A file is there whole or not at all, and is nobody else's."""

import os
import stat
from pathlib import Path

import pytest

from memtierd.errors import KernelError
from memtierd.metrics.textfile import write_whole


def test_anybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    path, before = tmp_path / "memtierd.prom", os.umask(0o077)
    try:
        write_whole(str(path), lambda: "one\n")
        write_whole(str(path), lambda: "two\n")
    finally:
        os.umask(before)
    assert path.read_text() == "two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["memtierd.prom"]


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".memtierd.prom.tmp").symlink_to(victim)
    write_whole(str(tmp_path / "memtierd.prom"), lambda: "one\n")
    assert victim.read_text() == "precious"
    assert (tmp_path / "memtierd.prom").read_text() == "one\n"


def test_what_can_t_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "memtierd.prom"
    write_whole(str(path), lambda: "old\n")

    def disk_full() -> str:
        raise OSError(28, "No space left on device")

    with pytest.raises(KernelError, match=r"write metrics to '.*memtierd\.prom': no space left on device \(ENOSPC\)"):
        write_whole(str(path), disk_full)
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["memtierd.prom"]


def test_a_directory_that_is_not_there_and_one_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"\(ENOENT\); give -metrics-file a path in a directory that exists"):
        write_whole(str(tmp_path / "no" / "x.prom"), lambda: "")
    with pytest.raises(KernelError, match="EISDIR"):
        write_whole(str(tmp_path), lambda: "")
