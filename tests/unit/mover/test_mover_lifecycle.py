"""The mover's life cycle is total, and its commands are idempotent."""

import itertools

import pytest

from memtierd.mover.lifecycle import Event, LifeCycle, State

WAYS = {
    State.STOPPED: (),
    State.IDLE: (Event.START,),
    State.MOVING: (Event.START, Event.WORK),
    State.PAUSED: (Event.START, Event.PAUSE),
}
"""How to get to each state."""


def after(state: State, *events: Event) -> State:
    """Return the state after some events."""
    cycle = LifeCycle()
    for event in (*WAYS[state], *events):
        cycle.fire(event)
    return cycle.state


def test_every_state_can_be_reached() -> None:
    assert {state: after(state) for state in State} == {state: state for state in State}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_an_event_that_comes_twice_changes_nothing_more(state: State, event: Event) -> None:
    assert after(state, event, event) is after(state, event)


def test_only_start_ends_stopped() -> None:
    assert {event for event in Event if after(State.STOPPED, event) is not State.STOPPED} == {Event.START}
    assert all(after(state, Event.STOP) is State.STOPPED for state in State)


def test_only_continue_and_stop_end_a_pause() -> None:
    leaving = {event for event in Event if after(State.PAUSED, event) is not State.PAUSED}
    assert leaving == {Event.CONTINUE, Event.STOP}


def test_only_a_started_mover_that_is_not_paused_moves() -> None:
    assert [state for state in State if after(state, Event.WORK) is State.MOVING] == [State.IDLE, State.MOVING]
    assert after(State.PAUSED, Event.CONTINUE, Event.WORK) is State.MOVING
    assert after(State.MOVING, Event.DONE) is State.IDLE
