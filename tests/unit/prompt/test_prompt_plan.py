"""plan: the report by process and node, why memory stays, and the JSON form that scripts read."""

import json
from typing import Any

import numpy as np
import pytest

from memtierd import policies
from memtierd.model import SWAP_NODE, MoveReport, Outcome, ProcessKey
from memtierd.placement.plan import Obstacle
from memtierd.policies.age import AgeParams
from memtierd.prompt.plan_report import explain_stay, report_on
from memtierd.prompt.region_rows import OUTCOME_NAMES
from memtierd.units import PAGE_BYTES
from tests.unit.prompt.prompt_fakes import BASE, EPOCH_NS, KEY, REGION_BYTES, FakeDaemon, Prompt, S, process_scan, scan

OTHER = ProcessKey(43, 9)
AGE = AgeParams(idle_duration_ms=5000, idle_numas=(1,), active_duration_ms=8000, active_numas=(0,), swap_out_ms=20_000)
MB = 1 << 20


@pytest.fixture
def daemon() -> FakeDaemon:
    """Return a daemon with a process on node 0, of three regions two idle, and one on node 1 that is in use."""
    daemon = FakeDaemon(AGE, swap_total_pages=1 << 20)
    for second in range(1, 12):
        daemon.reconciler.observe(
            scan(
                process_scan([9, 0, 0], second, primed=second > 1),
                process_scan([9], second, OTHER, name="busy", primed=second > 1, on_node=1),
            )
        )
    daemon.reconciler.decide(EPOCH_NS + 11 * S, daemon.machine())
    return daemon


def document(prompt: Prompt, flags: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(prompt.good(f"plan -f json {flags}"))
    return found


def test_json_has_all_that_moves_by_process_and_node(prompt: Prompt, daemon: FakeDaemon) -> None:
    daemon.dry_run, daemon.tracker_name = True, "softdirty"
    found = document(prompt)
    nothing = dict.fromkeys(
        ("promote_bytes", "demote_bytes", "sideways_bytes", "swap_out_bytes", "arrive_bytes", "stay_bytes"), 0
    )
    assert found == {
        "version": 1,
        "policy": "age",
        "tracker": "softdirty",
        "dry_run": True,
        "observed_s": None,
        "scans": 11,
        "bandwidth_mb_per_s": 100,
        "estimated_s": 0.06,
        "totals": {
            "tracked_bytes": 8 * MB,
            "swapped_bytes": 0,
            "promote_bytes": 2 * MB,
            "demote_bytes": 4 * MB,
            "sideways_bytes": 0,
            "swap_out_bytes": 0,
            "stay_bytes": 0,
            "right_bytes": 2 * MB,
            "anywhere_bytes": 0,
            "undecided_bytes": 0,
            "move_bytes": 6 * MB,
        },
        "processes": [
            {
                "pid": 42,
                "name": "meme",
                "node": "0",
                "present_bytes": 6 * MB,
                **nothing,
                "demote_bytes": 4 * MB,
            },
            {"pid": 42, "name": "meme", "node": "1", "present_bytes": 0, **nothing, "arrive_bytes": 4 * MB},
            {"pid": 43, "name": "busy", "node": "0", "present_bytes": 0, **nothing, "arrive_bytes": 2 * MB},
            {
                "pid": 43,
                "name": "busy",
                "node": "1",
                "present_bytes": 2 * MB,
                **nothing,
                "promote_bytes": 2 * MB,
            },
        ],
        "moves": [
            {
                "pid": 42,
                "name": "meme",
                "start": f"{BASE + REGION_BYTES:x}",
                "end": f"{BASE + 3 * REGION_BYTES:x}",
                "regions": 2,
                "move_bytes": 4 * MB,
                "source": "0",
                "target": "1",
                "direction": "demote",
                "state": "idle",
                "reason": "idle 10.0 s ≥ 5 s",
            },
            {
                "pid": 43,
                "name": "busy",
                "start": f"{BASE:x}",
                "end": f"{BASE + REGION_BYTES:x}",
                "regions": 1,
                "move_bytes": 2 * MB,
                "source": "1",
                "target": "0",
                "direction": "promote",
                "state": "active",
                "reason": "active 9.0 s ≥ 8 s",
            },
        ],
        "stays": [],
        "notes": [],
    }


def test_of_one_process_only_its_own_counts(prompt: Prompt) -> None:
    found = document(prompt, "-pid 43")
    assert {row["pid"] for row in (*found["processes"], *found["moves"])} == {43}
    assert (found["totals"]["tracked_bytes"], found["totals"]["move_bytes"]) == (2 * MB, 2 * MB)
    assert prompt.bad("plan -pid 7 -f json") == "plan: pid 7 is not tracked"


def test_swapping_out_is_told_apart_and_arrives_in_swap(prompt: Prompt, daemon: FakeDaemon) -> None:
    reconciler = daemon.reconciler
    reconciler.observe(scan(process_scan([9, 0, 0], 30)))
    reconciler.decide(EPOCH_NS + 30 * S, daemon.machine())
    found = document(prompt, "-pid 42")
    assert (found["totals"]["swap_out_bytes"], found["totals"]["demote_bytes"]) == (4 * MB, 0)
    assert [row["direction"] for row in found["moves"]] == ["swap_out"]
    arrived = {row["node"]: row["arrive_bytes"] for row in found["processes"]}
    assert arrived["swap"] == 4 * MB


def test_what_stays_is_told_with_its_reason(prompt: Prompt, daemon: FakeDaemon) -> None:
    daemon.reconciler.set_policy(policies.build(AgeParams(idle_duration_ms=5000, idle_numas=(7,))))
    for second in (12, 13):
        daemon.reconciler.decide(EPOCH_NS + second * S, daemon.machine())
    assert not len(daemon.reconciler.plan)
    (row,) = document(prompt)["stays"]
    assert row == {
        "pid": 42,
        "name": "meme",
        "source": "0",
        "wanted": "7",
        "state": "idle",
        "regions": 2,
        "stay_bytes": 4 * MB,
        "why": "no_such_node",
        "explanation": "none of the wanted nodes is online with memory",
    }
    lines = prompt.good("plan -all").splitlines()
    assert lines[2] == (
        "stays: pid 42 (meme): 4 MB in 2 regions on node 0, wanted on node 7, idle:"
        " none of the wanted nodes is online with memory"
    )
    assert lines[-2:] == [
        "total: nothing to move",
        "tracked: 0 B in swap, 8 MB in memory: 0 B moves, 4 MB stays, 0 B is where it belongs, 4 MB may be anywhere,"
        " 0 B is undecided",
    ]


def test_every_page_that_lies_wrong_either_moves_or_stays(daemon: FakeDaemon) -> None:
    """From a plan, through the mover's hands, to a failure and to what no scan has seen yet."""
    reconciler = daemon.reconciler
    plan = reconciler.plan.moves

    def told() -> tuple[dict[str, int], int]:
        report = report_on(reconciler, 100)
        stays: dict[str, int] = {}
        for stay in report.stays:
            stays[stay.why] = stays.get(stay.why, 0) + stay.pages
        totals = report.totals
        assert sum(stays.values()) == totals.stay == sum(flow.stay for flow in report.flows)
        parts = totals.right + totals.anywhere + totals.undecided + totals.stay
        return stays, parts

    stays, parts = told()
    assert (stays, parts + int(plan.move_pages.sum())) == ({}, 4 * 512)
    reconciler.enqueue(plan.row, EPOCH_NS + 11 * S)
    stays, _ = told()
    assert stays == {"moving": 3 * 512}
    for outcome, region in ((Outcome.BUSY, 1), (Outcome.MOVED, 2)):
        outcomes = np.zeros((1, len(Outcome)), np.uint64)
        outcomes[0, outcome] = 512
        start = np.array([BASE + region * REGION_BYTES], np.uint64)
        reconciler.report(MoveReport(KEY, 1, start, np.array([512], np.uint32), outcomes), EPOCH_NS + 12 * S)
    reconciler.decide(EPOCH_NS + 12 * S, daemon.machine())
    stays, parts = told()
    assert (stays, parts) == ({"busy": 512, "moved": 512, "moving": 512}, 4 * 512)


def test_every_reason_has_words() -> None:
    for name in (*OUTCOME_NAMES, "moving", "moved"):
        is_success = name in {"none", "moved", "already_there", "not_present"} or name.startswith("code")
        if not is_success:
            assert explain_stay(name) != name
    assert explain_stay("no_room") != explain_stay("target_full")
    assert len(Obstacle) == 9, "a new obstacle needs a line in docs/plan.md"


def test_all_for_people(prompt: Prompt) -> None:
    lines = prompt.good("plan -all").splitlines()
    assert lines[0] == "plan of policy age, tracker none, 11 scans"
    assert lines[2].startswith("moves: pid 42 (meme) ")
    assert lines[5] == "table: plan by process and node"
    assert lines[7].split() == ["42", "meme", "0", "6.0", "0.0", "4.0", "0.0", "0.0", "0.0", "0.0"]
    assert lines[-2] == "total: 2 MB promoted, 4 MB demoted; 0.1 s at 100 MB/s"


def test_pages_and_nodes_of_the_report_are_whole(daemon: FakeDaemon) -> None:
    report = report_on(daemon.reconciler, 1)
    assert report.estimated_s == report.totals.move * PAGE_BYTES / MB
    assert {flow.node for flow in report.flows} <= {0, 1, SWAP_NODE}


def test_a_daemon_that_tracks_nothing_has_a_report(prompt: Prompt, daemon: FakeDaemon) -> None:
    empty = Prompt(FakeDaemon())
    found = json.loads(empty.good("plan -f json"))
    assert (found["processes"], found["moves"], found["stays"]) == ([], [], [])
    assert set(found["totals"].values()) == {0}
