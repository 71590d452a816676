"""Trace instances in a directory of plain files, and what is said where there is no tracefs."""

import errno
import os
from pathlib import Path

import pytest

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.damon_probe import debugfs_works, leftover_threads, sysfs_works, tracefs_works
from memtierd.linux.roots import Roots
from memtierd.linux.tracefs import EVENT, TraceInstance, damon_event, remove_instance, tracing_directory


def make(directory: Path, place: str = "kernel/tracing") -> tuple[Roots, Path]:
    """Return roots with a tracefs that has DAMON's event, and where it is."""
    tracing = directory / "sys" / place
    (tracing / "instances").mkdir(parents=True)
    (tracing / EVENT).mkdir(parents=True)
    (tracing / EVENT / "format").write_text("name: damon_aggregated\n")
    return Roots(proc=str(directory / "proc"), sys=str(directory / "sys"), run=str(directory / "run")), tracing


@pytest.mark.parametrize("place", ["kernel/tracing", "kernel/debug/tracing"])
def test_tracefs_is_found_where_it_is_mounted(tmp_path: Path, place: str) -> None:
    roots, tracing = make(tmp_path, place)
    assert tracing_directory(roots) == str(tracing)
    assert damon_event(roots) == "name: damon_aggregated\n"
    assert "trace instance" in tracefs_works(roots)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    roots = Roots(sys=str(tmp_path / "sys"), run=str(tmp_path))
    with pytest.raises(UnsupportedError, match="mount -t tracefs nodev"):
        tracefs_works(roots)
    with pytest.raises(UnsupportedError, match="CONFIG_DAMON_SYSFS"):
        sysfs_works(roots)
    with pytest.raises(UnsupportedError, match="CONFIG_DAMON_DBGFS"):
        debugfs_works(roots)
    roots, tracing = make(tmp_path)
    (tracing / EVENT / "format").unlink()
    with pytest.raises(UnsupportedError, match="CONFIG_DAMON"):
        tracefs_works(roots)
    assert leftover_threads(roots) == frozenset()


def test_probing_sysfs_counts_kdamonds_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"
    file.parent.mkdir(parents=True)
    file.write_text("3\n")
    before = file.stat().st_mtime_ns
    assert "has 3 kdamonds" in sysfs_works(Roots(sys=str(tmp_path / "sys")))
    assert (file.read_text(), file.stat().st_mtime_ns) == ("3\n", before)


def prepared(tracing: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the kernel's part of making an instance be done by mkdir."""
    mkdir = os.mkdir
    instance = tracing / "instances" / name

    def make_with_files(path: str | Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if Path(path) != instance:
            return
        (instance / EVENT).mkdir(parents=True)
        for file in ("trace_clock", "buffer_size_kb", "trace_pipe", f"{EVENT}/enable", f"{EVENT}/filter"):
            (instance / file).touch()

    monkeypatch.setattr(os, "mkdir", make_with_files)
    return instance


def test_an_instance_records_the_threads_that_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots, tracing = make(tmp_path)
    instance = prepared(tracing, "memtierd-1-1", monkeypatch)
    trace = TraceInstance("memtierd-1-1", roots)
    pipe = trace.open(EVENT, 64)
    assert os.get_blocking(pipe) is False
    assert (instance / "trace_clock").read_text() == "mono\n"
    assert (instance / "buffer_size_kb").read_text() == "64\n"
    trace.follow(EVENT, [12, 34])
    assert (instance / EVENT / "filter").read_text() == "common_pid == 12 || common_pid == 34\n"
    assert (instance / EVENT / "enable").read_text().startswith("1")
    trace.follow(EVENT, [])
    assert (instance / EVENT / "enable").read_text().startswith("0")
    with pytest.raises(KernelError, match="ENOTEMPTY"):  # a real one is empty for rmdir
        trace.close(EVENT)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe)


def test_an_instance_that_is_there_already_is_not_taken(tmp_path: Path) -> None:
    roots, tracing = make(tmp_path)
    (tracing / "instances/memtierd-1-1").mkdir()
    with pytest.raises(KernelError) as raised:
        TraceInstance("memtierd-1-1", roots).open(EVENT, 64)
    assert raised.value.errno == errno.EEXIST
    assert (tracing / "instances/memtierd-1-1").exists()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_instance(str(tmp_path / "none"))
    (tmp_path / "one").mkdir()
    remove_instance(str(tmp_path / "one"))
    assert not (tmp_path / "one").exists()
