"""What a routine does at a tick, when the next one is due, and which configurations are refused."""

import pytest

from memtierd.config import structure
from memtierd.errors import ConfigError
from memtierd.routines import StatActionsParams
from memtierd.routines.schedule import Due, next_due_ns
from memtierd.units import MIB, PAGE_BYTES

MB = MIB // PAGE_BYTES


def names(due: Due, swapped_pages: int) -> list[str]:
    return [action.name for action in due.at(swapped_pages)]


def test_the_interval_command_is_due_at_every_tick() -> None:
    due = Due(StatActionsParams(interval_ms=1, interval_command=("a", "b")), 0)
    assert [[action.command for action in due.at(0)] for _ in range(3)] == [[("a", "b")]] * 3


def test_the_pageout_command_is_due_each_time_that_enough_was_swapped_out_since() -> None:
    due = Due(StatActionsParams(interval_ms=1, page_out_mb=3, page_out_command=("p",)), 100 * MB)
    assert [names(due, pages) for pages in (100 * MB, 103 * MB - 1, 103 * MB, 103 * MB)] == [
        [],
        [],
        ["pageoutcommand"],
        [],
    ]
    assert names(due, 110 * MB) == ["pageoutcommand"]
    assert names(due, 112 * MB) == []  # counted from 110, not from 106 or 109
    assert names(due, 113 * MB) == ["pageoutcommand"]


def test_zero_megabytes_never_run_the_pageout_command() -> None:
    due = Due(StatActionsParams(interval_ms=1, interval_command=("i",), page_out_command=("p",)), 0)
    assert names(due, 10**9) == ["intervalcommand"]


def test_both_are_due_in_this_order_and_an_empty_runner_is_exec() -> None:
    params = StatActionsParams(
        interval_ms=1, interval_command=("i",), page_out_command=("p",), page_out_mb=1, page_out_command_runner=""
    )
    assert [(action.name, action.runner) for action in Due(params, 0).at(MB)] == [
        ("intervalcommand", "exec"),
        ("pageoutcommand", "exec"),
    ]


@pytest.mark.parametrize(
    ("now_ns", "expected"), [(100, (110, 0)), (109, (110, 0)), (110, (120, 1)), (119, (120, 1)), (135, (140, 3))]
)
def test_ticks_stay_in_step_and_missed_ones_are_not_made_up(now_ns: int, expected: tuple[int, int]) -> None:
    assert next_due_ns(100, now_ns, 10) == expected


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{intervalms: 5}", ["a routine without an action"]),
        ("{intervalms: 5, pageoutcommand: [x]}", ["a routine without an action"]),
        ("{intervalms: 5, pageoutmb: 7}", ["a routine without an action"]),
        ("{intervalcommand: [x]}", ["intervalms: missing key"]),
        ("{intervalms: 0, intervalcommand: [x]}", ["intervalms: got the integer 0"]),
        ("{intervalms: 5, intervalcommand: x}", ["intervalcommand: got the text 'x'"]),
        ("{intervalms: 5, intervalcommand: [x], intervalcommandrunner: sh}", ["intervalcommandrunner: got the text"]),
        ("{intervalms: 5, intervalcommand: [x, y], intervalcommandrunner: memtier-prompt}", ["intervalcommand: 2 tex"]),
        ("{intervalms: 5, intervalcommand: [x], pageoutmb: -1}", ["pageoutmb: got the integer -1"]),
    ],
)
def test_configurations_that_are_refused(text: str, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        structure("routine", "statactions", text, "x")
    assert len(raised.value.problems) == len(problems)
    for problem, expected in zip(raised.value.problems, problems, strict=True):
        assert f": {expected}" in problem
