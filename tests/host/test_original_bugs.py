"""The list of crashes, hangs and wrong reports of the first memtierd, at the prompt of a real daemon: none happens.

The numbers are those of the list.  Only processes that a test started are looked at, and nothing moves to another node.
"""

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from memtierd.daemon import Daemon
from memtierd.linux.probe import probe
from memtierd.model import CallReport, ProcessKey
from memtierd.prompt.session import Session
from memtierd.prompt.voice import BUG

FEATURES = probe()
GRID = next((name for name in ("idlepage", "softdirty") if FEATURES.works(name)), None)
"""A tracker that remembers regions from scan to scan, where one works."""
DEADLINE_S = 30.0
ENDLESS = "import sys; x = bytearray(8 << 20); print(flush=True); sys.stdin.read()"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not FEATURES.works("pagemap_pfn"), reason=FEATURES.get("pagemap_pfn").detail),
    pytest.mark.skipif(not FEATURES.works("referenced"), reason=FEATURES.get("referenced").detail),
]


@attrs.define
class User:
    """Somebody at the prompt, who is patient for a while only."""

    daemon: Daemon
    out: io.StringIO = attrs.field(factory=io.StringIO)
    err: io.StringIO = attrs.field(factory=io.StringIO)
    session: Session = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = Session(self.daemon, self.out, self.err)

    def says(self, line: str) -> tuple[int, str, str]:
        """Return status, output and error output of a line that ends in time and meets no bug."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(self.session.run_line(line)), daemon=True)
        thread.start()
        thread.join(DEADLINE_S)
        assert answers, f"no answer: {line}"
        assert answers[0] != BUG, self.err.getvalue()
        return answers[0], self.out.getvalue(), self.err.getvalue()

    def good(self, line: str) -> str:
        """Return the output of a line that must succeed."""
        status, out, err = self.says(line)
        assert (status, err) == (0, ""), line
        return out

    def bad(self, line: str) -> str:
        """Return the one whole line that a failing command says."""
        status, _, err = self.says(line)
        assert status in (1, 2), line
        assert err.endswith("\n")
        assert err.count("\n") == 1
        return err

    def until(self, line: str, done: Callable[[str], bool]) -> None:
        """Give a line again and again until its output is as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        while not done(out := self.good(line)):
            assert time.monotonic() < deadline, f"{line}: {out}"


@pytest.fixture
def user() -> Iterator[User]:
    daemon = Daemon(features=FEATURES)
    daemon.start()
    try:
        here = User(daemon)
        yield here
        assert "control error" not in here.good("stats -t events")
    finally:
        daemon.stop()


@pytest.fixture
def start() -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Return what starts a process with 8 MB of its own."""
    started: list[subprocess.Popen[str]] = []

    def run() -> "subprocess.Popen[str]":
        program = [sys.executable, "-c", ENDLESS]
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def pid(start: Callable[[], "subprocess.Popen[str]"]) -> int:
    return start().pid


def policy_config(name: str, pid: int, tracker: str, **more: object) -> str:
    """Return a policy's configuration as JSON, for decisions every 20 ms."""
    needed: dict[str, dict[str, object]] = {"ratio": {"ratio": 0.3}, "demote-idle": {"idlenumas": [0]}}
    config = {"pids": [pid], "intervalms": 20, "tracker": {"name": tracker, "config": more}, **needed.get(name, {})}
    return json.dumps(config)


def scans(table: str) -> dict[int, int]:
    """Return the number of scans by pid, of the table memory_scans as csv."""
    return {int(line.split(",")[0]): int(line.split(",")[1]) for line in table.splitlines()[2:]}


# Q24: panics


def test_q24_a_tracker_that_tracks_nothing_has_no_counts(user: User, pid: int) -> None:
    user.good(f"tracker -create stub -start {pid}")
    for what in ("-counters", "-heat"):
        assert user.good(f"tracker {what}") == "no counter entries\n"


def test_q24_a_policy_can_be_looked_into_before_it_starts(user: User, pid: int) -> None:
    user.good(f"policy -create age -config {policy_config('age', pid, 'stub')}")
    assert "lastaccs" in user.good("policy -dump accessed")
    assert "lastaccs" in user.good("policy -dump accessed 0,5s,0")


@pytest.mark.parametrize("name", ["age", "heat", "demote-idle"])
def test_q24_policies_live_with_a_tracker_that_tracks_nothing(name: str, user: User, pid: int) -> None:
    user.good(f"policy -create {name} -config {policy_config(name, pid, 'stub')} -start")
    assert user.good("plan -now") == "nothing to move\n"
    user.good("policy -stop")


def test_q24_ratio_says_that_it_needs_a_tracker_that_tracks(user: User, pid: int) -> None:
    user.good("policy -create ratio")
    assert "tracker" in user.bad(f"policy -config {policy_config('ratio', pid, 'stub')}")


def test_q24_there_is_always_a_mover(user: User) -> None:
    user.good("policy -create stub -start")
    assert user.good("mover -tasks") == ""


def test_q24_a_routine_may_be_stopped_twice(user: User) -> None:
    user.good('routines -create statactions -config {"intervalms": 100000, "intervalcommand": ["true"]} -start')
    for _ in range(2):
        assert user.good("routines -stop") == "routine 1 stopped\n"


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    ("create", "configure"),
    [
        ("policy -create age", 'policy -config {{"pids": [1], "intervalms": {}}}'),
        ("policy -create ratio", 'policy -config {{"pids": [1], "ratio": 0.5, "intervalms": {}}}'),
        ("policy -create avoid-oom", 'policy -config {{"pids": [1], "intervalms": {}}}'),
        ("tracker -create referenced", 'tracker -config {{"scanintervalms": {}}}'),
        ("tracker -create finder", 'tracker -config {{"scanintervalms": {}}}'),
        ("pidwatcher -create pidlist", 'pidwatcher -config {{"pids": [1], "intervalms": {}}}'),
        ("pidwatcher -create cgroups", 'pidwatcher -config {{"cgroups": ["/sys/fs/cgroup"], "intervalms": {}}}'),
        ("routines -create statactions", 'routines -config {{"intervalms": {}, "intervalcommand": ["true"]}}'),
        ("nop", 'mover -config {{"intervalms": {}}}'),
        ("nop", 'mover -config {{"bandwidth": {}}}'),
    ],
)
def test_q24_an_interval_that_is_none_is_refused(create: str, configure: str, value: int, user: User) -> None:
    user.good(create)
    assert f"got the integer {value}, expected" in user.bad(configure.format(value))


# Q25, Q26: hangs


def test_q25_waiting_for_a_mover_that_was_never_started(user: User) -> None:
    assert user.good("mover -wait") == "mover wait received: Stopped\n"


def test_q25_a_mover_that_does_not_run_may_be_steered_any_number_of_times(user: User) -> None:
    for flag in ("-continue", "-pause", "-continue", "-stop"):
        for _ in range(20):
            user.good(f"mover {flag}")


def test_q25_a_filter_of_a_list_of_pids_starts(user: User, pid: int) -> None:
    config = {"source": {"name": "pidlist", "config": {"pids": [pid]}}, "filters": [{"procexeregexp": "python"}]}
    user.good(f"pidwatcher -create filter -config {json.dumps(config)} -listener log -start")
    assert f"pid: {pid}\n" in user.good("pidwatcher -poll -dump")
    user.good("pidwatcher -stop")


def test_q25_q26_a_tracker_may_be_stopped_and_started_at_any_time(user: User, pid: int) -> None:
    user.good('tracker -create referenced -config {"scanintervalms": 1}')
    for _ in range(10):
        assert "tracker started" in user.good(f"tracker -start {pid}")
    for _ in range(3):
        assert user.good("tracker -stop") == "tracker stopped\n"
    user.good(f"tracker -start {pid}")
    before = scans(user.good("stats -t memory_scans -f csv")).get(pid, 0)
    user.until("stats -t memory_scans -f csv", lambda out: scans(out).get(pid, 0) > before + 2)


# Q27, Q28: a process ends


def test_q27_a_process_that_ends_between_two_looks_for_regions_stops_nothing(
    user: User, start: Callable[[], "subprocess.Popen[str]"]
) -> None:
    ending, staying = start(), start()
    config = {"scanintervalms": 5} if GRID is None else {"scanintervalms": 5, "regionsupdatems": 3_600_000}
    user.good(f"tracker -create {GRID or 'referenced'} -config {json.dumps(config)}")
    user.good(f"tracker -start {ending.pid},{staying.pid}")
    user.until("stats -t memory_scans -f csv", lambda out: scans(out).keys() == {ending.pid, staying.pid})
    ending.kill()
    ending.wait()
    user.until("regions -f json", lambda out: {row["pid"] for row in json.loads(out)} == {staying.pid})
    before = scans(user.good("stats -t memory_scans -f csv"))[staying.pid]
    user.until("stats -t memory_scans -f csv", lambda out: scans(out)[staying.pid] > before + 2)


def test_q28_pages_of_a_process_that_has_ended_since(user: User, start: Callable[[], "subprocess.Popen[str]"]) -> None:
    process = start()
    user.good(f"pages -pid {process.pid}")
    user.good(f"swap -pid {process.pid} -status")
    process.kill()
    process.wait()
    for line in ("pages", f"pages -pid {process.pid} -node 0", f"swap -pid {process.pid} -status"):
        assert str(process.pid) in user.bad(line)
    user.good("mover -pages-to 0")
    assert user.good("mover -wait -timeout 30s") == "mover wait received: AllDone\n"


def test_q28_dumps_while_the_policy_works(user: User, pid: int) -> None:
    config = policy_config("age", pid, "referenced", scanintervalms=1)
    user.good(f"policy -create age -config {config} -start")
    user.until("regions -f json", lambda out: str(pid) in out)
    others = [Session(user.daemon, io.StringIO(), io.StringIO()) for _ in range(4)]
    with ThreadPoolExecutor(len(others)) as pool:
        lines = ["policy -dump accessed 0,1s,0", "tracker -counters", "regions", "stats -t memory_scans"] * 15
        statuses = [pool.submit(others[at % len(others)].run_line, line) for at, line in enumerate(lines)]
        assert {status.result(DEADLINE_S) for status in statuses} == {0}


# Q29, Q30: stopping


def assert_threads(name: str, count: int) -> None:
    """Wait until there are so many threads; one that was stopped in a system call ends a little later."""
    deadline = time.monotonic() + DEADLINE_S
    while sum(thread.name.startswith(name) for thread in threading.enumerate()) != count:
        assert time.monotonic() < deadline, [thread.name for thread in threading.enumerate()]


def test_q29_a_policy_may_be_stopped_in_the_middle_of_a_scan(user: User, pid: int) -> None:
    user.good("policy -create demote-idle")
    user.good(f"policy -config {policy_config('demote-idle', pid, 'referenced', scanintervalms=1)}")
    for _ in range(5):
        user.good("policy -start")
        user.good("policy -stop")
    assert_threads("scanner", 0)
    assert_threads("pidwatcher", 0)


@pytest.mark.parametrize("name", ["proc", "cgroups"])
def test_q29_a_pidwatcher_that_is_stopped_and_started_has_one_loop(name: str, user: User) -> None:
    config = {"proc": '{"intervalms": 60000}', "cgroups": '{"cgroups": ["/sys/fs/cgroup/no-such"]}'}[name]
    user.good(f"pidwatcher -create {name} -config {config} -listener log")
    for _ in range(5):
        user.good("pidwatcher -start")
        user.good("pidwatcher -stop")
    user.good("pidwatcher -start")
    assert_threads("pidwatcher", 1)
    user.good("pidwatcher -stop")
    assert_threads("pidwatcher", 0)


def test_q30_any_number_of_tasks_is_taken_and_dropped(user: User, pid: int) -> None:
    user.good(f"pages -pid {pid}")
    user.good("mover -start -pause")
    for _ in range(50):
        user.good("mover -pages-to 0 -pause")
    left = user.good("mover -tasks").splitlines()
    assert 1 <= len(left) <= 50
    user.good("mover -stop")
    assert user.good("mover -tasks") == ""


# Q31: what statistics say


def call_report(pid: int, returned: int) -> CallReport:
    """Return a call for two pages, the last of three that were asked for in chunks of two."""
    return CallReport(ProcessKey(pid, 1), "move_pages", 0, 1, 0, 0x1000, returned, {}, time.monotonic_ns())


def test_q31_names_of_events_are_no_formats(user: User) -> None:
    user.daemon.control.count("nop 100% %d %s %n")
    user.until("stats -t events", lambda out: "nop 100% %d %s %n\n" in out)
    assert ",nop 100% %d %s %n\n" in user.good("stats -t events -f csv")


def test_q31_every_column_of_csv_has_its_comma(user: User, pid: int) -> None:
    user.good(f"tracker -create referenced -start {pid}")
    user.until("stats -t memory_scans -f csv", lambda out: bool(scans(out)))
    title, heading, *rows = user.good("stats -t memory_scans -f csv").splitlines()
    assert title == "table: memory scans"
    assert {len(line.split(",")) for line in (heading, *rows)} == {10}
    assert not any(" " in row for row in rows)
    assert "" not in user.good("stats -t memory_scans").splitlines()


def test_q31_pages_are_counted_as_asked_for_and_a_refusal_is_negative(user: User, pid: int) -> None:
    user.daemon.control.post(call_report(pid, -3))
    user.until("stats -t move_pages -f csv", lambda out: f"\n{pid},1,1,0," in out)
    assert "return=-3 " in user.good(f"stats -lm {pid}")


# Q32: how commands are read and errors told

WRONG_LINES = (
    "bogus",
    "nop 'open",
    "nop open\\",
    "pages -ranges zzz",
    "swap -pids abc -status",
    "policy -create bogus",
    "policy -start",
    "pidwatcher -create bogus",
    "pidwatcher -start",
    "tracker -create bogus",
    "tracker -start 1",
    "routines -use 4",
    "mover -config notjson",
    "stats -t help",
    "stats -dump moves bogus",
    "log -prefix x",
)


@pytest.mark.parametrize("line", WRONG_LINES)
def test_q32_every_error_is_one_whole_line(line: str, user: User) -> None:
    assert len(user.bad(line)) > 10


def test_q32_the_last_line_needs_no_end_and_a_quoted_bar_is_no_pipe(user: User) -> None:
    user.session.loop(io.StringIO("time -start 'a|b'\nnop -h"))
    said = user.out.getvalue()
    assert said.startswith('stopwatch "a|b" started ')
    assert said.endswith("nop: do nothing\n")
    assert user.err.getvalue() == ""


def test_q32_only_the_wrong_key_of_json_is_named(user: User) -> None:
    user.good("tracker -create referenced")
    said = user.bad('tracker -config {"ScanIntervalMs":1024,"foo":1}')
    assert "foo" in said
    assert "scanintervalms: " not in said.lower()


# Q33: what grows for ever


def test_q33_files_are_closed_again(user: User, pid: int) -> None:
    frame = user.good(f"pages -pid {pid} -pm 1").split("pfn: ")[-1].strip()
    before = os.listdir("/proc/self/fd")
    for _ in range(20):
        user.good(f"pages -pk {frame}")
    assert os.listdir("/proc/self/fd") == before


def test_q33_processes_that_have_ended_are_forgotten(user: User) -> None:
    for pid in range(1, 20_001):
        user.daemon.control.post(call_report(1_000_000 + pid, 0))
    table = user.good("stats -t move_pages -f csv")
    assert f"\n{1_020_000}," in table
    assert table.count("\n") < 10_000


def test_q33_recordings_say_what_they_have_dropped(user: User, pid: int) -> None:
    user.good("stats -dump moves start")
    for _ in range(200_000):
        user.daemon.control.post(call_report(pid, 0))
    status, out, err = user.says("stats -dump moves new")
    assert status == 0
    assert "older entries were dropped" in err
    assert 0 < out.count("\n") < 200_000
