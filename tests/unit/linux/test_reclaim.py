"""memory.reclaim: which group's file is written, and with what."""

import os
from pathlib import Path

import pytest

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.reclaim import group_directory, reclaim
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey

KEY = ProcessKey(42, 1)
V1 = "30 23 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
OTHERS = "12:memory:/elsewhere\n1:name=systemd:/init\n"


def lay(tmp_path: Path, *, group: str = "/jobs/db", root: str = "/", mount: str = "", others: str = OTHERS) -> Roots:
    """Make a /proc with a process in a group, and the group below a mount of cgroup v2 at tmp_path/cgroup."""
    point = mount or str(tmp_path / "cgroup").replace(" ", "\\040")
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/mountinfo").write_text(f"{V1}35 24 0:30 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n")
    (proc / "42").mkdir()
    (proc / "42/cgroup").write_text(f"{others}0::{group}\n")
    return Roots(proc=str(proc))


def lay_group(tmp_path: Path) -> Path:
    """Make the process's group and return its memory.reclaim."""
    directory = tmp_path / "cgroup/jobs/db"
    directory.mkdir(parents=True)
    (directory / "cgroup.type").write_text("domain\n")
    file = directory / "memory.reclaim"
    file.touch()
    return file


def test_the_group_is_found_below_the_mount(tmp_path: Path) -> None:
    assert group_directory(42, lay(tmp_path)) == f"{tmp_path}/cgroup/jobs/db"


def test_the_group_of_a_partial_mount(tmp_path: Path) -> None:
    assert group_directory(42, lay(tmp_path, root="/jobs")) == f"{tmp_path}/cgroup/db"


def test_the_root_group(tmp_path: Path) -> None:
    assert group_directory(42, lay(tmp_path, group="/")) == f"{tmp_path}/cgroup"


def test_a_mount_with_a_space_in_its_name(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    assert group_directory(42, lay(directory)) == f"{directory}/cgroup/jobs/db"


def test_a_group_outside_of_the_mount_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="outside of the mount"):
        group_directory(42, lay(tmp_path, root="/other"))


def test_a_machine_without_cgroup_v2_is_refused(tmp_path: Path) -> None:
    roots = lay(tmp_path)
    Path(roots.proc, "self/mountinfo").write_text(V1)
    with pytest.raises(UnsupportedError, match="not mounted"):
        group_directory(42, roots)


def test_the_size_is_written_with_the_wish_for_anonymous_memory(tmp_path: Path) -> None:
    roots = lay(tmp_path)
    file = lay_group(tmp_path)
    assert reclaim(KEY, 8192, roots) == 8192
    assert file.read_text() == "8192 swappiness=200"


def test_a_kernel_that_does_not_know_the_wish_gets_the_size_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = lay(tmp_path)
    lay_group(tmp_path)
    written: list[bytes] = []

    def write(_descriptor: int, data: bytes) -> int:
        written.append(data)
        if b"swappiness" in data:
            raise OSError(22, "Invalid argument")
        return len(data)

    monkeypatch.setattr(os, "write", write)
    assert reclaim(KEY, 4096, roots) == 4096
    assert written == [b"4096 swappiness=200", b"4096"]


def test_a_group_without_the_file_says_what_to_do(tmp_path: Path) -> None:
    lay_group(tmp_path).unlink()
    with pytest.raises(UnsupportedError, match=r"needs the memory controller.*swapmethod process_madvise"):
        reclaim(KEY, 4096, lay(tmp_path))


def test_the_root_group_is_never_reclaimed(tmp_path: Path) -> None:
    roots = lay(tmp_path, group="/")
    directory = tmp_path / "cgroup"
    directory.mkdir()
    file = directory / "memory.reclaim"
    file.touch()
    with pytest.raises(UnsupportedError, match="root group"):
        reclaim(KEY, 4096, roots)
    assert file.read_text() == ""


def test_less_than_asked_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = lay(tmp_path)
    lay_group(tmp_path)

    def write(_descriptor: int, _data: bytes) -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(KernelError) as raised:
        reclaim(KEY, 4096, roots)
    assert raised.value.errno == 11
