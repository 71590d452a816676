"""The configuration file is edited in every way there is, and a running daemon takes it over."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import attrs
import pytest

from benchmarks.bench_reload import measure
from benchmarks.bench_tick import machine
from memtierd.config import read_file
from memtierd.daemon import Daemon
from memtierd.linux.probe import probe
from memtierd.reloading import Reloader, reloader

FEATURES = probe()
STUB = "policy: {name: stub, config: {intervalms: %d}}\n"


@attrs.define
class Heard:
    """A listener."""

    summaries: list[str] = attrs.field(factory=list)
    began_s: list[float] = attrs.field(factory=list)

    def began(self) -> None:
        self.began_s.append(time.monotonic())

    def ended(self, summary: str) -> None:
        self.summaries.append(summary)


@attrs.frozen
class Live:
    """A daemon whose configuration file is watched."""

    daemon: Daemon
    reloader: Reloader
    heard: Heard
    path: Path

    def until_interval(self, interval_ms: int, within_s: float = 30) -> None:
        until(lambda: self.interval_ms == interval_ms, within_s)

    @property
    def interval_ms(self) -> int:
        params = self.daemon.policy_params
        return params.interval_ms if params is not None else 0

    @property
    def conditions(self) -> list[str]:
        return [held.text for held in self.daemon.conditions() if held.source == "configuration"]


def until(is_so: Callable[[], bool], within_s: float = 30) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    directory = tmp_path / "etc"
    directory.mkdir()
    path = directory / "memtierd.yaml"
    path.write_text(STUB % 1)
    yield from running(path)


def running(path: Path) -> Iterator[Live]:
    daemon = Daemon(features=FEATURES)
    daemon.start()
    heard = Heard()
    try:
        daemon.load(read_file(str(path)))
        live = Live(daemon, Reloader(daemon, listener=heard), heard, path)
        live.reloader.start()
        until(lambda: unchanged(live) > 0)  # it watches, and has looked whether the file is still what was loaded
        yield live
        live.reloader.stop()
        live.reloader.stop()
    finally:
        daemon.stop()


def swap_link(link: Path, target: str) -> None:
    new = link.with_name("..new")
    new.symlink_to(target)
    new.rename(link)


def test_all_ways_to_write_a_file(live: Live, tmp_path: Path) -> None:
    path = live.path
    path.write_text(STUB % 2)
    live.until_interval(2)

    beside = path.with_name(".memtierd.yaml.swp")
    beside.write_text(STUB % 3)
    beside.rename(path)
    live.until_interval(3)

    backup = path.with_name("memtierd.yaml~")
    path.rename(backup)
    path.write_text(STUB % 4)
    live.until_interval(4)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(STUB % 5)
    shutil.move(elsewhere, path)
    live.until_interval(5)

    path.unlink()
    until(lambda: any("ENOENT" in text for text in live.conditions))
    assert live.interval_ms == 5
    path.write_text(STUB % 6)
    live.until_interval(6)
    until(lambda: not live.conditions)


def test_a_file_that_is_written_slowly_is_taken_whole(live: Live) -> None:
    with live.path.open("w") as file:
        file.write("policy: {name: stub}\n")  # valid as it is
        file.flush()
        time.sleep(0.5)
        assert live.interval_ms == 1
        file.write("# and more\n")
        file.flush()
        file.seek(0)
        file.write(STUB % 7)
        file.truncate()
    live.until_interval(7)
    assert len(live.heard.summaries) == 1, live.heard.summaries


def test_a_file_that_takes_the_place_of_one_that_is_being_written_is_taken_at_once(live: Live) -> None:
    with live.path.open("w") as file:
        file.write("policy: {name: ")
        file.flush()
        beside = live.path.with_name("new")
        beside.write_text(STUB % 8)
        beside.rename(live.path)
        live.until_interval(8)
    live.path.write_text(STUB % 9)
    live.until_interval(9)
    assert not [text for text in live.heard.summaries if "not taken" in text]


def test_drop_ins_come_change_and_go(live: Live) -> None:
    drop_ins = live.path.with_suffix(".d")
    drop_ins.mkdir()
    (drop_ins / "10.yaml").write_text("policy: {config: {intervalms: 11}}")
    live.until_interval(11)
    (drop_ins / "10.yaml").write_text("policy: {config: {intervalms: 12}}")
    live.until_interval(12)
    (drop_ins / "20.yaml").write_text("policy: {config: {intervalms: bad}}")
    until(lambda: bool(live.conditions))
    (told,) = live.conditions
    assert told.startswith(f"{drop_ins}/20.yaml:1:31: policy.config.intervalms: got the text 'bad', expected")
    assert live.interval_ms == 12
    (drop_ins / "20.yaml").rename(drop_ins / "20.off")
    until(lambda: not live.conditions)
    shutil.rmtree(drop_ins)
    live.until_interval(1)


def test_the_directory_is_removed_and_made_again(live: Live) -> None:
    directory = live.path.parent
    shutil.rmtree(directory)
    until(lambda: bool(live.conditions))
    directory.mkdir()
    live.path.write_text(STUB % 21)
    live.until_interval(21)
    assert live.conditions == []


def test_the_directory_is_renamed_without_a_word(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloader, "POLL_NS", 200_000_000)
    live.reloader.stop()
    live.reloader.start()
    directory = live.path.parent
    directory.rename(directory.with_name("away"))
    directory.mkdir()
    live.path.write_text(STUB % 22)
    live.until_interval(22)
    live.path.write_text(STUB % 23)
    live.until_interval(23)
    assert live.conditions == []


def test_a_config_map_is_swapped(tmp_path: Path) -> None:
    directory = tmp_path / "mount"
    for number in (1, 2, 3):
        (directory / f"..{number}").mkdir(parents=True)
        (directory / f"..{number}" / "memtierd.yaml").write_text(STUB % number)
    (directory / "..data").symlink_to("..1")
    path = directory / "memtierd.yaml"
    path.symlink_to("..data/memtierd.yaml")
    for live in running(path):
        for number in (2, 3):
            swap_link(directory / "..data", f"..{number}")
            shutil.rmtree(directory / f"..{number - 1}")
            live.until_interval(number)
        assert live.conditions == []


def test_requests_and_bad_edits(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="memtierd")
    live.reloader.request("SIGHUP")
    until(lambda: live.heard.summaries == ["configuration unchanged"])
    live.path.write_text("policy: {name: stub, config: {intervalms: 0, bogus: 1}}")
    until(lambda: len(live.heard.summaries) == 2)
    assert live.heard.summaries[1].startswith(f"configuration not taken over: {live.path}:1:43: ")
    assert live.heard.summaries[1].endswith(" (and 1 more)")
    assert [text.removeprefix(str(live.path)).split(" ")[0] for text in live.conditions] == [":1:43:", ":1:46:"]
    live.path.write_text(STUB % 2)
    until(lambda: len(live.heard.summaries) == 3)
    assert live.conditions == []
    events = live.daemon.call(
        lambda reconciler: {name: one.count for name, one in reconciler.statistics.events.items() if "conf" in name}
    )
    assert events["configuration reload"] == 1
    assert events["configuration reload failed"] == 1
    assert events["configuration unchanged"] >= 1
    said = caplog.text
    assert "configuration: policy.intervalms 1 → 2" in said
    assert said.count("policy.config.bogus: unknown key") == 1
    assert "configuration not taken over (problems: 2), what ran before goes on" in said
    assert f"{live.path} taken over in " in said
    assert f"reading {live.path} again: SIGHUP" in said


def test_a_touch_reloads_nothing(live: Live) -> None:
    live.daemon.configuration.reload()
    before = unchanged(live)
    os.utime(live.path)
    live.path.touch()
    os.chmod(live.path, 0o600)
    text = live.path.read_text()
    live.path.write_text(text)
    until(lambda: unchanged(live) > before)
    assert live.heard.summaries == []


def unchanged(live: Live) -> int:
    def count(reconciler: object) -> int:
        events = live.daemon._reconciler.statistics.events
        return events["configuration unchanged"].count if "configuration unchanged" in events else 0

    return live.daemon.call(count)


def test_it_works_without_watching(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from watchdog.observers import Observer

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    live.reloader.stop()
    monkeypatch.setattr(Observer, "schedule", refuse)
    monkeypatch.setattr(reloader, "POLL_NS", 50_000_000)
    live.reloader.start()
    until(lambda: any(held.source == "configuration watch" for held in live.daemon.conditions()))
    (held,) = (held for held in live.daemon.conditions() if held.source == "configuration watch")
    assert held.text.startswith(f"watch {live.path.parent} for changes: no space left on device (ENOSPC); ")
    live.path.write_text(STUB % 31)
    live.until_interval(31)
    monkeypatch.undo()
    until(lambda: not any(held.source == "configuration watch" for held in live.daemon.conditions()))
    live.path.write_text(STUB % 32)
    live.until_interval(32)


def test_nothing_is_left_behind(live: Live) -> None:
    def held() -> tuple[int, int, int]:
        fds = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path)]
        watches = sum(
            Path(f"/proc/self/fdinfo/{entry.name}").read_text().count("inotify wd:")
            for entry in os.scandir("/proc/self/fd")
            if os.path.exists(entry.path) or os.path.islink(entry.path)
            if os.path.exists(f"/proc/self/fdinfo/{entry.name}")
        )
        return threading.active_count(), len(fds), watches

    live.path.write_text(STUB % 2)
    live.until_interval(2)
    before = held()
    for _ in range(5):
        live.reloader.stop()
        live.reloader.start()
        drop_ins = live.path.with_suffix(".d")
        drop_ins.mkdir()
        (drop_ins / "1.yaml").write_text("policy: {config: {intervalms: 5}}")
        live.until_interval(5)
        shutil.rmtree(drop_ins)
        live.until_interval(2)
    until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))


@pytest.mark.root
@pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail)
def test_many_regions_hold_up_no_reload_and_no_scan_is_lost() -> None:
    with patch("memtierd.daemon.machine_facts", lambda *_: machine()):
        found = measure("heat", 100_000, 4, pause_s=(0, 0.1))
    assert found["scans_lost"] == 0
    assert found["in_force_max_ms"] < 10_000
