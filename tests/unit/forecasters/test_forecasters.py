"""Forecasters with real files and programs: what they say, and what becomes of programs that hang, end and babble."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtierd.forecasters import Answer, Forecast, Forecaster, ForecastThread, Heats, build
from memtierd.forecasters.params import ChainParams, StdioParams, StubForecasterParams, TraceParams
from memtierd.parameters import Part
from tests.unit.forecasters.forecast_samples import as_rows, heats_of_pages

HEATS = heats_of_pages((4096, 2, 0.25), (65536, 16, 0.0))
DEADLINE_S = 30.0
S = 1_000_000_000

HALVES = """
import json, sys
for line in sys.stdin:
    heats = json.loads(line)
    for regions in heats.values():
        for region in regions:
            region["heat"] /= 2
    print(json.dumps(heats), flush=True)
"""


def until(what: str, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stdio(clock: Clock) -> Iterator[Callable[..., Forecaster]]:
    """Return a maker of stdio forecasters that end with the test."""
    made: list[Forecaster] = []

    def make(*command: str, timeout_ms: int = 30_000, stderr: str = "", retry: int = 3) -> Forecaster:
        params = StdioParams(command=command, timeout_ms=timeout_ms, stderr=stderr, retry=retry, retry_ms=1000)
        made.append(build(Part("stdio", params), clock))
        return made[-1]

    yield make
    for forecaster in made:
        forecaster.close()


def test_stub_has_no_opinion(clock: Clock) -> None:
    assert build(Part("stub", StubForecasterParams()), clock).forecast(HEATS).heats is None


@pytest.mark.parametrize(("hidden", "rows"), [(False, 2), (True, 1)])
def test_trace_appends_a_table(tmp_path: Path, clock: Clock, hidden: bool, rows: int) -> None:
    file = tmp_path / "trace"
    file.write_text("before\n")
    trace = build(Part("trace", TraceParams(file=str(file), hide_heat_zero=hidden)), clock)
    assert trace.forecast(HEATS).heats is None
    assert trace.forecast(HEATS).problems == ()
    lines = file.read_text().splitlines()
    assert len(lines) == 1 + 2 * (1 + rows)
    words = lines[1].split()
    assert (words[:3], words[4:]) == (
        ["table:", "heat", "forecast"],
        ["pid", "addr", "size", "heat", "created", "updated"],
    )
    assert int(words[3]) > 1_700_000_000 * S
    assert lines[2 : 2 + rows] == ["42 1000 8192 0.250000000 5 5", "42 10000 65536 0.000000000 5 5"][:rows]


@pytest.mark.parametrize(
    ("path", "said"), [("/", "is a directory"), ("/no/such/dir/x", "no such file"), ("a\0", "null")]
)
def test_trace_says_what_it_can_not_write(clock: Clock, path: str, said: str) -> None:
    answer = build(Part("trace", TraceParams(file=path)), clock).forecast(HEATS)
    assert (answer.heats, answer.failures) == (None, 1)
    assert said in answer.problems[0]


def test_stdio_asks_a_program_again_and_again(stdio: Callable[..., Forecaster]) -> None:
    halves = stdio(sys.executable, "-c", HALVES)
    for _ in range(3):
        answer = halves.forecast(HEATS)
        assert answer.problems == ()
        assert as_rows(answer.heats) == {42: [(4096, 2, 0.125), (65536, 16, 0.0)]}


def test_stdio_reads_while_it_writes(stdio: Callable[..., Forecaster]) -> None:
    """Both directions are larger than any pipe."""
    many = heats_of_pages(*((page * 4096, 1, 0.5) for page in range(50_000)))
    cat = stdio("cat")
    assert as_rows(cat.forecast(many).heats) == as_rows(many)
    assert as_rows(cat.forecast(HEATS).heats) == as_rows(HEATS)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("read line; exit 3", "exit status 3"),
        ("exit 0", "it has ended"),
        ("kill -9 $$", "ended by signal 9 (SIGKILL)"),
        ("exec >&-; sleep 1000", "it has closed its input or output"),
        ("while read line; do echo hello; done", "not a line of JSON: hello"),
        ("read line; yes | tr -d '\\n'", "bytes and no end of the line"),
    ],
)
def test_stdio_says_what_is_wrong_with_the_program(stdio: Callable[..., Forecaster], script: str, said: str) -> None:
    answer = stdio("sh", "-c", script).forecast(HEATS)
    assert (answer.heats, answer.failures) == (None, 1)
    assert answer.problems[0].startswith(f"forecaster stdio 'sh -c {script[:8]}")
    assert said in answer.problems[0]


def test_nobody_waits_for_a_pipe_that_has_no_reader(
    stdio: Callable[..., Forecaster], tmp_path: Path, clock: Clock
) -> None:
    os.mkfifo(tmp_path / "pipe")
    trace = build(Part("trace", TraceParams(file=f"{tmp_path}/pipe")), clock)
    for forecaster in (trace, stdio("cat", stderr=f"file:{tmp_path}/pipe")):
        assert "no such device or address (ENXIO)" in forecaster.forecast(HEATS).problems[0]


def test_a_closed_stdio_starts_no_program(stdio: Callable[..., Forecaster], tmp_path: Path) -> None:
    closed = stdio("sh", "-c", f"touch {tmp_path}/started; cat")
    closed.close()
    assert closed.forecast(HEATS).problems[0].endswith("it is closed")
    assert not (tmp_path / "started").exists()


def test_stdio_says_that_there_is_no_program_and_no_place_for_its_errors(stdio: Callable[..., Forecaster]) -> None:
    said = stdio("/no/such/program").forecast(HEATS).problems[0]
    assert said.startswith("forecaster stdio '/no/such/program': start it: no such file or directory (ENOENT)")
    said = stdio("cat", stderr="file:/no/such/dir/x").forecast(HEATS).problems[0]
    assert "open '/no/such/dir/x' for its standard error: no such file or directory (ENOENT)" in said


def test_stdio_kills_what_hangs_with_all_it_started(stdio: Callable[..., Forecaster], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hanging = stdio("sh", "-c", f"sleep 1000 & echo $! $$ > {pids}; wait", timeout_ms=1500)
    assert hanging.forecast(HEATS).problems[0].endswith("no answer within 1500 ms")
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    until("both are gone", lambda: not any(map(is_alive, started)))


def test_stdio_starts_the_program_again_later_and_later_and_gives_up(
    stdio: Callable[..., Forecaster], clock: Clock, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    failing = stdio("sh", "-c", f"echo x >> {starts}; exit 1", retry=2)
    expected = {0: 1, 999: 1, 1000: 2, 2999: 2, 3000: 3, 10**9: 3}
    said = []
    for now_ms, count in expected.items():
        clock.now_ns = now_ms * 1_000_000
        answer = failing.forecast(HEATS)
        said.append(answer.problems[0])
        assert answer.heats is None
        assert starts.read_text().count("x") == count
    assert said[0] == said[3]  # the same sentence as long as it lasts
    assert "exit status 1" in said[0]
    assert said[4] == said[5] == said[0] + "; it is off after 3 failures in a row, until the policy is started again"


def test_stdio_counts_only_failures_in_a_row(stdio: Callable[..., Forecaster], clock: Clock) -> None:
    once = stdio("sh", "-c", "read line; echo $line", retry=1)  # ends after each answer
    answers = []
    for _ in range(6):
        clock.now_ns += 10 * S
        answers.append(once.forecast(HEATS).heats is not None)
    assert answers == [True, False] * 3


def test_stdio_drops_what_nobody_asked_for(stdio: Callable[..., Forecaster], tmp_path: Path) -> None:
    printed = tmp_path / "printed"
    script = f"while read line; do echo $line; echo and more; touch {printed}; done"
    babbling = stdio("sh", "-c", script)
    for _ in range(3):
        assert as_rows(babbling.forecast(HEATS).heats) == as_rows(HEATS)
        until("it has printed more", printed.exists)
        printed.unlink()


def test_stdio_appends_errors_to_a_file(stdio: Callable[..., Forecaster], tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    errors.write_text("before\n")
    chatty = stdio("sh", "-c", "while read line; do echo oops >&2; echo $line; done", stderr=f"file:{errors}")
    assert chatty.forecast(HEATS).heats is not None
    assert errors.read_text() == "before\noops\n"


def chain(clock: Clock, *members: Part) -> Forecaster:
    return build(Part("chain", ChainParams(forecasters=members)), clock)


def test_chain_passes_forecasts_on_and_what_fails_is_left_out(tmp_path: Path, clock: Clock) -> None:
    halves = Part("stdio", StdioParams(command=(sys.executable, "-c", HALVES), timeout_ms=30_000))
    failing = Part("stdio", StdioParams(command=("false",)))
    trace = Part("trace", TraceParams(file=str(tmp_path / "trace")))
    whole = chain(clock, halves, failing, Part("chain", ChainParams(forecasters=(trace, halves))))
    answer = whole.forecast(HEATS)
    whole.close()
    assert as_rows(answer.heats)[42][0] == (4096, 2, 0.0625)
    assert (len(answer.problems), answer.failures) == (1, 1)
    assert "42 1000 8192 0.125000000 5 5" in (tmp_path / "trace").read_text()


def test_a_chain_without_opinions_has_none(tmp_path: Path, clock: Clock) -> None:
    trace = Part("trace", TraceParams(file=str(tmp_path / "trace")))
    assert chain(clock, trace, Part("stub", StubForecasterParams())).forecast(HEATS).heats is None


class Waiting:
    """Forecasts when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.seen: list[Heats] = []

    def forecast(self, heats: Heats) -> Answer:
        self.seen.append(heats)
        assert self.go_on.wait(DEADLINE_S)
        if len(self.seen) == 3:
            raise ValueError("three")
        return Answer(heats)

    def close(self) -> None:
        self.go_on.set()


def test_the_thread_takes_one_request_at_a_time_and_lives_through_bugs() -> None:
    forecaster, posted = Waiting(), list[Forecast]()
    thread = ForecastThread(forecaster, posted.append)
    thread.start()
    assert thread.ask(1, heats_of_pages((0, 1, 0.5), at_ns=10))
    assert not thread.ask(2, HEATS)
    forecaster.go_on.set()
    for number in (3, 4, 5):
        until("an answer", lambda number=number: len(posted) == number - 2)  # type: ignore[misc]
        until("asked", lambda number=number: thread.ask(number, heats_of_pages((0, 1, 0.5), at_ns=number)))  # type: ignore[misc]
    until("the last answer", lambda: len(posted) == 4)
    assert [forecast.number for forecast in posted] == [1, 3, 4, 5]
    assert [one.created_ns.tolist() for heats in forecaster.seen for one in heats.values()] == [[10]] * 4
    assert posted[2].answer.problems[0].startswith("forecaster: unexpected ValueError: three (")
    assert thread.stop()


def test_stopping_ends_a_program_that_hangs(clock: Clock) -> None:
    posted: list[Forecast] = []
    hanging = build(Part("stdio", StdioParams(command=("sleep", "1000"), timeout_ms=10**9)), clock)
    thread = ForecastThread(hanging, posted.append)
    thread.start()
    assert thread.ask(1, HEATS)
    assert thread.stop(timeout_s=DEADLINE_S)
    assert posted == []
