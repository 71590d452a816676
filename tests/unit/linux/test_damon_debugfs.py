"""DAMON's debugfs interface over plain files; kdamond_pid follows monitor_on as in mm/damon/dbgfs.c."""

from pathlib import Path

import attrs
import pytest

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.damon_debugfs import MOST_TARGETS, DamonDebugfs
from memtierd.linux.damon_files import DamonFiles
from memtierd.linux.damon_setup import Setup, Target
from memtierd.linux.roots import Roots

ATTRIBUTES = "5000 100000 1000000 10 1000"


@attrs.frozen(eq=False)
class FakeDebugfs(DamonFiles):
    """Plain files, of which monitor_on starts and stops the thread."""

    starts: bool = True

    def _write_once(self, name: str, value: str, advice: str) -> None:
        (Path(self.directory) / name).write_text("")  # plain files keep what is behind a shorter text
        super()._write_once(name, value, advice)

    def write(self, name: str, value: object, advice: str = "") -> None:
        super().write(name, value, advice)
        if name.startswith("monitor_on"):
            thread = "77" if value == "on" and self.starts else "none"
            (Path(self.directory) / "kdamond_pid").write_text(f"{thread}\n")


def make(directory: Path, switch: str = "monitor_on", *, starts: bool = True) -> DamonDebugfs:
    """Return the interface on files as they are after boot."""
    for name, text in ((switch, "off"), ("kdamond_pid", "none"), ("target_ids", ""), ("attrs", ATTRIBUTES)):
        (directory / name).write_text(f"{text}\n")
    return DamonDebugfs(files=FakeDebugfs(str(directory), starts=starts))


def setup(*pids: int) -> Setup:
    """Return a setup for processes."""
    return Setup(20_000, 400_000, 2_000_000, 20, 200, tuple(map(Target, pids)))


@pytest.mark.parametrize("switch", ["monitor_on", "monitor_on_DEPRECATED"])
def test_from_the_start_to_the_end(tmp_path: Path, switch: str) -> None:
    damon = make(tmp_path, switch)
    assert damon.kdamonds() == 1
    damon.configure(0, setup(4, 7))
    assert (tmp_path / "attrs").read_text() == "20000 400000 2000000 20 200\n"
    assert (tmp_path / "target_ids").read_text() == "4 7\n"
    assert damon.start(0) == 77
    assert (tmp_path / switch).read_text() == "on\n"
    facts = damon.facts(0)
    assert (facts.thread, facts.is_set_up, facts.target_pids) == (77, True, (4, 7))
    assert not damon.commit(0, setup(4))
    damon.stop(0)
    damon.clear(0)
    facts = damon.facts(0)
    assert (facts.thread, facts.is_set_up, facts.target_pids) == (None, False, ())
    assert (tmp_path / "attrs").read_text() == f"{ATTRIBUTES}\n"


def test_contexts_of_others_are_somebody_elses(tmp_path: Path) -> None:
    damon = make(tmp_path)
    (tmp_path / "theirs").mkdir()
    assert damon.facts(0).is_set_up


def test_stopping_what_does_not_run_writes_nothing(tmp_path: Path) -> None:
    damon = make(tmp_path)
    (tmp_path / "monitor_on").write_text("unchanged\n")
    damon.stop(0)
    assert (tmp_path / "monitor_on").read_text() == "unchanged\n"


def test_a_thread_that_ends_at_once_is_an_error(tmp_path: Path) -> None:
    damon = make(tmp_path, starts=False)
    damon.configure(0, setup(4))
    with pytest.raises(KernelError, match="ended at once"):
        damon.start(0)


def test_what_it_can_not_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="CONFIG_DAMON_DBGFS"):
        DamonDebugfs(Roots(sys=str(tmp_path))).kdamonds()
    damon = make(tmp_path)
    with pytest.raises(UnsupportedError, match=f"takes {MOST_TARGETS} processes"):
        damon.configure(0, setup(*range(1, MOST_TARGETS + 2)))
    with pytest.raises(UnsupportedError, match="interface 2, debugfs"):
        damon.scheme_capacity(0)
