"""meme as its users see it: what it prints, which memory it touches, how it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "memtierd"
BUILD = PACKAGE / "meme" / "build.py"
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
HUGE_PAGE_BYTES = 2 << 20
PATIENCE_S = 30
MIB = 1 << 20

ARRAY = re.compile(r"    array: ([0-9a-f]+)-([0-9a-f]+) \((\d+) bytes\)")
START = re.compile(r"start exerciser (\d+): (read|write) (?P<first>[0-9a-f]+)-(?P<last>[0-9a-f]+) \((\d+) bytes\)")
WAKE = re.compile(r"wake exerciser (\d+): round (\d+) range (?P<first>[0-9a-f]+)-(?P<last>[0-9a-f]+)")
SPEED = re.compile(r"avgspeed exerciser (\d+): (\d+\.\d{6}) s/round")


@pytest.fixture(scope="module", params=["optimised", "sanitized"])
def meme(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("meme") / "bin" / "meme"
    extra = SANITIZERS if request.param == "sanitized" else []
    subprocess.run([sys.executable, BUILD, output, *extra], check=True, timeout=120)
    return output


class Mapping(NamedTuple):
    """One mapping of /proc/PID/smaps: addresses, permissions, and its lines of text as fields."""

    start: int
    end: int
    permissions: str
    fields: dict[str, str]

    def bytes_of(self, field: str) -> int:
        return int(self.fields[field].removesuffix(" kB")) * 1024


def read_mappings(pid: int) -> list[Mapping]:
    mappings: list[Mapping] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ", line)
        if head:
            mappings.append(Mapping(int(head[1], 16), int(head[2], 16), head[3], {}))
        else:
            name, value = line.split(":", 1)
            mappings[-1].fields[name] = value.strip()
    return mappings


def mapping_at(pid: int, start: int) -> Mapping:
    return next(mapping for mapping in read_mappings(pid) if mapping.start == start)


class Running:
    """A meme in the background, killed at the end of the block if it is still there."""

    def __init__(self, program: Path, *arguments: str, stdin: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [program, *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self._watchdog = threading.Timer(PATIENCE_S, self.process.kill)

    def __enter__(self) -> Self:
        self._watchdog.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        self.process.kill()
        self.process.communicate()

    def lines(self) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield line.removesuffix("\n")

    def next_match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        for line in self.lines():
            found = pattern.fullmatch(line)
            if found:
                return found
        assert self.process.stderr is not None
        pytest.fail(f"meme ended before it printed {pattern.pattern!r}: {self.process.stderr.read()}")

    def next_array(self) -> int:
        return int(self.next_match(ARRAY)[1], 16)

    def type_text(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, signal_number: int | None = None) -> tuple[int, str, str]:
        if signal_number is not None:
            self.process.send_signal(signal_number)
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stdout, stderr


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def run_well(program: Path, *arguments: str) -> list[str]:
    done = run(program, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def window_of(match: re.Match[str], array_start: int) -> tuple[int, int]:
    """Return what a START or WAKE line says as half-open offsets in the array."""
    return int(match["first"], 16) - array_start, int(match["last"], 16) + 1 - array_start


# The command line


def test_prints_pid_arrays_and_exercisers_in_order(meme: Path) -> None:
    with Running(meme, "-bc", "3", "-bs", "1M", "-brc", "1", "-bwc", "2", "-ttl", "1ms") as running:
        status, stdout, stderr = running.end()
    lines = stdout.splitlines()
    assert (status, stderr) == (0, "")
    assert lines[:3] == ["memory exerciser", f"pid: {running.pid}", "creating 3 byte arrays"]
    arrays = [ARRAY.fullmatch(line) for line in lines[3:6]]
    assert all(array and int(array[2], 16) - int(array[1], 16) + 1 == int(array[3]) == MIB for array in arrays)
    starts = [found for line in lines if (found := START.fullmatch(line))]
    assert [(start[1], start[2], start[5]) for start in starts] == [
        ("1", "read", "1048576"),
        ("2", "write", "1048576"),
        ("3", "write", "1048576"),
    ]
    assert lines[9:] == ["stop exerciser 3", "stop exerciser 1", "stop exerciser 2"]


@pytest.mark.parametrize("flag", ["-h", "--h", "-help", "--help"])
def test_help_goes_to_stdout(meme: Path, flag: str) -> None:
    lines = run_well(meme, flag)
    assert lines[2].startswith("usage: meme")


def test_help_names_every_flag(meme: Path) -> None:
    documented = {found[1] for line in run_well(meme, "-h") if (found := re.match(r"  -(\w+)", line))}
    read_and_write = {f"b{access}{what}" for access in "rw" for what in ("c", "s", "o", "sd", "od", "i", "p")}
    assert documented == {"bc", "bcd", "bs", "bth", "p", "ttl", "version", "h"} | read_and_write


def test_version_is_the_version_of_memtierd(meme: Path) -> None:
    expected = re.search(r'__version__ = "(.+)"', (PACKAGE / "__init__.py").read_text())
    assert expected
    assert run_well(meme, "-version")[2:] == [f"meme version {expected[1]}"]


@pytest.mark.parametrize("flag", [["-bs", "12k"], ["--bs", "12k"], ["-bs=12k"], ["--bs=12k"]])
def test_single_and_double_dash_space_and_equals_sign(meme: Path, flag: list[str]) -> None:
    assert any(line.endswith("(12288 bytes)") for line in run_well(meme, *flag, "-ttl", "1"))


@pytest.mark.parametrize(
    ("size", "size_bytes"), [("1", 1), ("4097", 4097), ("3k", 3 << 10), ("2M", 2 << 20), ("1G", 1 << 30)]
)
def test_sizes(meme: Path, size: str, size_bytes: int) -> None:
    lines = run_well(meme, "-bs", size, "-brc=0", "-bwc=0", "-ttl=1")
    found = ARRAY.fullmatch(lines[3])
    assert found
    assert int(found[3]) == size_bytes


@pytest.mark.parametrize("time", ["1", "1000ns", "10us", "1ms"])
def test_times(meme: Path, time: str) -> None:
    assert run_well(meme, "-bs=1k", "-ttl", time)


@pytest.mark.parametrize("time", ["1s", "1m", "1h"])
def test_long_times_do_not_end_at_once(meme: Path, time: str) -> None:
    with Running(meme, "-bs=1k", "-bwc=0", "-bri=1ms", "-ttl", time) as running:
        assert running.next_match(WAKE)
        assert running.end(signal.SIGTERM)[0] == -signal.SIGTERM


SIZE = "[1-9][0-9]*[kMG]?"
SIZE_CHANGE = "-?[1-9][0-9]*[kMG]?"
TIME = "[1-9][0-9]*(ns|us|ms|s|m|h)?"
CHANGES = "DELTA/TIME[,DELTA/TIME...], at most 16 of them"


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        *[("bs", value, SIZE) for value in ("x", "", "0", "-1", "+1", "1K", "1kk", " 1", "1 ", "01", "1.5G", "0x10")],
        ("bs", "9223372036854775808", SIZE),
        ("bs", "99999999999G", SIZE),
        *[(flag, "1T", SIZE) for flag in ("brs", "bws", "bro", "bwo")],
        ("bro", "-1", SIZE),
        *[(flag, "--1", SIZE_CHANGE) for flag in ("brsd", "bwsd", "brod", "bwod")],
        *[(flag, "1d", TIME) for flag in ("bri", "bwi", "p", "ttl")],
        *[("ttl", value, TIME) for value in ("", "s", "1S", "-1s", "1.5s", "9223372036s", "1s2")],
        *[("bcd", value, CHANGES) for value in ("1", "/1s", "1/", "0/1s", "1/0s", "1/1s,", ",1/1s", "1/1s 2/1s")],
        ("bcd", ",".join(["1/1s"] * 17), CHANGES),
    ],
)
def test_syntax_errors(meme: Path, flag: str, value: str, expected: str) -> None:
    done = run(meme, f"-{flag}", value, "-ttl=1")
    message = f'syntax error in -{flag} "{value}": expected {expected}'
    assert (done.returncode, done.stdout.splitlines()[2:], done.stderr) == (1, [message], "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-nosuch"], "unknown flag: -nosuch"),
        (["-b", "1"], "unknown flag: -b"),
        (["---bs", "1"], "unknown flag: ---bs"),
        (["-=1"], "unknown flag: -=1"),
        (["--"], "unknown flag: --"),
        (["-bs"], "missing value for flag: -bs"),
        (["-ttl=1", "extra"], "unexpected argument: extra"),
        (["-"], "unexpected argument: -"),
        (["-bc", "x"], 'invalid value "x" for flag -bc: expected a whole number from 0 to 1000000'),
        (["-bc", "-1"], 'invalid value "-1" for flag -bc: expected a whole number from 0 to 1000000'),
        (
            ["-bwc", "1000001"],
            'invalid value "1000001" for flag -bwc: expected a whole number from 0 to 1000000',
        ),
        (["-brp", "0"], 'invalid value "0" for flag -brp: expected a whole number from 1 to 1000000'),
        (["-bth=maybe"], 'invalid value "maybe" for flag -bth: expected true or false'),
    ],
)
def test_usage_errors(meme: Path, arguments: list[str], problem: str) -> None:
    done = run(meme, *arguments)
    errors = done.stderr.splitlines()
    assert (done.returncode, errors[0], len(done.stdout.splitlines())) == (2, problem, 2)
    assert errors[1].startswith("usage: meme")


def test_refused_memory(meme: Path) -> None:
    done = run(meme, "-bs", "8000000000G")
    assert done.returncode == 1
    assert re.fullmatch(
        r"allocate a byte array of \d+ bytes: .*\(ENOMEM\); use fewer \(-bc\) or smaller \(-bs\) arrays\n",
        done.stderr,
    )


# Memory


def test_arrays_are_resident_and_never_share_a_mapping(meme: Path) -> None:
    size_bytes = 2 * MIB
    with Running(meme, "-bc=4", f"-bs={size_bytes}", "-brc=0", "-bwc=0") as running:
        arrays = [running.next_array() for _ in range(4)]
        running.next_match(re.compile("press enter to exit..."))
        mappings = {mapping.start: mapping for mapping in read_mappings(running.pid)}
        ends = {mapping.end: mapping for mapping in mappings.values()}
        for start in arrays:
            mapping = mappings[start]
            assert (mapping.end - start, mapping.permissions) == (size_bytes, "rw-p")
            assert mapping.bytes_of("Rss") == size_bytes
            assert mappings[mapping.end].permissions == "---p"
            assert ends[start].permissions == "---p"


def test_huge_pages_are_asked_for_on_aligned_arrays(meme: Path) -> None:
    if not Path("/sys/kernel/mm/transparent_hugepage").exists():
        pytest.skip("this kernel has no transparent huge pages")
    with Running(meme, "-bth", "-bc=2", "-bs=6M", "-brc=0", "-bwc=0") as running:
        for start in [running.next_array(), running.next_array()]:
            mapping = mapping_at(running.pid, start)
            assert start % HUGE_PAGE_BYTES == 0
            assert "hg" in mapping.fields["VmFlags"].split()


def test_all_of_the_part_that_is_read_is_referenced_and_nothing_else(meme: Path) -> None:
    arguments = ["-bc=2", "-bs=64M", "-brs=16M", "-bro=8M", "-bwc=0", "-bri=20ms"]
    with Running(meme, *arguments) as running:
        active, idle = running.next_array(), running.next_array()
        running.next_match(WAKE)
        Path(f"/proc/{running.pid}/clear_refs").write_text("1\n")
        referenced_bytes = 0
        for _ in range(100):  # the first rounds may find their translations in the TLB
            running.next_match(WAKE)
            referenced_bytes = mapping_at(running.pid, active).bytes_of("Referenced")
            if referenced_bytes >= 16 * MIB:
                break
        assert 16 * MIB <= referenced_bytes <= 16 * MIB + HUGE_PAGE_BYTES
        assert mapping_at(running.pid, idle).bytes_of("Referenced") == 0


def read_memory(pid: int, start: int, size_bytes: int) -> bytes:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(start)
        return memory.read(size_bytes)


@pytest.mark.parametrize("portions", [1, 7])
def test_every_byte_of_the_written_part_is_written_and_no_other(meme: Path, portions: int) -> None:
    size_bytes, offset, written = 64 << 10, 4099, 20005
    arguments = [
        f"-bs={size_bytes}",
        "-brc=0",
        f"-bwo={offset}",
        f"-bws={written}",
        f"-bwp={portions}",
        "-bwi=1h",
    ]
    with Running(meme, *arguments, "-p=1ns") as running:
        start = running.next_array()
        running.next_match(SPEED)  # the first round is over
        contents = read_memory(running.pid, start, size_bytes)
    untouched = (b"\1" + bytes(PAGE_BYTES - 1)) * (size_bytes // PAGE_BYTES)
    assert contents[:offset] == untouched[:offset]
    assert contents[offset : offset + written] == b"\1" * written
    assert contents[offset + written :] == untouched[offset + written :]


def test_each_round_writes_new_contents(meme: Path) -> None:
    with Running(meme, "-bs=4k", "-brc=0", "-bwi=1ms", "-p=1ns") as running:
        start = running.next_array()
        seen = set()
        for _ in range(50):
            running.next_match(SPEED)
            seen |= set(read_memory(running.pid, start, 1))
        assert len(seen) > 10


def test_example_of_read_both_written_and_idle_memory(meme: Path) -> None:
    with Running(meme, "-bs", "1G", "-brs", "256M", "-bws", "256M", "-bwo", "128M") as running:
        array = running.next_array()
        starts = [running.next_match(START) for _ in range(2)]
        assert [(start[2], *window_of(start, array)) for start in starts] == [
            ("read", 0, 256 * MIB),
            ("write", 128 * MIB, 384 * MIB),
        ]


# Rounds


def round_windows(program: Path, rounds: int, *arguments: str) -> list[tuple[int, int]]:
    """Return the windows of the first rounds that are announced, as half-open offsets in the array."""
    with Running(program, *arguments, "-bwc=0", "-bri=1ms") as running:
        array = running.next_array()
        return [window_of(running.next_match(WAKE), array) for _ in range(rounds)]


@pytest.mark.parametrize(
    ("arguments", "windows"),
    [
        (["-brs=1G"], [(0, 65536)] * 3),
        (["-brs=4k", "-bro=68k"], [(4096, 8192)] * 2),
        (["-brs=8k", "-brod=24k"], [(0, 8192), (24576, 32768), (49152, 57344), (8192, 16384)]),
        (["-brs=8k", "-brod=-24k"], [(0, 8192), (40960, 49152), (16384, 24576), (57344, 65536)]),
        (["-brs=8k", "-bro=60k"], [(61440, 65536)]),
        (
            ["-brs=24k", "-brod=60k"],
            [(0, 24576), (61440, 65536), (57344, 65536), (53248, 65536), (49152, 65536)],
        ),
        (["-brs=40k", "-brsd=16k"], [(0, 40960), (0, 57344), (0, 65536), (0, 65536)]),
        (["-brs=1G", "-brsd=-24k"], [(0, 65536), (0, 40960), (0, 16384)]),
        (["-brs=0", "-brsd=4k"], [(0, 4096), (0, 8192)]),
        (["-brs=8k", "-brod=9223372036854775807", "-brsd=-9223372036854775807"], [(0, 8192)]),
    ],
)
def test_windows_of_the_rounds(meme: Path, arguments: list[str], windows: list[tuple[int, int]]) -> None:
    assert round_windows(meme, len(windows), "-bs=64k", *arguments) == windows


def test_rounds_are_numbered_and_announced_for_each_exerciser(meme: Path) -> None:
    with Running(meme, "-bs=64k", "-bri=1ms", "-bwi=1ms") as running:
        rounds: dict[str, list[int]] = {"1": [], "2": []}
        while min(map(len, rounds.values())) < 5:
            wake = running.next_match(WAKE)
            rounds[wake[1]].append(int(wake[2]))
    for numbers in rounds.values():
        assert numbers == list(range(1, len(numbers) + 1))


def test_unpaced_rounds_are_not_announced_but_measured(meme: Path) -> None:
    with Running(meme, "-bs=64k", "-p=1ms", "-brp=2") as running:
        running.next_match(START)
        running.next_match(START)
        lines = list(islice(running.lines(), 20))
    speeds = [found for line in lines if (found := SPEED.fullmatch(line))]
    assert {speed[1] for speed in speeds} <= {"1", "2"}
    assert sum(line.startswith("portion order:") for line in lines) <= 1
    assert len(speeds) >= len(lines) - 2


def test_portions_come_in_a_new_random_order_each_round(meme: Path) -> None:
    pattern = re.compile(r"portion order: \[([\d ]+)\]")
    with Running(meme, "-bs=64k", "-bwc=0", "-brp=16", "-bri=1ms") as running:
        orders = [[int(text) for text in running.next_match(pattern)[1].split()] for _ in range(20)]
    assert all(sorted(order) == list(range(16)) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders)


def test_more_portions_than_bytes(meme: Path) -> None:
    assert run_well(meme, "-bs=10", "-brp=100", "-bwp=100", "-ttl=5ms")[-1] == "stop exerciser 2"


@pytest.mark.parametrize(("readers", "writers", "threads"), [(0, 0, 1), (2, 1, 4), (9, 9, 7)])
def test_one_thread_for_each_exerciser(meme: Path, readers: int, writers: int, threads: int) -> None:
    arguments = ["-bc=3", "-bs=64k", f"-brc={readers}", f"-bwc={writers}", "-bri=1h", "-bwi=1h"]
    with Running(meme, *arguments) as running:
        running.next_match(re.compile("press enter to exit..."))
        assert len(os.listdir(f"/proc/{running.pid}/task")) == threads


def test_nothing_is_started_for_nothing_to_touch(meme: Path) -> None:
    assert not any(START.fullmatch(line) for line in run_well(meme, "-bs=4k", "-brs=0", "-bws=0", "-ttl=1"))


# Arrays over time


def test_arrays_are_added(meme: Path) -> None:
    with Running(meme, "-bs=64k", "-brc=2", "-bwc=0", "-bcd=2/5ms") as running:
        arrays = [running.next_array() for _ in range(5)]
        running.type_text("\n")
        status, _, stderr = running.end()
    assert (status, stderr, len(set(arrays))) == (0, "", 5)


def test_newest_arrays_are_freed_and_their_exercisers_stop(meme: Path) -> None:
    with Running(meme, "-bc=2", "-bs=64k", "-brc=1", "-bwc=2", "-bcd=-1/5ms") as running:
        arrays = [running.next_array() for _ in range(2)]
        tail = list(islice(running.lines(), 9))
        assert tail[3:] == [
            "press enter to exit...",
            "freeing 1 byte arrays",
            "stop exerciser 3",
            "freeing 1 byte arrays",
            "stop exerciser 1",
            "stop exerciser 2",
        ]
        assert running.next_match(re.compile("freeing 0 byte arrays"))
        assert not {mapping.start for mapping in read_mappings(running.pid)} & set(arrays)


def test_adding_and_freeing_at_their_own_times(meme: Path) -> None:
    changes = re.compile("(creating|freeing) (\\d+) byte arrays")
    with Running(meme, "-bc=0", "-bs=4k", "-bcd=1/2ms,-3/50ms") as running:
        seen = [running.next_match(changes).groups() for _ in range(40)]
    assert seen[:2] == [("creating", "0"), ("creating", "1")]
    assert ("freeing", "3") in seen


# The end


def test_enter_ends_it_and_other_input_does_not(meme: Path) -> None:
    with Running(meme, "-bs=64k", "-bri=1ms", "-bwc=0") as running:
        running.next_match(re.compile("press enter to exit..."))
        running.type_text("quit")
        for _ in range(5):
            running.next_match(WAKE)
        running.type_text("\n")
        status, stdout, stderr = running.end()
    assert (status, stdout.splitlines()[-1], stderr) == (0, "stop exerciser 1", "")


def rounds_before_signal(command: Path, arguments: Sequence[str], stdin: int) -> int:
    """Return how meme ended, by SIGTERM after a few rounds that follow the invitation to press Enter."""
    with Running(command, *arguments, stdin=stdin) as running:
        running.next_match(re.compile("press enter to exit..."))
        for _ in range(10):
            running.next_match(WAKE)
        return running.end(signal.SIGTERM)[0]


def test_runs_on_at_the_end_of_input(meme: Path) -> None:
    arguments = ["-bs=64k", "-bri=1ms", "-bwc=0"]
    assert rounds_before_signal(meme, arguments, subprocess.DEVNULL) == -signal.SIGTERM


def test_runs_on_without_an_input(meme: Path) -> None:
    script = f"exec '{meme}' -bs=64k -bri=1ms -bwc=0 <&-"
    assert rounds_before_signal(Path("/bin/sh"), ["-c", script], subprocess.DEVNULL) == -signal.SIGTERM


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_the_middle_of_a_round(meme: Path, signal_number: signal.Signals) -> None:
    with Running(meme, "-bs=256M", "-p=1ns") as running:
        running.next_match(SPEED)
        assert running.end(signal_number)[0] == -signal_number


def test_time_to_live_needs_no_enter(meme: Path) -> None:
    lines = run_well(meme, "-bs=64k", "-bri=1h", "-bwi=1h", "-ttl=20ms")
    assert "press enter to exit..." not in lines
    assert lines[-2:] == ["stop exerciser 1", "stop exerciser 2"]
