"""Setting single values by their paths."""

import pytest

from memtierd import config
from memtierd.config.edits import Edit, parse_edits
from memtierd.effective import Effective
from memtierd.errors import ConfigError

TEXT = """
policy:
  name: age
  config:
    pids: [7]
    idledurationms: 15000
    tracker: {name: softdirty, config: {pagesinregion: 256, trackreferenced: true}}
routines:
  - {name: statactions, config: {intervalms: 1000, intervalcommand: [date]}}
"""


def base() -> Effective:
    loaded = config.load_text(TEXT, "x")
    return Effective(policy=loaded.policy, routines=loaded.routines)


def told(text: str) -> list[str]:
    """Return what differs after the edits."""
    before = base()
    return [str(change) for change in config.changes(before, config.with_edits(before, parse_edits(text)))]


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        told(text)
    return raised.value.problems


@pytest.mark.parametrize(
    ("text", "edits"),
    [
        ("a.b=1", [("a.b", "1")]),
        ("a.b=1,c=2", [("a.b", "1"), ("c", "2")]),
        ("a=[1,2],b={x: 1, y=2}", [("a", "[1,2]"), ("b", "{x: 1, y=2}")]),
        ('a="x,b=3",c=', [("a", '"x,b=3"'), ("c", "")]),
        ("a='x,b=3'", [("a", "'x,b=3'")]),
        ("a=x,y", [("a", "x,y")]),
        (" a = 1 , b = 2 ", [("a", "1"), ("b", "2")]),
        ("a=b=c", [("a", "b=c")]),
    ],
)
def test_edits_are_told_apart(text: str, edits: list[tuple[str, str]]) -> None:
    assert parse_edits(text) == [Edit(*edit) for edit in edits]


@pytest.mark.parametrize("text", ["", "a", "=1", "1=2", "a b=1"])
def test_what_is_no_edit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected PATH=VALUE"):
        parse_edits(text)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("policy.idledurationms=30000", ["policy.idledurationms 15000 → 30000"]),
        ("Policy.Idle_Duration-Ms=30000", ["policy.idledurationms 15000 → 30000"]),
        ("policy.idledurationms=15000", []),
        ("policy.idledurationms=", ["policy.idledurationms 15000 → 0"]),
        ("policy.idlenumas=[2,3]", ["policy.idlenumas [] → [2, 3]"]),
        ("policy.idlenumas=auto", ["policy.idlenumas [] → auto"]),
        ("policy.mover.bandwidth=5", ["policy.mover.bandwidth 100 → 5"]),
        ("policy.mover={bandwidth: 5}", ["policy.mover.bandwidth 100 → 5"]),
        ("policy.tracker.pagesinregion=512", ["policy.tracker.pagesinregion 256 → 512"]),
        ("policy.pidwatcher.pids=[8]", ["policy.pidwatcher.pids [7] → [8]"]),
        ("policy.pids=[8]", ["policy.pidwatcher.pids [7] → [8]"]),
        ("routines.0.intervalms=5", ["routines.0.intervalms 1000 → 5"]),
        (
            "routines.0.intervalcommand=[sh, -c, 'a, b=c']",
            ['routines.0.intervalcommand ["date"] → ["sh", "-c", "a, b=c"]'],
        ),
    ],
)
def test_single_values(text: str, changes: list[str]) -> None:
    assert told(text) == changes


def test_short_forms_name_another_pidwatcher() -> None:
    assert told("policy.cgroups=[/sys/fs/cgroup/a]") == [
        "policy.pidwatcher.name pidlist → cgroups",
        'policy.pidwatcher.cgroups (not set) → ["/sys/fs/cgroup/a"]',
        "policy.pidwatcher.pids [7] → (not set)",
    ]


def test_parts_of_an_option_that_was_off() -> None:
    assert told("policy.maxpressure.io=3") == [
        "policy.maxpressure.memory (not set) → 10.0",
        "policy.maxpressure.io (not set) → 3.0",
        "policy.maxpressure.resumems (not set) → 10000",
    ]


def test_another_part_keeps_what_it_has_a_parameter_for_whatever_the_order_of_edits() -> None:
    assert told("policy.tracker.scanintervalms=300,policy.tracker.name=idlepage") == [
        "policy.tracker.name softdirty → idlepage",
        "policy.tracker.scanintervalms 5000 → 300",
        "policy.tracker.kpageflagsreadahead (not set) → 0",
        "policy.tracker.bitmapreadahead (not set) → 0",
        "policy.tracker.trackreferenced true → (not set)",
    ]


def test_another_policy_keeps_whom_it_watches_and_how() -> None:
    changes = told("policy.name=heat,policy.heatnumas.9=[0],policy.heatnumas.0=[1]")
    assert "policy.name age → heat" in changes
    assert "policy.heatnumas.9 (not set) → [0]" in changes
    assert not any("pidwatcher" in change or "pagesinregion" in change for change in changes)


def test_entries_of_lists() -> None:
    text = "policy.pidwatcher={name: filter, config: {source: {name: proc}, filters: [{minvmrsskb: 5}]}}"
    filtered = config.with_edits(base(), parse_edits(text))
    more = config.with_edits(filtered, parse_edits("policy.pidwatcher.filters.1.not.procexeregexp=x"))
    assert "policy.pidwatcher.filters.1.not.procexeregexp (not set) → x" in [
        str(change) for change in config.changes(filtered, more)
    ]
    fewer = config.with_edits(more, parse_edits("policy.pidwatcher.filters.0="))
    assert fewer.policy is not None
    assert len(fewer.policy.params.pidwatcher.params.filters) == 1


def test_a_routine_is_added_and_all_are_taken_away() -> None:
    changes = told("routines.1.name=statactions,routines.1.intervalms=7,routines.1.intervalcommand=[date]")
    assert "routines.1.intervalms (not set) → 7" in changes
    assert config.with_edits(base(), parse_edits("routines=")).routines == ()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "policy.idledurationms=x",
            ["policy.idledurationms: got the text 'x', expected an integer from 0 to 1000000000000 (ms)"],
        ),
        ("policy.idledurationms=[", ["policy.idledurationms: broken YAML: "]),
        ("policy.idledurationms=!!int 5", ["policy.idledurationms: the tag"]),
        ("policy.bogus=1", ["policy.bogus: unknown key 'bogus', expected one of"]),
        ("policy.config.swapoutms=1", ["policy.config.swapoutms: unknown key 'config', expected"]),
        ("bogus=1", ["bogus: unknown key 'bogus', expected one of"]),
        ("policy.name=bogus", ["policy.name: unknown name 'bogus', expected one of"]),
        ("policy.idledurationms.x=1", ["policy.idledurationms.x: there is nothing below idledurationms"]),
        ("policy.pidwatcher.pids.0=1", ["policy.pidwatcher.pids.0: there is nothing below pids"]),
        ("routines.7.intervalms=1", ["routines.7.intervalms: unknown entry '7', expected a number from 0 to 1"]),
        ("routines.0=1", ["routines.0: the number of a list entry alone"]),
        (
            "routines.1.intervalms=1",
            ["routines.1.intervalms: there is no routine, set its name first", "routines.1.name: "],
        ),
        ("policy.pidwatcher=", ["policy.pidwatcher: missing key"]),
        ("policy=5", ["policy: got the integer 5, expected a mapping with name and config"]),
        ("policy.tracker.name=damon", ["policy.tracker: damon looks at a few pages"]),
    ],
)
def test_every_problem_is_told_by_its_path(text: str, problems: list[str]) -> None:
    found = refused(text)
    assert len(found) == len(problems), found
    for line, begin in zip(found, problems, strict=True):
        assert line.startswith(begin)


def test_all_problems_are_told_at_once() -> None:
    found = refused("policy.bogus=1,policy.swapoutms=-1,policy.tracker.pagesinregion=0,policy.retryms=x")
    assert {line.partition(":")[0] for line in found} == {
        "policy.bogus",
        "policy.swapoutms",
        "policy.tracker.pagesinregion",
        "policy.retryms",
    }


def test_a_default_that_depends_on_another_value_follows_it() -> None:
    text = "policy: {name: demote-idle, config: {pids: [7], idlenumas: [1], intervalms: 4000}}"
    before = Effective(policy=config.load_text(text, "x").policy)
    after = config.with_edits(before, parse_edits("policy.intervalms=8000"))
    assert [str(change) for change in config.changes(before, after)] == [
        "policy.intervalms 4000 → 8000",
        "policy.tracker.scanintervalms 4000 → 8000",
    ]
