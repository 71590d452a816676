"""Lasting conditions: said once, withdrawn once, and dated."""

import pytest

from memtierd.conditions import Conditions, Held


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
    assert caplog.messages == ["full", "denied", "slow", "no longer: denied", "no longer: full"]


def test_one_that_comes_back_is_dated_anew() -> None:
    clock = Clock()
    conditions = Conditions(clock)
    for at_ns, texts in ((0, {"full"}), (1, set()), (2, {"full"})):
        clock.now_ns = at_ns
        conditions.hold("plan", texts)
    assert conditions.all == (Held("plan", "full", 2),)
