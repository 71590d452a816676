"""The command health."""

import json
import os

from memtierd.conditions import Held
from tests.unit.prompt.prompt_fakes import EPOCH_NS, FakeDaemon, Prompt


def test_parts_conditions_trackers_and_connections_are_told_of() -> None:
    daemon = FakeDaemon()
    daemon.held = [Held("plan", "node 3 is full", EPOCH_NS)]
    prompt = Prompt(daemon)
    prompt.now_s = 75
    rows = json.loads(prompt.good("health -f json"))
    by_name = {(row["kind"], row["name"]): row for row in rows}
    assert by_name["part", "policy"]["state"] == "stopped"
    assert by_name["condition", "plan"] == {
        "kind": "condition",
        "name": "plan",
        "state": "degraded",
        "since_s": "75.0",
        "detail": "node 3 is full",
    }
    assert by_name["tracker", "softdirty"]["state"] == "works"
    assert by_name["connection", "tracefs"]["state"] == "works"


def test_it_is_readable() -> None:
    lines = Prompt(FakeDaemon()).good("health").splitlines()
    assert lines[0] == "table: health"
    assert lines[1].split() == ["kind", "name", "state", "since[s]", "detail"]


def test_it_says_which_process_answers_and_by_which_file() -> None:
    daemon = FakeDaemon()
    (row,) = [row for row in json.loads(Prompt(daemon).good("health -f json")) if row["name"] == "daemon"]
    assert row["detail"] == f"pid {os.getpid()}, no configuration file"
