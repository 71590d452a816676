"""Pressure stall information: real files, and kernels that tell nothing."""

import errno
from pathlib import Path

import pytest

from memtierd.errors import KernelError
from memtierd.linux import pressure as module
from memtierd.linux.pressure import parse_some_percent, pressure
from memtierd.model import Stall
from tests.unit.linux.fake_kernel import FakeKernel, lay_machine

REAL = "some avg10=12.34 avg60=0.27 avg300=0.23 total=32339849\nfull avg10=0.04 avg60=0.13 avg300=0.16 total=23344716\n"


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        (REAL, 12.34),
        ("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0.0),
        ("some avg10=100.00 avg60=99.00 avg300=9.00 total=1\n", 100.0),
        ("full avg10=1.00 avg60=0.00 avg300=0.00 total=0\n", None),
        ("", None),
    ],
)
def test_only_the_ten_seconds_of_some_tasks_count(text: str, percent: float | None) -> None:
    assert parse_some_percent(text) == percent


def test_a_real_machine(tmp_path: Path) -> None:
    found = pressure(roots=lay_machine("slow-nodes-6.12", tmp_path))
    assert (found.system, found.groups, found.problems) == (Stall(0.0, 0.0), (), ())


def lay_group(kernel: FakeKernel, name: str, pids: str) -> Path:
    """Make a control group in which 1 and 2 percent of the time was waited."""
    for kind, percent in (("memory", 1), ("io", 2)):
        kernel.put(f"sys/fs/cgroup/{name}/{kind}.pressure", f"some avg10={percent}.00 avg60=0.00 avg300=0.00 total=0\n")
    return kernel.put(f"sys/fs/cgroup/{name}/cgroup.procs", pids).parent


def test_groups_tell_of_themselves_and_their_processes(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/pressure/memory", REAL)
    kernel.put("proc/pressure/io", REAL)
    group = lay_group(kernel, "some", "7\n")
    lay_group(kernel, "some/below", "8\n9\n")
    found = pressure([str(group), str(tmp_path / "none")], kernel.roots)
    assert found.system == Stall(12.34, 12.34)
    (told,) = found.groups
    assert (told.directory, told.stall, told.pids) == (str(group), Stall(1.0, 2.0), frozenset({7, 8, 9}))
    assert found.problems == ()


def test_a_kernel_without_pressure_says_so_once(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    found = pressure(["/whatever"], kernel.roots)
    assert found.system == Stall(None, None)
    (problem,) = found.problems
    assert problem.startswith("maxpressure: ")
    assert "CONFIG_PSI" in problem
    assert pressure(["/whatever"], kernel.roots).problems == found.problems


def test_a_group_without_pressure_leaves_the_others(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/pressure/memory", REAL)
    kernel.put("proc/pressure/io", REAL)
    old = kernel.put("sys/fs/cgroup/old/tasks", "").parent
    group = lay_group(kernel, "new", "7\n")
    found = pressure([str(old), str(group)], kernel.roots)
    assert [told.stall for told in found.groups] == [Stall(None, None), Stall(1.0, 2.0)]
    assert len(found.problems) == 1
    assert str(old) in found.problems[0]


@pytest.mark.parametrize(("number", "said"), [(errno.EOPNOTSUPP, "psi=1"), (errno.EACCES, "(EACCES)")])
def test_what_the_kernel_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    def refuse(path: str) -> str:
        raise KernelError(f"read {path}", number)

    monkeypatch.setattr(module, "read_optional", refuse)
    found = pressure(roots=FakeKernel(tmp_path).roots)
    assert found.system == Stall(None, None)
    assert len(found.problems) == 1
    assert said in found.problems[0]
