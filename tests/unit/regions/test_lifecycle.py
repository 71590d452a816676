"""The compiled tables say what the declared machines do, for every pair of state and event."""

import re

import numpy as np
import pytest
from transitions import MachineError

from memtierd.errors import IllegalTransitionError
from memtierd.model import U8
from memtierd.regions.lifecycle import (
    BACKOFF,
    ILLEGAL,
    MISPLACED,
    NOTHING,
    PLACEMENT,
    QUEUED,
    SETTLED,
    UNKNOWN,
    UNSEEN,
    CompiledMachine,
    Declaration,
    age_activity,
    choice_activity,
    compile_machine,
    heat_activity,
    stub_activity,
)

MACHINES = {
    "age": age_activity(),
    "heat 1": heat_activity(1),
    "heat 4": heat_activity(4),
    "heat 10": heat_activity(10),
    "choice": choice_activity("ratio"),
    "stub": stub_activity(),
    "placement": PLACEMENT,
}
every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())


def codes(*values: int) -> U8:
    """Return a column of codes."""
    return np.array(values, np.uint8)


@every_machine
def test_every_pair_steps_as_the_declared_machine_does(machine: CompiledMachine) -> None:
    names = machine.declaration
    model = names.machine()
    illegal = 0
    for event_code, event in enumerate(names.events):
        for state_code, state in enumerate(names.states):
            model.set_state(state)
            states, events = codes(state_code), codes(event_code)
            try:
                model.trigger(event)
            except MachineError:
                illegal += 1
                with pytest.raises(IllegalTransitionError, match=f"(?s)row 0 .*{event!r}.*{state!r}"):
                    machine.step(states, events)
            else:
                assert names.states[machine.step(states, events)[0]] == model.state, (event, state)
    assert illegal == int((machine.table == ILLEGAL).sum())


@every_machine
def test_no_pair_is_declared_twice_and_all_names_are_known(machine: CompiledMachine) -> None:
    names = machine.declaration
    pairs = [(event, state) for event, states, _ in names.moves for state in states]
    pairs += [(event, state) for event, states in names.ignored for state in states]
    assert len(pairs) == len(set(pairs))
    assert {event for event, _ in pairs} == set(names.events)
    assert {state for _, state in pairs} | {to for _, _, to in names.moves} == set(names.states)


@every_machine
def test_every_state_can_be_reached_and_only_gone_is_final(machine: CompiledMachine) -> None:
    reached, new = {0}, {0}
    while new:
        new = {int(after) for state in new for after in machine.table[:, state]} - {ILLEGAL} - reached
        reached |= new
    assert reached == set(range(len(machine.declaration.states)))
    gone = machine.state("gone")
    for state in range(len(machine.declaration.states)):
        leaves = set(machine.table[:, state].tolist()) - {ILLEGAL, state}
        assert bool(leaves) == (state != gone)


@every_machine
def test_nothing_changes_nothing(machine: CompiledMachine) -> None:
    states = np.arange(len(machine.declaration.states), dtype=np.uint8)
    events = np.full(len(states), NOTHING, np.uint8)
    assert machine.declaration.events[NOTHING] == "nothing"
    assert machine.step(states, events).tolist() == states.tolist()


@every_machine
def test_what_is_unmapped_is_gone(machine: CompiledMachine) -> None:
    living = codes(*(code for code, state in enumerate(machine.declaration.states) if state != "gone"))
    events = np.full(len(living), machine.event("unmapped"), np.uint8)
    assert set(machine.step(living, events).tolist()) == {machine.state("gone")}


@every_machine
def test_the_table_cannot_be_changed(machine: CompiledMachine) -> None:
    with pytest.raises(ValueError, match="read-only"):
        machine.table[0, 0] = 1


def test_codes_that_other_modules_use() -> None:
    states = PLACEMENT.declaration.states
    assert [states[code] for code in (UNSEEN, SETTLED, MISPLACED, QUEUED, BACKOFF)] == list(states[:5])
    assert states[:5] == ("unseen", "settled", "misplaced", "queued", "backoff")
    assert all(m.declaration.states[UNKNOWN] == "unknown" for name, m in MACHINES.items() if name != "placement")


def test_a_column_steps_row_by_row_and_the_first_illegal_row_is_named() -> None:
    event, state = PLACEMENT.event, PLACEMENT.state
    states = codes(UNSEEN, QUEUED, QUEUED, MISPLACED)
    events = codes(event("observed"), event("failed"), NOTHING, event("enqueue"))
    assert PLACEMENT.step(states, events).tolist() == [state("settled"), state("backoff"), QUEUED, QUEUED]
    events[1:3] = event("enqueue")
    with pytest.raises(IllegalTransitionError, match=re.escape("row 1 ")):
        PLACEMENT.step(states, events)


def test_an_empty_column_steps_to_an_empty_column() -> None:
    assert PLACEMENT.step(codes(), codes()).tolist() == []


def test_codes_of_the_largest_machine_fit_their_types() -> None:
    classes = 240
    machine = heat_activity(classes)
    hottest = machine.state(f"heat_{classes - 1}")
    assert machine.step(codes(hottest, UNKNOWN), codes(machine.event("unmapped"), hottest)).tolist() == [
        machine.state("gone"),
        hottest,
    ]
    assert len(machine.declaration.states) < ILLEGAL
    assert machine.table.size <= np.iinfo(np.uint16).max


def test_a_machine_compiles_to_the_rules_that_it_declares() -> None:
    lamp = Declaration(
        "lamp", ("off", "on"), ("nothing", "press"), (("press", ("off",), "on"),), (("nothing", ("off", "on")),)
    )
    assert compile_machine(lamp).table.tolist() == [[0, 1], [1, ILLEGAL]]
