"""What the reloader does, turn by turn, with real files and a clock of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from memtierd.config import Change, ConfigFile, read_file
from memtierd.errors import ConfigError, MemtierdError, UnsupportedError
from memtierd.reloading import Reloader
from memtierd.reloading.pending import MOST_WRITING_NS, QUIET_NS
from memtierd.reloading.reloader import POLL_NS, WATCH_SOURCE
from memtierd.reloading.whereabouts import Plan

STUB = "policy: {name: stub, config: {intervalms: %d}}\n"


class Fakes:
    """A daemon, a watch, a listener and a clock in one; `said` is everything that was told, in order."""

    def __init__(self, path: Path) -> None:
        self.now_ns = 10**12
        self.said: list[str] = []
        self.held: dict[str, tuple[str, ...]] = {}
        self.file: ConfigFile | None = read_file(str(path))
        self.path = path
        self.cannot_work = False
        self.is_written = False
        self.plans: list[Plan] = []
        self.problems: tuple[str, ...] = ()
        self.on_change: Callable[[], None] = lambda: None
        self.while_reading: Callable[[], object] = lambda: None

    # daemon
    @property
    def configuration(self) -> "Fakes":
        return self

    @property
    def control(self) -> "Fakes":
        return self

    def hold(self, source: str, texts: Sequence[str]) -> None:
        self.held[source] = tuple(texts)

    # configuration
    def read(self) -> ConfigFile:
        made = read_file(str(self.path))
        self.while_reading()
        return made

    def reload(self, file: ConfigFile) -> list[Change]:
        if self.cannot_work:
            raise UnsupportedError("it can't work here")
        self.file, before = file, self.file
        self.said.append("reloaded")
        return [] if before == file else [Change("x", "1", "2")]

    def refused(self, error: MemtierdError) -> None:
        self.said.append(f"refused: {error}")

    def is_as_loaded(self) -> None:
        self.said.append("as loaded")

    # watch
    def make_watch(self, on_change: Callable[[], None]) -> "Fakes":
        self.on_change = on_change
        return self

    def take_as_written(self) -> None:
        self.is_written = False

    def arrange(self, plan: Plan) -> tuple[str, ...]:
        self.plans.append(plan)
        return self.problems

    def stop(self) -> None:
        self.said.append("watch stopped")

    # listener
    def began(self) -> None:
        self.said.append("began")

    def ended(self, summary: str) -> None:
        self.said.append(summary.split(" in ", maxsplit=1)[0])

    def taken(self) -> list[str]:
        said, self.said = self.said, []
        return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "memtierd.yaml"
    path.write_text(STUB % 1)
    return path


@pytest.fixture
def fakes(path: Path) -> Fakes:
    return Fakes(path)


@pytest.fixture
def reloader(fakes: Fakes) -> Reloader:
    made = Reloader(fakes, listener=fakes, clock_ns=lambda: fakes.now_ns, make_watch=fakes.make_watch)
    assert fakes.file is not None
    made.begin(fakes.file)
    settle(made, fakes)
    assert fakes.taken() == ["as loaded"], "it may have changed between loading and watching"
    return made


def settle(reloader: Reloader, fakes: Fakes) -> None:
    """Let time pass until nothing is due but the next look."""
    for _ in range(20):
        wait_ns = reloader.turn()
        if wait_ns > QUIET_NS:
            return
        fakes.now_ns += wait_ns
    raise AssertionError("it does not come to rest")


TAKEN = ["began", "reloaded", "configuration taken over"]


def test_a_change_that_is_heard_of_is_taken_over_when_it_is_quiet(reloader: Reloader, fakes: Fakes, path: Path) -> None:
    path.write_text(STUB % 2)
    fakes.on_change()
    assert reloader.turn() == QUIET_NS
    assert fakes.taken() == []
    fakes.now_ns += QUIET_NS // 2
    fakes.on_change()
    fakes.now_ns += QUIET_NS // 2
    assert reloader.turn() == QUIET_NS // 2
    assert fakes.taken() == []
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN


def test_without_a_word_it_is_found_by_looking(reloader: Reloader, fakes: Fakes, path: Path) -> None:
    path.write_text(STUB % 2)
    settle(reloader, fakes)
    assert fakes.taken() == []
    fakes.now_ns += POLL_NS
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN
    fakes.now_ns += POLL_NS
    settle(reloader, fakes)
    assert fakes.taken() == []


def test_the_same_content_is_not_taken_over_again_unless_it_is_asked_for(
    reloader: Reloader, fakes: Fakes, path: Path
) -> None:
    path.touch()
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == ["as loaded"]
    reloader.request("SIGHUP")
    reloader.request("SIGHUP")
    settle(reloader, fakes)
    assert fakes.taken() == ["began", "reloaded", "configuration unchanged"]


def test_a_bad_edit_is_told_once_and_over_when_the_old_file_is_back(
    reloader: Reloader, fakes: Fakes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "memtierd")
    path.write_text("policy: [")
    fakes.on_change()
    settle(reloader, fakes)
    began, refused, ended = fakes.taken()
    assert began == "began"
    assert refused.startswith(f"refused: {path}:1:10: broken YAML")
    assert ended.startswith(f"configuration not taken over: {path}:1:10: broken YAML")
    path.touch()
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == []
    reloader.request("SIGHUP")
    settle(reloader, fakes)
    assert fakes.taken() == [began, refused, ended]
    right_again = f"{path} is right again: it says what runs already"
    assert right_again not in caplog.messages
    path.write_text(STUB % 1)
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == ["as loaded"]
    assert caplog.messages.count(right_again) == 1
    path.write_text("policy: [")
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == [began, refused, ended]


def test_what_can_not_work_here_is_tried_once_and_when_it_is_asked_for(
    reloader: Reloader, fakes: Fakes, path: Path
) -> None:
    fakes.cannot_work = True
    path.write_text(STUB % 2)
    fakes.on_change()
    settle(reloader, fakes)
    failed = ["began", "configuration not taken over: it can't work here"]
    assert fakes.taken() == failed
    path.touch()
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == []
    reloader.request("SIGHUP")
    settle(reloader, fakes)
    assert fakes.taken() == failed


def test_a_missing_file_is_told_of_and_taken_when_it_is_back(reloader: Reloader, fakes: Fakes, path: Path) -> None:
    path.unlink()
    fakes.on_change()
    settle(reloader, fakes)
    assert "no such file or directory (ENOENT)" in fakes.taken()[1]
    path.write_text(STUB % 1)
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == ["as loaded"]


def test_a_file_that_somebody_writes_is_left_alone_until_it_is_closed(
    reloader: Reloader, fakes: Fakes, path: Path
) -> None:
    path.write_text("policy: {name: stub}\n")  # the first half, and valid
    fakes.is_written = True
    fakes.on_change()
    fakes.now_ns += 10 * QUIET_NS
    reloader.turn()
    assert fakes.taken() == []
    path.write_text(STUB % 3)
    fakes.is_written = False
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN
    path.write_text(STUB % 4)
    fakes.is_written = True
    fakes.on_change()
    fakes.now_ns += MOST_WRITING_NS
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN, "a file that is never closed is taken all the same"
    assert not fakes.is_written, "and the next change does not wait for its end, too"


def test_a_file_that_still_changes_is_not_read(reloader: Reloader, fakes: Fakes, path: Path) -> None:
    fakes.on_change()
    reloader.turn()
    path.write_text("policy: {name: st")  # nothing is heard of it
    fakes.now_ns += QUIET_NS
    assert reloader.turn() == QUIET_NS
    assert fakes.taken() == []
    path.write_text(STUB % 2)
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN


def test_a_file_that_changed_while_it_was_read_is_read_again(reloader: Reloader, fakes: Fakes, path: Path) -> None:
    def write() -> None:
        fakes.while_reading = lambda: None
        path.write_text(STUB % 3)

    path.write_text(STUB % 2)
    fakes.while_reading = write
    reloader.request("SIGHUP")
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN
    assert fakes.file is not None
    assert fakes.file.config == read_file(str(path)).config


def test_directories_are_watched_anew_and_what_can_not_be_watched_is_said(
    reloader: Reloader, fakes: Fakes, path: Path
) -> None:
    assert set(fakes.plans[-1]) == {str(path.parent)}
    drop_ins = path.with_suffix(".d")
    drop_ins.mkdir()
    (drop_ins / "1.yaml").write_text("policy: {config: {intervalms: 9}}")
    fakes.problems = ("watch x for changes: no space",)
    fakes.on_change()
    settle(reloader, fakes)
    assert fakes.taken() == TAKEN
    assert set(fakes.plans[-1]) == {str(path.parent), str(drop_ins)}
    assert fakes.held[WATCH_SOURCE] == fakes.problems
    fakes.problems = ()
    fakes.now_ns += POLL_NS
    settle(reloader, fakes)
    assert fakes.held[WATCH_SOURCE] == ()
    reloader.end()
    assert fakes.taken() == ["watch stopped"]


def test_a_bug_does_not_let_a_service_manager_wait(
    reloader: Reloader, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_file: ConfigFile) -> list[Change]:
        raise ZeroDivisionError

    monkeypatch.setattr(fakes, "reload", broken)
    reloader.request("SIGHUP")
    with pytest.raises(ZeroDivisionError):
        settle(reloader, fakes)
    assert fakes.taken() == ["began", "configuration not taken over: a bug, see the log"]


def test_a_request_before_the_start_is_kept(fakes: Fakes) -> None:
    reloader = Reloader(fakes, clock_ns=lambda: fakes.now_ns, make_watch=fakes.make_watch)
    reloader.request("SIGHUP")
    assert fakes.file is not None
    reloader.begin(fakes.file)
    settle(reloader, fakes)
    assert fakes.taken() == ["reloaded"]


def test_a_pipe_is_neither_watched_nor_read_by_itself(fakes: Fakes, tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reloader = Reloader(fakes, clock_ns=lambda: fakes.now_ns, make_watch=fakes.make_watch)
    assert fakes.file is not None
    reloader.begin(ConfigFile(str(pipe), fakes.file.documents, fakes.file.config))
    assert reloader.turn() == POLL_NS
    assert fakes.plans == []


def test_errors_of_reading_are_config_errors(path: Path) -> None:
    path.unlink()
    with pytest.raises(ConfigError):
        read_file(str(path))
