"""Every state of a region and every way from one to another, declared once and compiled to dense tables.

A region has two state machines.

*Activity* says how its memory is used.  Under the age policy a region starts ``unknown``; from its
first judged scan on it is ``warm`` (neither used all the time nor idle), ``active`` (seen used in
every scan for long enough), ``idle`` (not used for long enough) or ``cold`` (not used for so long that
it may be swapped out).  Under the heat policy it is ``unknown`` and then in one of ``heat_0`` …
``heat_N-1``.  Under the policies ratio and avoid-oom it is ``chosen`` to be moved or ``kept`` where it is,
and under the stub policy it stays ``unknown``.  It ends ``gone`` when it is unmapped or its process exits.

*Placement* says what is being done about where its memory lies: ``unseen`` until a scan that began after
the last move has looked, then ``settled`` or ``misplaced``; ``queued`` while the mover has it;
``backoff`` when moving it failed or is impossible for now.

The rules below are the whole truth.  `transitions` machines are built from them (for the tests, which
drive every pair of state and event, and for the diagrams), and so are the dense tables that step a whole
column at once: a `transitions` model for each of a million regions would take seconds a step.
Guards are events: a pure function turns "no access for IdleDurationMs" into the event ``idle_due``.
An event that changes nothing in a state is declared as ignored; what is declared nowhere is illegal, and
meeting it is a bug.
"""

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
from transitions import Machine

from memtierd.errors import IllegalTransitionError
from memtierd.model import U8

ILLEGAL = 255
NOTHING = 0
"""Code of the event "nothing", which every machine ignores in every state."""
UNKNOWN = 0
"""Code of the activity state "unknown" in every activity machine."""


@attrs.frozen
class Declaration:
    """States, events and rules of one machine; codes are positions in `states` and `events`."""

    name: str
    states: tuple[str, ...]
    events: tuple[str, ...]
    moves: tuple[tuple[str, tuple[str, ...], str], ...]
    """(event, from states, to state)"""
    ignored: tuple[tuple[str, tuple[str, ...]], ...]
    """(event, states in which it changes nothing)"""

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules as `transitions` wants them; an ignored event is an internal transition."""
        moves = [{"trigger": e, "source": list(s), "dest": d} for e, s, d in self.moves]
        internal = [{"trigger": e, "source": list(s), "dest": None} for e, s in self.ignored]
        return moves + internal

    def machine(self) -> Machine:
        """Return the declaration as a `transitions` machine that is its own model."""
        return Machine(
            states=list(self.states), transitions=self.rules(), initial=self.states[0], auto_transitions=False
        )

    def mermaid(self) -> str:
        """Return the state diagram in mermaid's language, without the ignored events."""
        from transitions.extensions import GraphMachine  # noqa: PLC0415  costs 60 ms, and few need it

        shown = [rule for rule in self.rules() if rule["dest"] is not None]
        graph = GraphMachine(
            states=list(self.states),
            transitions=shown,
            initial=self.states[0],
            auto_transitions=False,
            graph_engine="mermaid",
            title=f"title: {self.name}",  # it is put into the YAML front matter as it is
        )
        return "\n".join(line.rstrip() for line in str(graph.get_graph().source).splitlines())


@attrs.frozen(eq=False)
class CompiledMachine:
    """A declaration as a dense `event × state → state` table of uint8 that steps whole columns."""

    declaration: Declaration
    table: U8
    """Shape (events, states); ILLEGAL where no rule is declared."""

    def state(self, name: str) -> int:
        """Return the code of a state."""
        return self.declaration.states.index(name)

    def event(self, name: str) -> int:
        """Return the code of an event."""
        return self.declaration.events.index(name)

    def step(self, states: U8, events: U8) -> U8:
        """Return the states after one event each; both columns have one entry a row.

        Raises IllegalTransitionError, with the first offending row, when a pair has no rule.
        """
        pair = events.astype(np.uint16) * np.uint16(self.table.shape[1]) + states
        after: U8 = np.take(self.table.reshape(-1), pair)
        if after.size and int(after.max()) == ILLEGAL:
            row = int(np.argmax(after == ILLEGAL))
            names = self.declaration
            raise IllegalTransitionError(
                f"step row {row} of machine {names.name!r}: no rule for event"
                f" {names.events[events[row]]!r} in state {names.states[states[row]]!r}; this is a bug, report it"
            )
        return after


def compile_machine(declaration: Declaration) -> CompiledMachine:
    """Return the dense table of a declaration, read out of the `transitions` machine built from it."""
    table = np.full((len(declaration.events), len(declaration.states)), ILLEGAL, dtype=np.uint8)
    machine = declaration.machine()
    for code, event in enumerate(declaration.events):
        for source, rules in machine.events[event].transitions.items():
            state = declaration.states.index(source)
            dest = rules[0].dest
            table[code, state] = state if dest is None else declaration.states.index(dest)
    table.setflags(write=False)
    return CompiledMachine(declaration, table)


def age_activity() -> CompiledMachine:
    """Return the activity machine of the age policy."""
    living = ("unknown", "warm", "active", "idle", "cold")
    return compile_machine(
        Declaration(
            name="activity (age)",
            states=(*living, "gone"),
            events=("nothing", "seen", "quiet", "steady", "idle_due", "cold_due", "unmapped"),
            moves=(
                ("seen", ("unknown", "active", "idle", "cold"), "warm"),
                ("quiet", ("unknown", "active", "idle", "cold"), "warm"),
                ("steady", ("unknown", "warm", "idle", "cold"), "active"),
                ("idle_due", ("unknown", "warm", "active", "cold"), "idle"),
                ("cold_due", ("unknown", "warm", "active", "idle"), "cold"),
                ("unmapped", living, "gone"),
            ),
            ignored=(
                ("nothing", (*living, "gone")),
                ("seen", ("warm",)),
                ("quiet", ("warm",)),
                ("steady", ("active",)),
                ("idle_due", ("idle",)),
                ("cold_due", ("cold",)),
            ),
        )
    )


def heat_state(heat_class: int) -> str:
    """Return the name of the state of a heat class."""
    return f"heat_{heat_class}"


def heat_activity(heat_classes: int) -> CompiledMachine:
    """Return the activity machine of the heat policy for this number of classes, 0 the coldest."""
    heats = tuple(heat_state(i) for i in range(heat_classes))
    living = ("unknown", *heats)
    return compile_machine(
        Declaration(
            name="activity (heat)",
            states=(*living, "gone"),
            events=("nothing", *(f"class_{i}" for i in range(heat_classes)), "unmapped"),
            moves=(
                *((f"class_{i}", _others(living, heat), heat) for i, heat in enumerate(heats)),
                ("unmapped", living, "gone"),
            ),
            ignored=(
                ("nothing", (*living, "gone")),
                *((f"class_{i}", (heat,)) for i, heat in enumerate(heats)),
            ),
        )
    )


def choice_activity(policy: str) -> CompiledMachine:
    """Return the activity machine of a policy that chooses anew, at every tick, which regions are to be moved."""
    living = ("unknown", "kept", "chosen")
    return compile_machine(
        Declaration(
            name=f"activity ({policy})",
            states=(*living, "gone"),
            events=("nothing", "keep", "choose", "unmapped"),
            moves=(
                ("keep", ("unknown", "chosen"), "kept"),
                ("choose", ("unknown", "kept"), "chosen"),
                ("unmapped", living, "gone"),
            ),
            ignored=(
                ("nothing", (*living, "gone")),
                ("keep", ("kept",)),
                ("choose", ("chosen",)),
            ),
        )
    )


def stub_activity() -> CompiledMachine:
    """Return the activity machine of the stub policy, under which a region stays unknown."""
    return compile_machine(
        Declaration(
            name="activity (stub)",
            states=("unknown", "gone"),
            events=("nothing", "unmapped"),
            moves=(("unmapped", ("unknown",), "gone"),),
            ignored=(("nothing", ("unknown", "gone")),),
        )
    )


def _others(states: Iterable[str], state: str) -> tuple[str, ...]:
    return tuple(other for other in states if other != state)


_PLACES = ("unseen", "settled", "misplaced", "queued", "backoff")

PLACEMENT = compile_machine(
    Declaration(
        name="placement",
        states=(*_PLACES, "gone"),
        events=(
            "nothing",
            "observed",
            "right",
            "wrong",
            "enqueue",
            "blocked",
            "done",
            "failed",
            "dropped",
            "retry",
            "unmapped",
        ),
        moves=(
            ("observed", ("unseen",), "settled"),
            ("right", ("misplaced", "backoff"), "settled"),
            ("wrong", ("settled",), "misplaced"),
            ("enqueue", ("misplaced",), "queued"),
            ("blocked", ("misplaced",), "backoff"),
            ("done", ("queued",), "unseen"),
            ("failed", ("queued",), "backoff"),
            ("dropped", ("queued",), "misplaced"),
            ("retry", ("backoff",), "misplaced"),
            ("unmapped", _PLACES, "gone"),
        ),
        ignored=(
            ("nothing", (*_PLACES, "gone")),
            ("observed", ("settled", "misplaced", "queued", "backoff")),
            # What is queued is judged by its outcome; what is unseen is not judged at all.
            ("right", ("unseen", "settled", "queued")),
            ("wrong", ("unseen", "misplaced", "queued", "backoff")),
            # A report may come for a region that was cut anew, or moved by hand, meanwhile.
            ("done", ("unseen", "settled", "misplaced", "backoff")),
            ("failed", ("unseen", "settled", "misplaced", "backoff")),
            ("dropped", ("unseen", "settled", "misplaced", "backoff")),
        ),
    )
)

UNSEEN, SETTLED, MISPLACED, QUEUED, BACKOFF = range(5)
"""Codes of the placement states, in the order of the declaration."""
