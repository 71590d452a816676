"""The mover's life cycle is total, and its commands are idempotent."""

import itertools

import pytest

from memtierd.mover.lifecycle import TRANSITIONS, Event, State


def test_every_event_leads_somewhere_from_every_state() -> None:
    assert set(TRANSITIONS) == set(itertools.product(State, Event))


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_an_event_that_comes_twice_changes_nothing_more(state: State, event: Event) -> None:
    once = TRANSITIONS[state, event]
    assert TRANSITIONS[once, event] is once


def test_only_start_ends_stopped() -> None:
    leaving = {event for event in Event if TRANSITIONS[State.STOPPED, event] is not State.STOPPED}
    assert leaving == {Event.START}
    assert all(TRANSITIONS[state, Event.STOP] is State.STOPPED for state in State)


def test_only_continue_and_stop_end_a_pause() -> None:
    leaving = {event for event in Event if TRANSITIONS[State.PAUSED, event] is not State.PAUSED}
    assert leaving == {Event.CONTINUE, Event.STOP}
