"""The daemon changes over from one configuration to another with the smallest change, and loses nothing."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest

from memtierd import config, policy_runner
from memtierd.config import parse_edits
from memtierd.daemon import Daemon
from memtierd.errors import ConfigError, MemtierdError, UnsupportedError
from memtierd.linux.probe import Feature, probe
from memtierd.mover import MoverParams
from memtierd.policies.age import AgeParams
from memtierd.reconcile import Reconciler
from memtierd.regions.journal import ACTIVITY
from memtierd.regions.lifecycle import UNKNOWN

FEATURES = probe()

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
]

TEXT = """
policy:
  name: age
  config:
    pids: [PID]
    intervalms: 3600000
    swapoutms: 3600000
    tracker: {name: finder, config: {scanintervalms: 50, regionsupdatems: 50, reportaccesses: 1}}
routines:
  - {name: statactions, config: {intervalms: 3600000, intervalcommand: ["true"]}}
"""


@pytest.fixture
def child() -> Iterator[int]:
    program = [sys.executable, "-c", "x = bytearray(range(256)) * 40960; import sys; sys.stdin.read()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def other() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    missing = Feature("softdirty", False, "it is switched off for this test")
    features = attrs.evolve(
        FEATURES, features=tuple(missing if one.name == "softdirty" else one for one in FEATURES.features)
    )
    made = Daemon(features=features, dry_run=True)
    made.start()
    yield made
    made.stop()


def until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.01)


def rounds(daemon: Daemon) -> int:
    """Return how many scans were taken in."""
    return daemon.call(
        lambda reconciler: sum(
            one.count for name, one in reconciler.statistics.events.items() if name.endswith(".scan")
        )
    )


def pids(daemon: Daemon) -> list[int]:
    return daemon.call(lambda reconciler: [facts.key.pid for _, facts in reconciler.processes.rows()])


def threads(name: str) -> list[threading.Thread]:
    """Return the threads with such a name."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def running(daemon: Daemon, text: str) -> None:
    """Start a configuration and wait until something is known of its process."""
    daemon.apply(config.load_text(text, "x"))
    until(lambda: max((accesses for accesses, _ in ages(daemon).values()), default=0) >= 2)


def ages(daemon: Daemon) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the counted accesses of every region and since when it is in steady use, by its pid and address."""

    def of_regions(reconciler: Reconciler) -> dict[tuple[int, int], tuple[int, int]]:
        table = reconciler.table
        columns = (reconciler.processes.pids[table.process], table.start, table.accesses, table.active_since_ms)
        of_pid, starts, accesses, since_ms = (np.array(one).tolist() for one in columns)
        return dict(zip(zip(of_pid, starts, strict=True), zip(accesses, since_ms, strict=True), strict=True))

    return daemon.call(of_regions)


def test_thresholds_change_without_a_new_thread_and_with_all_that_was_learned(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    before = [threads(name) for name in ("scanner", "pidwatcher", "routine", "control")]
    learned = ages(daemon)
    changes = daemon.apply(config.load_text(text.replace("swapoutms: 3600000", "swapoutms: 60000"), "x"))
    assert [str(change) for change in changes] == ["policy.swapoutms 3600000 → 60000"]
    assert [threads(name) for name in ("scanner", "pidwatcher", "routine", "control")] == before
    now = ages(daemon)
    assert learned.keys() & now.keys()
    assert all(now[one][0] >= accesses for one, (accesses, _) in learned.items() if one in now)
    seen = rounds(daemon)
    until(lambda: rounds(daemon) > seen)


def test_the_change_takes_effect_at_once_and_not_at_the_next_tick(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    daemon.apply(config.load_text(text.replace("swapoutms: 3600000", "swapoutms: 0\n    activedurationms: 1"), "x"))

    def states(reconciler: Reconciler) -> set[str]:
        machine = reconciler.policy.activity
        codes = np.unique(reconciler.table.activity).tolist()
        return {machine.declaration.states[code] for code in codes}

    assert daemon.call(states) != {"unknown"}


def test_common_parameters_change_and_the_states_of_regions_stay(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    daemon.tick_now()
    learned = ages(daemon)
    _, start = max(learned, key=lambda region: learned[region])
    daemon.apply(config.load_text(text.replace("swapoutms", "mover: {bandwidth: 7}\n    swapoutms"), "x"))
    assert daemon.mover.params.bandwidth == 7
    assert daemon.call(lambda reconciler: reconciler.policy.params.mover.bandwidth) == 7
    changes = daemon.call(lambda reconciler: reconciler.journal.of_region(child, start))
    assert [change.before for change in changes if change.machine == ACTIVITY].count(UNKNOWN) == 1


def test_a_mover_that_is_configured_by_hand_counts_for_the_policy(daemon: Daemon, child: int) -> None:
    running(daemon, TEXT.replace("PID", str(child)))
    daemon.configure_mover(MoverParams(bandwidth=7))
    assert daemon.mover.params.bandwidth == 7
    assert daemon.call(lambda reconciler: reconciler.policy.params.mover.bandwidth) == 7
    daemon.edit(parse_edits("policy.swapoutms=5"))
    assert daemon.mover.params.bandwidth == 7


def test_nothing_changes_when_nothing_is_new(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    policy = daemon.call(lambda reconciler: reconciler.policy)
    assert daemon.apply(config.load_text(text, "x")) == []
    assert daemon.call(lambda reconciler: reconciler.policy) is policy


def test_another_tracker_goes_on_over_the_same_table(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    poller, scanner = threads("pidwatcher"), threads("scanner")
    counted = sum(accesses for accesses, _ in ages(daemon).values())
    daemon.apply(config.load_text(text.replace("reportaccesses: 1", "pagesinregion: 256"), "x"))
    assert threads("pidwatcher") == poller
    assert not set(threads("scanner")) & set(scanner)
    seen = rounds(daemon)
    until(lambda: rounds(daemon) > seen + 1)
    assert sum(accesses for accesses, _ in ages(daemon).values()) >= counted // 2, "the history was dropped"


def test_processes_that_stay_keep_their_rows_when_the_pidwatcher_changes(
    daemon: Daemon, child: int, other: int
) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    scanner = threads("scanner")
    learned = ages(daemon)
    daemon.apply(config.load_text(TEXT.replace("PID", f"{other}, {child}"), "x"))
    until(lambda: sorted(pids(daemon)) == sorted([child, other]))
    now = ages(daemon)
    assert threads("scanner") == scanner
    assert all(now[one][0] >= accesses for one, (accesses, _) in learned.items() if one in now)
    daemon.apply(config.load_text(TEXT.replace("PID", str(other)), "x"))
    until(lambda: pids(daemon) == [other])


def test_a_part_that_can_not_work_leaves_everything_as_it_was(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    before = [threads(name) for name in ("scanner", "pidwatcher", "routine")]
    effective, policy = daemon.effective(), daemon.call(lambda reconciler: reconciler.policy)
    wrong = text.replace("name: finder", "name: softdirty").replace("reportaccesses: 1", "pagesinregion: 1")
    wrong = wrong.replace("swapoutms: 3600000", "swapoutms: 1").replace("[PID]", "[1]")
    with pytest.raises(UnsupportedError, match="it is switched off for this test"):
        daemon.apply(config.load_text(wrong, "x"))
    assert [threads(name) for name in ("scanner", "pidwatcher", "routine")] == before
    assert daemon.effective() == effective
    assert daemon.call(lambda reconciler: reconciler.policy) is policy
    assert daemon.policy_running


def test_when_the_control_thread_is_busy_all_is_refused_and_nothing_half(
    daemon: Daemon, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    before = [threads(name) for name in ("scanner", "pidwatcher", "routine", "forecaster")]
    effective, policy = daemon.effective(), daemon.call(lambda reconciler: reconciler.policy)
    monkeypatch.setattr(policy_runner, "PATIENCE_S", 0.1)
    go_on = threading.Event()
    busy = threading.Thread(target=daemon.call, args=(lambda _: go_on.wait(60), 60))
    busy.start()
    other = """
policy:
  name: heat
  config: {pids: [1], tracker: {name: referenced}, forecaster: {name: stub}}
"""
    with pytest.raises(MemtierdError, match="ask the control thread: no answer within"):
        daemon.apply(config.load_text(other, "x"))
    go_on.set()
    busy.join()
    assert daemon.call(lambda reconciler: reconciler.policy) is policy, "it changed over later all the same"
    assert [threads(name) for name in ("scanner", "pidwatcher", "routine", "forecaster")] == before
    assert daemon.effective() == effective
    seen = rounds(daemon)
    until(lambda: rounds(daemon) > seen)
    monkeypatch.undo()
    daemon.apply(config.load_text(other, "x"))
    assert daemon.policy_name == "heat"
    assert len(threads("forecaster")) == 1
    daemon.apply(config.load_text(text, "x"))
    until(lambda: not threads("forecaster"))


def test_from_a_policy_that_does_nothing_to_a_real_one_and_back(daemon: Daemon, child: int) -> None:
    nothing = "policy: {name: stub}"
    daemon.apply(config.load_text(nothing, "x"))
    assert (daemon.policy_running, daemon.tracker_running, daemon.pidwatcher.is_running) == (True, False, False)
    for _ in range(2):
        running(daemon, TEXT.replace("PID", str(child)))
        assert pids(daemon) == [child]
        daemon.apply(config.load_text(nothing, "x"))
        assert (daemon.policy_running, daemon.tracker_running, daemon.pidwatcher.is_running) == (True, False, False)
        until(lambda: not threads("scanner"))


def test_another_policy_and_none(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    running(daemon, text)
    scanner, poller = threads("scanner"), threads("pidwatcher")
    daemon.apply(config.load_text(text.replace("name: age", "name: heat").replace("swapoutms: 3600000", ""), "x"))
    assert daemon.policy_name == "heat"
    assert (threads("scanner"), threads("pidwatcher")) == (scanner, poller)
    daemon.apply(config.load_text(text[text.index("routines") :], "x"))
    assert daemon.policy_name is None
    assert not daemon.tracker_running
    assert not daemon.pidwatcher.is_running
    assert pids(daemon) == []
    assert daemon.effective().tracker is None
    running(daemon, text)
    assert daemon.policy_running


def test_equal_routines_go_on_and_keep_their_numbers(child: int) -> None:
    daemon = Daemon(features=FEATURES)
    daemon.start()
    try:
        one, two, three = (
            f"{{name: statactions, config: {{intervalms: 3600000, intervalcommand: [echo, {word}]}}}}" for word in "abc"
        )
        daemon.apply(config.load_text(f"routines: [{one}, {two}]", "x"))
        assert [view.number for view in daemon.routines.views()] == [1, 2]
        (second,) = threads("routine 2")
        daemon.apply(config.load_text(f"routines: [{two}, {three}]", "x"))
        views = daemon.routines.views()
        assert [(view.number, view.params.interval_command[1], view.is_running) for view in views if view.params] == [
            (2, "b", True),
            (1, "c", True),
        ]
        assert threads("routine 2") == [second]
        daemon.routines.stop(1)
        daemon.edit(parse_edits("routines.0.pageoutmb=5"))
        assert [view.is_running for view in daemon.routines.views()] == [True, False], "an edit starts nothing"
        daemon.edit(parse_edits("routines="))
        assert daemon.routines.views() == []
        assert threads("routine") == []
    finally:
        daemon.stop()


def test_edits_of_a_policy_that_does_not_run_do_not_start_it(daemon: Daemon, child: int) -> None:
    running(daemon, TEXT.replace("PID", str(child)))
    daemon.stop_policy()
    changes = daemon.edit(parse_edits("policy.swapoutms=5"))
    assert [str(change) for change in changes] == ["policy.swapoutms 3600000 → 5"]
    assert not daemon.policy_running
    daemon.start_policy()
    params = daemon.call(lambda reconciler: reconciler.policy.params)
    assert isinstance(params, AgeParams)
    assert params.swap_out_ms == 5


def test_parts_of_no_policy_are_shown_and_edited(daemon: Daemon, child: int) -> None:
    daemon.create_tracker("finder")
    daemon.create_pidwatcher("proc")
    daemon.start_tracker([child])
    effective = daemon.effective()
    assert (effective.tracker and effective.tracker.name) == "finder"
    assert (effective.pidwatcher and effective.pidwatcher.name) == "proc"
    daemon.edit(parse_edits("tracker.scanintervalms=77,pidwatcher.intervalms=88,mover.bandwidth=9"))
    assert daemon.tracker_params.scan_interval_ms == 77
    assert daemon.tracker_running
    assert daemon.pidwatcher.params.interval_ms == 88
    assert daemon.mover.params.bandwidth == 9


def test_a_file_is_read_again_and_a_bad_one_changes_nothing(daemon: Daemon, child: int, tmp_path: Path) -> None:
    with pytest.raises(MemtierdError, match="no configuration file was loaded"):
        daemon.reload()
    file = tmp_path / "memtierd.yaml"
    file.write_text(TEXT.replace("PID", str(child)))
    daemon.load(config.read_file(str(file)))
    daemon.edit(parse_edits("policy.swapoutms=5"))
    assert [str(change) for change in daemon.reload()] == ["policy.swapoutms 5 → 3600000"]
    effective, loaded = daemon.effective(), daemon.config_file
    file.write_text("policy: {name: bogus}")
    with pytest.raises(ConfigError, match="bogus"):
        daemon.reload()
    assert (daemon.effective(), daemon.config_file) == (effective, loaded)


def test_what_the_machine_lacks_for_an_edit_is_said_once(
    daemon: Daemon, child: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "memtierd.yaml"
    text = TEXT.replace("PID", str(child))
    file.write_text(text)
    daemon.load(config.read_file(str(file)))
    with_nodes = text.replace("swapoutms: 3600000", "idledurationms: 3600000\n    idlenumas: [777]")
    for number in (1, 2):
        file.write_text(f"{with_nodes}# {number}\n")
        daemon.reload()
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len([text for text in warned if "777" in text]) == 1, warned


def test_many_changes_leave_no_thread_and_no_open_file(daemon: Daemon, child: int) -> None:
    text = TEXT.replace("PID", str(child))
    texts = [
        text,
        text.replace("50", "60"),
        text.replace("name: age", "name: heat").replace("swapoutms: 3600000", ""),
        text[text.index("routines") :],
        text.replace(f"[{child}]", "[1]"),
        text[: text.index("routines")],
        "policy: {name: stub}",
    ]
    running(daemon, text)

    def held() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    for number in range(40):
        daemon.apply(config.load_text(texts[number % len(texts)], "x"))
    daemon.apply(config.load_text(text, "x"))
    until(lambda: held() <= before and pids(daemon) == [child])
