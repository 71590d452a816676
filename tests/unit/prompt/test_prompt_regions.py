"""regions and plan: rows of the region table, explanations, and what moves where."""

import csv
import io
import json

import attrs
import numpy as np
import pytest

from memtierd import policies
from memtierd.model import MoveReport, Outcome, ProcessKey
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatmapParams, HeatParams
from memtierd.prompt.context import Context, Memory
from memtierd.prompt.region_why import why
from tests.unit.prompt.prompt_fakes import BASE, EPOCH_NS, KEY, REGION_BYTES, FakeDaemon, Prompt, S, process_scan, scan

OTHER = ProcessKey(43, 9)
AGE = AgeParams(idle_duration_ms=5000, idle_numas=(1,), active_duration_ms=8000, active_numas=(0,))


@pytest.fixture
def daemon() -> FakeDaemon:
    """Return a daemon with three regions: used all the time, used once at 2 s, never used; and a second process."""
    daemon = FakeDaemon(AGE)
    other = process_scan([0], 1, OTHER, name="a\nb")
    daemon.reconciler.observe(scan(process_scan([0, 0, 0], 1, primed=False), other))
    for second in range(2, 12):
        daemon.reconciler.observe(scan(process_scan([9, 4 if second == 2 else 0, 0], second, written=[3, 0, 0])))
    daemon.reconciler.decide(EPOCH_NS + 11 * S, daemon.machine())
    return daemon


def rows(prompt: Prompt, flags: str = "") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(prompt.good(f"regions -f csv {flags}"))))


def test_rows_have_states_ages_nodes_and_place(prompt: Prompt) -> None:
    first, second, third, other = rows(prompt)
    assert first == {
        "pid": "42",
        "start": "7f0000000000",
        "end": "7f0000200000",
        "pages": "512",
        "state": "active",
        "placement": "settled",
        "idle_s": "0.000",
        "active_s": "9.000",
        "accesses": "90",
        "writes": "30",
        "huge[%]": "0",
        "swapped": "0",
        "node0": "512",
        "node1": "0",
        "desired": "0",
        "outcome": "none",
        "failures": "0",
    }
    assert (second["state"], second["placement"], second["idle_s"], second["desired"]) == (
        "idle",
        "misplaced",
        "9.000",
        "1",
    )
    assert third["idle_s"] == "10.000"
    assert (other["pid"], other["state"], other["desired"]) == ("43", "warm", "any")


@pytest.mark.parametrize(
    ("flags", "starts"),
    [
        ("-pid 42", [0, 1, 2]),
        ("-state idle", [1, 2]),
        ("-state idle,warm", [1, 2, 0]),
        ("-state misplaced", [1, 2]),
        ("-state idle,settled", []),
        (f"-ranges {BASE + REGION_BYTES - 1:x}-{BASE + REGION_BYTES + 4096:x} -pid 42", [0, 1]),
        (f"-ranges {BASE:x}+2M,{BASE + 2 * REGION_BYTES:x} -pid 42", [0, 2]),
        (f"-ranges {BASE - REGION_BYTES:x}-{BASE:x}", []),
        ("-top 2", [0, 1]),
        ("-top 1 -pid 43", [0]),
        ("-top 0", []),
        ("-top 99 -pid 42", [0, 1, 2]),
    ],
)
def test_choices(prompt: Prompt, flags: str, starts: list[int]) -> None:
    assert [(int(row["start"], 16) - BASE) // REGION_BYTES for row in rows(prompt, flags)] == starts


def test_json_and_txt(prompt: Prompt) -> None:
    (row,) = json.loads(prompt.good("regions -top 1 -f json"))
    assert (row["start"], row["active_s"], row["accesses"]) == ("7f0000000000", 9.0, 90)
    heading, line = prompt.good("regions -top 1").splitlines()
    assert heading.split() == list(rows(prompt)[0])
    assert line.split()[:4] == ["42", "7f0000000000", "7f0000200000", "512"]
    assert prompt.good("regions -state gone") == "no regions\n"


def test_huge_pages_are_shown(daemon: FakeDaemon, prompt: Prompt) -> None:
    huge_pages = np.array([512, 128, 0], np.uint32)
    daemon.reconciler.observe(scan(attrs.evolve(process_scan([9, 0, 0], 12), huge_pages=huge_pages)))
    assert [row["huge[%]"] for row in rows(prompt, "-pid 42")] == ["100", "25", "0"]
    assert [round(row["huge_percent"]) for row in json.loads(prompt.good("regions -pid 42 -f json"))] == [100, 25, 0]
    told = [line for start in (0, 1, 2) for line in why(daemon.reconciler, BASE + start * REGION_BYTES, 42, 0)]
    assert [line for line in told if "lies on" in line] == [
        "  lies on: node 0: 512 pages, all in huge pages",
        "  lies on: node 0: 512 pages, 25 % of the region in huge pages",
        "  lies on: node 0: 512 pages",
    ]


def test_errors(prompt: Prompt) -> None:
    assert prompt.bad("regions -pid 999") == "regions: pid 999 is not tracked"
    assert prompt.bad("regions -state bogus").startswith("regions: unknown state 'bogus'; there are: unknown, warm,")
    assert prompt.bad("regions -why 1000") == "regions: no tracked region holds the address 1000; regions lists them"
    assert prompt.bad(f"regions -why {BASE:x}") == (
        "regions: several processes have memory at 7f0000000000, choose one with -pid: 42, 43"
    )


def test_heat_is_shown_under_the_heat_policy(daemon: FakeDaemon, prompt: Prompt) -> None:
    params = HeatParams(heatmap=HeatmapParams(heat_classes=4, heat_max=0.01), heat_numas={0: (1,)})
    daemon.reconciler.set_policy(policies.build(params))
    daemon.reconciler.observe(scan(process_scan([1, 9, 0], 12)))
    daemon.reconciler.decide(EPOCH_NS + 12 * S, daemon.machine())
    hottest = rows(prompt, "-top 1")[0]
    assert (hottest["start"], hottest["heat"], hottest["state"]) == (f"{BASE + REGION_BYTES:x}", "0.010000", "heat_3")


def test_why_tells_counts_rule_outcome_and_history(daemon: FakeDaemon) -> None:
    reconciler = daemon.reconciler
    queued = reconciler.plan.moves
    reconciler.enqueue(queued.row, EPOCH_NS + 11 * S)
    outcomes = np.zeros((1, len(Outcome)), np.uint64)
    outcomes[0, Outcome.BUSY] = 512
    start = np.array([BASE + REGION_BYTES], np.uint64)
    report = MoveReport(KEY, 1, start, np.array([512], np.uint32), outcomes)
    reconciler.report(report, EPOCH_NS + 12 * S)
    assert why(reconciler, BASE + REGION_BYTES + 123, 42, EPOCH_NS + 13 * S) == [
        "region 7f0000200000-7f0000400000 (512 pages, 2 MB) of pid 42 (meme)",
        "  counts: 4 pages accessed, 0 of them written, summed over all scans",
        "  use: idle for 9.000 s at the last scan",
        "  lies on: node 0: 512 pages",
        "  state: idle, backoff",
        "  rule: idle 9.0 s ≥ 5 s",
        "  place: node 1",
        "  last move: busy, 1 moves failed in a row, next try in 9.0 s",
        "  changes: 5",
        "    12.000 s ago: placement unseen -> settled (observed)",
        "    2.000 s ago: activity unknown -> idle (idle_due)",
        "    2.000 s ago: placement settled -> misplaced (wrong)",
        "    2.000 s ago: placement misplaced -> queued (enqueue)",
        "    1.000 s ago: placement queued -> backoff (failed)",
    ]


def test_why_of_a_region_that_no_scan_has_judged(daemon: FakeDaemon, prompt: Prompt) -> None:
    daemon.reconciler.observe(scan(process_scan([0], 12, ProcessKey(44, 1), primed=False)))
    lines = prompt.good(f"regions -why {BASE:x} -pid 44").splitlines()
    assert lines[2] == "  use: no scan could tell yet whether it is used"
    assert lines[-1].endswith("placement unseen -> settled (observed)")


def test_plan_in_lines(prompt: Prompt, daemon: FakeDaemon) -> None:
    assert prompt.good("plan") == (
        "pid 42 (meme) 7f0000200000-7f0000600000: 4 MB in 2 regions, node 0 -> node 1, idle: idle 9.0 s ≥ 5 s\n"
    )
    daemon.dry_run = True
    assert prompt.good("plan").startswith("dry run: nothing is moved\npid 42 (meme) ")
    assert prompt.good("plan -pid 43") == "dry run: nothing is moved\nnothing to move\n"


def test_plan_as_table(prompt: Prompt) -> None:
    heading, row = prompt.good("plan -f csv").splitlines()
    assert heading == "pid,name,start,end,regions,pages,source,target,state,reason,obstacle"
    assert row == "42,meme,7f0000200000,7f0000600000,2,1024,0,1,idle,idle 9.0 s ≥ 5 s,"


def test_plan_tells_what_waits_also_when_the_latest_plan_did_not_try_it(daemon: FakeDaemon, prompt: Prompt) -> None:
    daemon.reconciler.set_policy(policies.build(AgeParams(idle_duration_ms=5000, idle_numas=(7,))))
    for second in (12, 13):
        daemon.reconciler.decide(EPOCH_NS + second * S, daemon.machine())
    assert not len(daemon.reconciler.plan)
    (row,) = csv.DictReader(prompt.good("plan -f csv").splitlines())
    assert (row["pages"], row["source"], row["target"]) == ("1024", "0", "7")
    assert row["obstacle"] == "none of the wanted nodes is online with memory"
    assert (
        prompt.good(f"regions -why {BASE + REGION_BYTES:x} -pid 42")
        .splitlines()[7]
        .startswith("  can't move: none of the wanted nodes is online with memory, next try in")
    )
    assert rows(prompt, "-state backoff")[0]["outcome"] == "no_such_node"


def test_plan_of_a_process_that_is_not_tracked(prompt: Prompt) -> None:
    assert prompt.bad("plan -pid 7") == "plan: pid 7 is not tracked"


def test_plan_now_decides_at_once(daemon: FakeDaemon, prompt: Prompt) -> None:
    daemon.reconciler.observe(scan(process_scan([9, 9, 0], 12)))
    (row,) = json.loads(prompt.good("plan -now -f json"))["moves"]
    assert (row["start"], row["regions"]) == (f"{BASE + 2 * REGION_BYTES:x}", 1)


def test_names_of_processes_stay_on_their_line(daemon: FakeDaemon) -> None:
    out = io.StringIO()
    context = Context(daemon, out, Memory(), lambda _: None, lambda: EPOCH_NS)
    context.lines(why(daemon.reconciler, BASE, 43, EPOCH_NS + 13 * S)[:1])
    assert out.getvalue() == "region 7f0000000000-7f0000200000 (512 pages, 2 MB) of pid 43 (a\\nb)\n"
