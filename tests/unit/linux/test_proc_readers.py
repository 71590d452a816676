"""Readers of /proc against a fake tree: identity, errors, facts."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux import proc
from memtierd.linux.roots import Roots, read_optional, read_text
from memtierd.model import ProcessFacts, ProcessKey
from tests.unit.linux.fake_kernel import FakeKernel


@pytest.fixture
def kernel(tmp_path: Path) -> FakeKernel:
    return FakeKernel(tmp_path)


def test_pids_are_the_numbers_in_proc(kernel: FakeKernel) -> None:
    kernel.add(30)
    kernel.add(4)
    kernel.put("proc/meminfo", "")
    kernel.put("proc/sys/kernel/x", "")
    assert proc.pids(kernel.roots) == [4, 30]


def test_process_key(kernel: FakeKernel) -> None:
    kernel.add(7, start_ticks=4711, name=") S 1 (")
    assert proc.process_key(7, kernel.roots) == ProcessKey(7, 4711)


@pytest.mark.parametrize(
    "read", [proc.process_key, proc.maps, proc.status, proc.exe, proc.smaps, proc.private_dirty_kb]
)
def test_a_process_that_is_not_there_is_gone(kernel: FakeKernel, read: Callable[[int, Roots], object]) -> None:
    with pytest.raises(ProcessGoneError):
        read(7, kernel.roots)


def test_clear_refs_of_a_process_that_is_not_there(kernel: FakeKernel) -> None:
    with pytest.raises(ProcessGoneError):
        proc.clear_refs(7, proc.CLEAR_SOFT_DIRTY, kernel.roots)


def test_clear_refs_writes_the_number(kernel: FakeKernel) -> None:
    kernel.add(7)
    file = kernel.put("proc/7/clear_refs", "")
    proc.clear_refs(7, proc.CLEAR_SOFT_DIRTY, kernel.roots)
    assert file.read_text() == "4"


def test_a_file_that_the_kernel_lacks_does_not_end_the_process(kernel: FakeKernel) -> None:
    kernel.add(7)
    with pytest.raises(KernelError) as refused:
        proc.maps(7, kernel.roots)
    assert not isinstance(refused.value, ProcessGoneError)
    assert refused.value.errno == errno.ENOENT


def test_reading_lack_of_permission_says_what_to_do(monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, "no")

    kernel.add(7)
    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(KernelError, match="run as root") as refused:
        proc.status(7, kernel.roots)
    assert refused.value.errno == errno.EACCES


def test_facts(kernel: FakeKernel) -> None:
    kernel.add(7, start_ticks=9, name="db", cpu=3, mems="0,2-3")
    kernel.put("sys/devices/system/node/node0/cpulist", "0-1\n")
    kernel.put("sys/devices/system/node/node2/cpulist", "2-3\n")
    key = ProcessKey(7, 9)
    expected = ProcessFacts(key, "db", frozenset({0, 2, 3}), running_node=2)
    assert proc.process_facts(key, kernel.roots) == expected
    assert proc.process_facts(key, kernel.roots, {3: 2}) == expected


def test_a_process_runs_where_it_may(kernel: FakeKernel) -> None:
    """Also when it was last seen elsewhere: a thread that sleeps moves when it wakes."""
    nodes = {0: 0, 1: 0, 2: 1, 3: 1}
    kernel.add(7, start_ticks=9, cpu=0, cpus="2-3")
    assert proc.process_facts(ProcessKey(7, 9), kernel.roots, nodes).running_node == 1
    kernel.add(8, start_ticks=9, cpu=3, cpus="1-3")
    assert proc.process_facts(ProcessKey(8, 9), kernel.roots, nodes).running_node == 1


def test_facts_on_an_unknown_cpu(kernel: FakeKernel) -> None:
    kernel.add(7, start_ticks=9, cpu=3)
    assert proc.process_facts(ProcessKey(7, 9), kernel.roots, {}).running_node == -1


def test_facts_of_a_later_process_with_the_same_pid(kernel: FakeKernel) -> None:
    kernel.add(7, start_ticks=10)
    with pytest.raises(ProcessGoneError):
        proc.process_facts(ProcessKey(7, 9), kernel.roots)


def test_exe(kernel: FakeKernel) -> None:
    kernel.add(7, exe="/usr/bin/x (deleted)")
    kernel.add(8, exe=None, kernel_thread=True)
    assert proc.exe(7, kernel.roots) == "/usr/bin/x (deleted)"
    assert proc.exe(8, kernel.roots) is None


def test_private_dirty(kernel: FakeKernel) -> None:
    kernel.add(7, private_dirty_kb=321)
    assert proc.private_dirty_kb(7, kernel.roots) == 321


def test_text_that_is_not_utf8_is_escaped(kernel: FakeKernel) -> None:
    kernel.put("proc/x", "").write_bytes(b"a\xffb")
    assert read_text(f"{kernel.roots.proc}/x") == "a\\xffb"


def test_a_long_file_is_read_whole(kernel: FakeKernel) -> None:
    text = "0123456789" * 50_000
    kernel.put("proc/x", text)
    assert read_text(f"{kernel.roots.proc}/x") == text


def test_optional_file(kernel: FakeKernel) -> None:
    assert read_optional(f"{kernel.roots.proc}/x") is None
    kernel.put("proc/x", "y")
    assert read_optional(f"{kernel.roots.proc}/x") == "y"
    with pytest.raises(KernelError):
        read_optional(kernel.roots.proc)
