"""What is missing for bpftrace and perf is named, and nothing is started to find out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from memtierd.errors import UnsupportedError
from memtierd.linux.damon_programs import bpftrace_works, find_bpftrace, find_perf, perf_works
from memtierd.linux.roots import Roots
from tests.unit.linux.fake_kernel import FakeKernel
from tests.unit.trackers.damon.program_fakes import FORMAT, able_machine, make_program

Find = Callable[[Roots, Callable[[str], str | None]], str]


@pytest.mark.parametrize("find", [find_bpftrace, find_perf])
def test_a_machine_with_everything(tmp_path: Path, find: Find) -> None:
    assert find(able_machine(tmp_path), lambda name: f"/usr/bin/{name}") == f"/usr/bin/{find.__name__[5:]}"


@pytest.mark.parametrize(
    ("find", "gone", "missing"),
    [
        (find_bpftrace, "proc/sys/kernel/unprivileged_bpf_disabled", "CONFIG_BPF_SYSCALL"),
        (find_perf, "proc/sys/kernel/perf_event_paranoid", "CONFIG_PERF_EVENTS"),
        (find_bpftrace, "sys/kernel/tracing/events/damon/damon_aggregated/format", "CONFIG_DAMON"),
        (find_perf, "sys/kernel/tracing/events/damon/damon_aggregated/format", "CONFIG_DAMON"),
    ],
)
def test_what_the_kernel_lacks(tmp_path: Path, find: Find, gone: str, missing: str) -> None:
    roots = able_machine(tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(UnsupportedError, match=missing):
        find(roots, str)


def test_without_tracefs_it_is_said_how_to_mount_it(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="mount -t tracefs"):
        find_perf(FakeKernel(tmp_path).roots, str)


def test_an_event_without_a_field_is_refused(tmp_path: Path) -> None:
    roots = able_machine(tmp_path, FORMAT.replace(" nr_accesses;", " accesses;"))
    with pytest.raises(UnsupportedError, match="lacks nr_accesses"):
        find_bpftrace(roots, str)


def test_features_name_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = "touch $0.was.started"
    paths = [make_program(tmp_path, name, never) for name in ("bpftrace", "perf")]
    monkeypatch.setenv("PATH", str(tmp_path))
    roots = able_machine(tmp_path)
    assert [works(roots) for works in (bpftrace_works, perf_works)] == [
        f"{path} can report what DAMON says" for path in paths
    ]
    assert not list(tmp_path.glob("*.was.started"))
