"""Comparing configurations, and saying what differs."""

from memtierd import config
from memtierd.config.compare import Change, changes, values

BASE = """
policy:
  name: age
  config:
    pids: [7]
    idledurationms: 15000
    idlenumas: [2, 3]
    tracker: {name: softdirty, config: {pagesinregion: 256}}
"""


def differences(old: str, new: str) -> list[str]:
    """Return the changes from one text to another, as they are told."""
    return [str(change) for change in changes(config.load_text(old, "a"), config.load_text(new, "b"))]


def test_equal_configurations_differ_in_nothing() -> None:
    assert differences(BASE, BASE) == []
    assert differences(BASE, BASE.replace("idledurationms", "IdleDurationMs")) == []


def test_each_value_is_told_with_its_place() -> None:
    new = BASE.replace("15000", "30000").replace("[2, 3]", "auto").replace("256", "512")
    assert differences(BASE, new) == [
        "policy.tracker.pagesinregion 256 → 512",
        "policy.idledurationms 15000 → 30000",
        "policy.idlenumas [2, 3] → auto",
    ]


def test_a_default_that_is_written_out_is_no_change() -> None:
    assert differences(BASE, BASE + "    mover: {bandwidth: 100}\n") == []


def test_another_part_is_told_with_all_its_values() -> None:
    new = BASE.replace("{name: softdirty, config: {pagesinregion: 256}}", "{name: referenced}")
    told = differences(BASE, new)
    assert "policy.tracker.name softdirty → referenced" in told
    assert "policy.tracker.pagesinregion 256 → (not set)" in told


def test_lists_of_parts_are_told_by_their_number() -> None:
    routine = "routines: [{name: statactions, config: {intervalms: 1000, intervalcommand: [date]}}]\n"
    told = changes(config.load_text(BASE, "a"), config.load_text(BASE + routine, "b"))
    assert Change("routines.0.name", None, "statactions") in told
    assert Change("routines.0.intervalms", None, "1000") in told
    assert Change("routines.0.intervalcommand", None, '["date"]') in told


def test_every_value_has_one_place() -> None:
    paths = [path for path, _ in values(config.load_text(BASE, "a"))]
    assert len(paths) == len(set(paths))
    assert "policy.mover.bandwidth" in paths
    assert "policy.pidwatcher.pids" in paths
