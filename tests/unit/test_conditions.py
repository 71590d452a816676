"""Lasting conditions: said once, withdrawn once, and dated."""

import pytest

from memtierd.conditions import CALM_NS, Conditions, Held


class Clock:
    """Time that stands still until it is set."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_each_is_said_when_it_comes_and_when_it_goes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    conditions = Conditions(clock)
    conditions.hold("plan", {"full"})
    clock.now_ns = 5
    conditions.hold("plan", {"full", "denied"})
    conditions.hold("scan", {"slow"})
    assert list(conditions.all) == [Held("plan", "full", 0), Held("plan", "denied", 5), Held("scan", "slow", 5)]
    conditions.hold("plan", ())
    assert list(conditions.all) == [Held("scan", "slow", 5)]
    assert caplog.messages == ["full", "denied", "slow"]
    clock.now_ns += CALM_NS - 1
    conditions.settle()
    assert caplog.messages == ["full", "denied", "slow"]
    clock.now_ns += 1
    conditions.settle()
    conditions.settle()
    assert caplog.messages == ["full", "denied", "slow", "no longer: full", "no longer: denied"]


def test_one_that_comes_and_goes_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    conditions = Conditions(clock)
    conditions.hold("mover", {"full"})
    for _ in range(20):
        clock.now_ns += CALM_NS - 1
        conditions.hold("mover", ())
        assert not conditions.all
        clock.now_ns += CALM_NS - 1
        conditions.hold("mover", {"full"})
        assert list(conditions.all) == [Held("mover", "full", 0)]
    assert caplog.messages == ["full"]


def test_one_that_comes_back_later_is_said_and_dated_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    conditions = Conditions(clock)
    for at_ns, texts in ((0, {"full"}), (1, set()), (CALM_NS + 1, {"full"})):
        clock.now_ns = at_ns
        conditions.hold("plan", texts)
    assert conditions.all == (Held("plan", "full", CALM_NS + 1),)
    assert caplog.messages == ["full", "no longer: full", "full"]
