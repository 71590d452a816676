"""Files of DAMON: patience with its lock, and no write that is not checked."""

import errno
from pathlib import Path

import attrs
import pytest

from memtierd.errors import KernelError
from memtierd.linux.damon_files import DamonFiles


def test_values_are_written_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("off\n")
    files = DamonFiles(str(tmp_path))
    files.set("state", "on")
    assert files.read("state") == "on"
    files.write("state", 12)
    assert files.read_int("state") == 12
    assert files.exists("state")
    assert not files.exists("other")
    assert files.names(".") == ["state"]


def test_a_file_that_holds_something_else_afterwards_is_an_error() -> None:
    with pytest.raises(KernelError, match=r"write 5 to /dev/null, which holds  afterwards.*EIO") as raised:
        DamonFiles("/dev").set("null", 5, "try 6")
    assert str(raised.value).endswith("; try 6")


def test_the_errno_of_a_write_is_not_lost() -> None:
    with pytest.raises(KernelError) as raised:
        DamonFiles("/dev").write("full", 5)
    assert raised.value.errno == errno.ENOSPC
    assert "write 5 to /dev/full" in str(raised.value)


@attrs.frozen(eq=False)
class Locked(DamonFiles):
    """Files whose lock is taken the first times."""

    left: list[int] = attrs.field(factory=list)

    def _write_once(self, name: str, value: str, advice: str) -> None:
        if self.left:
            raise KernelError(f"write {value} to {name}", self.left.pop())
        super()._write_once(name, value, advice)


def test_a_taken_lock_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    naps: list[float] = []
    Locked(str(tmp_path), sleep=naps.append, left=[errno.EBUSY] * 3).write("state", "commit")
    assert len(naps) == 3
    assert (tmp_path / "state").read_text() == "commit\n"


def test_the_patience_has_an_end(tmp_path: Path) -> None:
    naps: list[float] = []
    files = Locked(str(tmp_path), patience_s=0.05, sleep=naps.append, left=[errno.EBUSY] * 100)
    with pytest.raises(KernelError, match="EBUSY"):
        files.write("state", "on")
    assert sum(naps) == pytest.approx(0.05)


def test_other_errors_are_not_waited_for(tmp_path: Path) -> None:
    naps: list[float] = []
    with pytest.raises(KernelError, match="EINVAL"):
        Locked(str(tmp_path), sleep=naps.append, left=[errno.EINVAL]).write("state", "on")
    assert naps == []
    with pytest.raises(KernelError, match="ENOENT"):
        DamonFiles(str(tmp_path)).read("state")
