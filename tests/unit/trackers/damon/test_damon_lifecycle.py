"""The life cycle of a kdamond: what is allowed, what changes nothing, and what is a bug."""

import itertools

import pytest
from transitions import MachineError

from memtierd.trackers.damon.lifecycle import KDAMOND, Event, LifeCycle, State

WAYS: dict[State, tuple[Event, ...]] = {
    State.FREE: (),
    State.HELD: (Event.CLAIM,),
    State.RUNNING: (Event.CLAIM, Event.START),
    State.LOST: (Event.CLAIM, Event.TAKE),
}
"""How to get to each state."""
BUGS = {
    *((Event.CLAIM, state) for state in (State.HELD, State.RUNNING, State.LOST)),
    *((Event.START, state) for state in (State.FREE, State.RUNNING, State.LOST)),
    (Event.RELEASE, State.RUNNING),
}


def reached(state: State) -> LifeCycle:
    """Return a life cycle in a state."""
    cycle = LifeCycle()
    for event in WAYS[state]:
        cycle.fire(event)
    return cycle


def test_every_state_can_be_reached() -> None:
    assert {state: reached(state).state for state in State} == {state: state for state in State}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_is_a_rule_or_a_bug(state: State, event: Event) -> None:
    cycle = reached(state)
    if (event, state) in BUGS:
        with pytest.raises(MachineError):
            cycle.fire(event)
        assert cycle.state is state
    else:
        cycle.fire(event)
        after = {name: dest for name, sources, dest in KDAMOND.moves if state.value in sources}
        assert cycle.state.value == after.get(event.value, state.value)


def test_what_is_lost_is_never_started_again() -> None:
    cycle = reached(State.LOST)
    for event in (Event.STOP, Event.END, Event.TAKE):
        cycle.fire(event)
    with pytest.raises(MachineError):
        cycle.fire(Event.START)
    cycle.fire(Event.RELEASE)
    assert cycle.state is State.FREE
