"""stats: the summary, the tables and single calls."""

import csv
import io
import json

import numpy as np
import pytest

from memtierd.model import CallReport, MoveReport, Outcome
from memtierd.placement.guards import GuardState
from memtierd.prompt.stats_summary import summary
from memtierd.prompt.stats_tables import TABLES
from memtierd.statistics import MoveCounts, ScanCounts, Statistics
from tests.unit.prompt.prompt_fakes import BASE, EPOCH_NS, KEY, FakeDaemon, Prompt, S, process_scan, scan

GIB_PAGES = 1 << 18


def call(
    name: str = "move_pages", target: int = 0, requested: int = 2560, done: int = 2546, **changes: object
) -> CallReport:
    values: dict[str, object] = {
        "key": KEY,
        "call": name,
        "target": target,
        "requested_pages": requested,
        "done_pages": done,
        "first_address": BASE,
        "returned": 0,
        "errnos": {},
        "at_ns": EPOCH_NS,
    }
    return CallReport(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def statistics(daemon: FakeDaemon) -> Statistics:
    return daemon.reconciler.statistics


def test_the_summary_is_laid_out_as_people_know_it() -> None:
    statistics = Statistics()
    statistics.moves[13788] = MoveCounts(488, 499712, 498848, {0: 149664, 2: 349184}, {})
    statistics.scans[13788] = ScanCounts(
        scans=8, total_pages=13633878, total_ns=1_066_000_000, accessed_pages=0, written_pages=3297476
    )
    assert "\n".join(summary(statistics)) == (
        "move_pages on pid: 13788\n"
        "    calls: 488\n"
        "    requested: 499712 pages (1952 MB)\n"
        "    on target: 498848 pages (1948 MB)\n"
        "        to node 0: 149664 pages (584 MB)\n"
        "        to node 2: 349184 pages (1364 MB)\n"
        "    errors: 0 pages (0 MB)\n"
        "memory scans on pid: 13788\n"
        "    scans: 8\n"
        "    scan time: 1066 ms (133 ms/scan)\n"
        "    scanned: 13633878 pages (1704234 pages/scan, 6657 MB/scan)\n"
        "    accessed: 0 pages (0 pages/scan, 0 MB/scan)\n"
        "    written: 3297476 pages (412184 pages/scan, 1610 MB/scan)"
    )


def test_the_summary_tells_what_was_really_swapped_out(prompt: Prompt, statistics: Statistics) -> None:
    statistics.call(call("process_madvise", -1, 1000, 256, errnos={12: 3}))
    assert prompt.good("stats") == (
        "process_madvise on pid: 42\n"
        "    calls: 1\n"
        "    requested: 1000 pages (3 MB)\n"
        "    swapped out: 256 pages (1 MB)\n"
        "    errors: 3 pages (0 MB)\n"
    )


def test_without_anything_it_says_so(prompt: Prompt) -> None:
    assert prompt.good("stats") == "no scans and no system calls so far\n"


def test_tables_as_txt(prompt: Prompt, statistics: Statistics) -> None:
    statistics.call(call(target=1, requested=GIB_PAGES, done=GIB_PAGES // 4, errnos={2: 14, 16: 3}))
    statistics.call(call(target=3, requested=GIB_PAGES, done=GIB_PAGES // 2))
    statistics.call(call("process_madvise", -1, GIB_PAGES, GIB_PAGES // 8))
    statistics.call(call("process_madvise", -1, GIB_PAGES, 0, returned=-22))
    assert prompt.good("stats -t move_pages_errors,move_pages,process_madvise") == (
        "table: process_madvise syscalls\n"
        "     pid    calls req[pages]  ok[pages]    ok[G] PAGEOUT[G]\n"
        "      42        2     524288     262144    1.000 0.125\n"
        "\n"
        "table: move_pages syscalls\n"
        "     pid    calls req[pages]  ok[pages] moved[G] targetnode:moved[G]\n"
        "      42        2     524288     196608    0.750 1:0.250;3:0.500\n"
        "\n"
        "table: move_pages syscall errors in page statuses\n"
        "     pid    pages  size[G]    errno error\n"
        "      42       14    0.000        2 no such file or directory (ENOENT)\n"
        "      42        3    0.000       16 device or resource busy (EBUSY)\n"
    )


def test_csv_columns_are_where_scripts_look_for_them(prompt: Prompt, statistics: Statistics) -> None:
    statistics.call(call(target=1, requested=GIB_PAGES, done=GIB_PAGES // 4))
    statistics.call(call("process_madvise", -1, GIB_PAGES, GIB_PAGES // 8))
    moved = prompt.good("stats -t move_pages -f csv").splitlines()
    assert moved[-1] == "42,1,262144,65536,0.250000,1:0.250"
    swapped = prompt.good("stats -t process_madvise -f csv").splitlines()
    assert swapped[-1] == "42,1,262144,262144,1.000000,0.125000"


def test_memory_scans(prompt: Prompt, daemon: FakeDaemon) -> None:
    daemon.reconciler.observe(scan(process_scan([0, 0], 1, primed=False)))
    daemon.reconciler.observe(scan(process_scan([256, 0], 2)))
    assert prompt.good("stats -t memory_scans") == (
        "table: memory scans\n"
        "     pid    scans   tot[pages] avg[s]   last max[s]   avg[G]  last[G] a+w[%]  last\n"
        "      42        2         2048  0.100  0.100  0.100    0.004    0.004  12.50 25.00\n"
    )
    (row,) = list(csv.reader(io.StringIO(prompt.good("stats -t memory_scans -f csv"))))[2:]
    assert len(row) == 10
    assert [float(value) for value in row[-2:]] == [12.5, 25.0]


def test_events_are_no_formats_and_csv_quotes_them(statistics: Statistics) -> None:
    statistics.event("100%d, done", EPOCH_NS)
    statistics.event("100%d, done", EPOCH_NS + 3 * S)
    statistics.event("100%d, done", EPOCH_NS + 4 * S)
    table = TABLES["events"](statistics, EPOCH_NS + 5 * S)
    assert [list(column) for column in table.values] == [[3], [2.0], [1.0], ["100%d, done"]]


def test_outcomes_and_json(prompt: Prompt, statistics: Statistics) -> None:
    outcomes = np.zeros((1, len(Outcome)), np.uint64)
    outcomes[0, [Outcome.MOVED, Outcome.DENIED]] = 500, 12
    report = MoveReport(KEY, 1, np.array([BASE], np.uint64), np.array([512], np.uint32), outcomes)
    statistics.report(report)
    (row,) = json.loads(prompt.good("stats -t outcomes,move_pages -f json"))["outcomes"]
    assert (row["pid"], row["moved"], row["denied"], row["busy"]) == (42, 500, 12, 0)


def test_a_format_for_programs_alone_is_all_tables(prompt: Prompt, statistics: Statistics) -> None:
    statistics.event("reload", EPOCH_NS)
    found = json.loads(prompt.good("stats -f json"))
    assert list(found) == list(TABLES)
    assert [row["name"] for row in found["events"]] == ["reload"]
    assert prompt.good("stats -f csv") == prompt.good(f"stats -t {','.join(TABLES)} -f csv")
    assert prompt.good("stats -f txt") == prompt.good("stats"), "people get the summary"


def test_latest_calls(prompt: Prompt, statistics: Statistics) -> None:
    assert prompt.good("stats -lm 42 -le 42") == (
        "no system call on pid 42 so far\nno system call with an error on pid 42 so far\n"
    )
    statistics.call(call(errnos={16: 4, 2: 3}, returned=-1))
    statistics.call(call())
    assert prompt.good("stats -lm 42 -le 42") == (
        "move_pages(pid=42, pagecount=2560, firstpage=7f0000000000 dest=0)"
        " => (return=0 on_dest=2546 on_other=14 [errno:pagecount]=map[])\n"
        "move_pages(pid=42, pagecount=2560, firstpage=7f0000000000 dest=0)"
        " => (return=-1 on_dest=2546 on_other=7 [errno:pagecount]=map[2:3 16:4])\n"
    )


@pytest.mark.parametrize("line", ["stats -t help", "stats -t events -f xml", "stats -lm 0", "stats -dump calls start"])
def test_wrong_usage(prompt: Prompt, line: str) -> None:
    assert prompt.bad(line, status=2).startswith("stats: ")


GUARDS = (
    GuardState("maxpressure.memory", "system", True, 12.5, 10.0, EPOCH_NS, 3, EPOCH_NS, 7),
    GuardState("maxpressure.io", "/sys/fs/cgroup/a\nb", False, None, 20.0),
    GuardState("maxrefault.damping", "regions", False, pauses=2),
)


def test_guards_show_how_they_stand(prompt: Prompt, statistics: Statistics) -> None:
    statistics.guards = GUARDS
    assert prompt.good("stats -t guards") == (
        "table: guards of demotion\n"
        "guard                 state  now[%]  max[%] since[s ago]  times held[regions] scope\n"
        "maxpressure.memory   paused    12.5    10.0          0.0      3             7 system\n"
        "maxpressure.io         open       -    20.0            -      0             0 /sys/fs/cgroup/a\\nb\n"
        "maxrefault.damping     open       -       -            -      2             0 regions\n"
    )
    first, second, _ = json.loads(prompt.good("stats -t guards -f json"))["guards"]
    assert first == {
        "guard": "maxpressure.memory",
        "state": "paused",
        "percent": 12.5,
        "max_percent": 10.0,
        "since_s_ago": 0.0,
        "times": 3,
        "held_regions": 7,
        "scope": "system",
    }
    assert (second["percent"], second["state"]) == ("-", "open")
    rows = list(csv.reader(io.StringIO(prompt.good("stats -t guards -f csv"))))
    assert rows[2] == ["maxpressure.memory", "paused", "12.5", "10.0", "0.0", "3", "7", "system"]


def test_the_summary_has_the_guards(statistics: Statistics) -> None:
    assert summary(statistics) == []
    statistics.guards = GUARDS
    assert summary(statistics) == [
        "guard maxpressure.memory (system):",
        "    demotion: held back, 7 regions held",
        "    now: 12.50 % of at most 10 %",
        "    paused: 3 times",
        "guard maxpressure.io (/sys/fs/cgroup/a\\nb):",
        "    demotion: goes on, 0 regions held",
        "    now: unknown of at most 20 %",
        "    paused: 0 times",
        "guard maxrefault.damping (regions):",
        "    demotion: goes on, 0 regions held",
        "    came back soon: 2 times",
    ]
