"""What a valid configuration asks for and this machine lacks: weak trackers, and who clears accessed bits."""

import pytest

from memtierd import check
from memtierd.config import load_text
from memtierd.linux.probe import Feature, Features
from memtierd.model import MachineFacts, NodeFacts

NAMES = ("idlepage", "softdirty", "referenced", "pagemap_pfn")
CONNECTIONS = ("damon_sysfs", "damon_debugfs", "damon_tracefs", "damon_bpftrace", "damon_perf")
MACHINE = MachineFacts((NodeFacts(0, 1000, 900, has_cpu=True, distances={0: 10}),), 10, 10)
DAMON = "{name: damon, config: {nrkdamonds: 1}}"
POLICY = "policy:\n  name: heat\n  config:\n    pids: [5]\n    heatnumas: {0: [0]}\n"
DISTURBED = "a kdamond runs; idle memory may be misjudged"


def warnings(tracker: str, works: str) -> list[str]:
    """Return what is said of a policy with this tracker where these features work."""
    features = tuple(Feature(name, name in works.split(), f"{name} is off") for name in (*NAMES, *CONNECTIONS))
    config = load_text(POLICY + (f"    tracker: {tracker}\n" if tracker else ""), "case.yaml")
    assert config.policy is not None
    return check.warnings(config.policy, MACHINE, Features(features, thp_mode="none", disturbs=("a kdamond runs",)))


@pytest.mark.parametrize(
    ("tracker", "works", "said"),
    [
        ("{name: finder}", "", []),
        ("{name: finder, config: {pagemapbitsoftdirty: true}}", "", ["tracker softdirty does not work here"]),
        ("{name: stub}", "", []),
        ("{name: softdirty}", "softdirty", []),
        ("{name: softdirty, config: {trackreferenced: true}}", "softdirty", [DISTURBED]),
        ("{name: idlepage}", "idlepage", [DISTURBED]),
        ("{name: idlepage}", "", ["tracker idlepage does not work here: idlepage is off", DISTURBED]),
        ("", "idlepage", [DISTURBED]),
        ("", "softdirty", []),
        ("", "", ["tracker auto does not work here: none of idlepage"]),
        (DAMON, "damon_sysfs damon_tracefs", [DISTURBED]),
        (DAMON, "", ["tracker damon does not work here: damon_sysfs is off", DISTURBED]),
        (
            "{name: damon, config: {nrkdamonds: 1, connection: perf -x}}",
            "damon_sysfs damon_tracefs",
            ["connection perf does not work here: damon_perf is off", DISTURBED],
        ),
        (
            "{name: multi, config: {trackers: [{name: finder}, {name: softdirty}, {name: softdirty}]}}",
            "",
            ["tracker softdirty does not work here: softdirty is off"],
        ),
        ("{name: multi, config: {trackers: [{name: finder}, {name: auto}]}}", "idlepage", [DISTURBED]),
    ],
)
def test_what_the_tracker_lacks_is_said_once(tracker: str, works: str, said: list[str]) -> None:
    found = warnings(tracker, works)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))
