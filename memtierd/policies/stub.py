"""The stub policy: watches no processes and moves nothing, for configurations of routines alone."""

from collections.abc import Iterator
from typing import ClassVar

import attrs
import numpy as np

from memtierd.model import F32, U8, MachineFacts
from memtierd.parameters import FieldProblem
from memtierd.policies.common import ANYWHERE_PLACE, History, Place, PolicyParams
from memtierd.regions.history import HeatDecay
from memtierd.regions.lifecycle import NOTHING, stub_activity


@attrs.frozen(kw_only=True)
class StubPolicyParams(PolicyParams):
    """The common parameters; those that say whom to watch or how to track are refused."""

    watches: ClassVar[bool] = False

    def problems(self) -> Iterator[FieldProblem]:
        """Return what would have no effect."""
        for field in ("pidwatcher", "cgroups", "pids", "tracker"):
            if getattr(self, field):
                problem = "the stub policy watches no processes and has no tracker"
                yield FieldProblem(field, "nothing, or another policy", problem)


class StubPolicy:
    """Decides nothing."""

    name = "stub"
    heat: HeatDecay | None = None
    node_limits: dict[int, str] = {}  # noqa: RUF012  it never moves anything
    least_available_pages: dict[int, int] = {}  # noqa: RUF012  nor any of these
    conditions: tuple[str, ...] = ()
    places: tuple[Place, ...] = (ANYWHERE_PLACE,)

    def __init__(self, params: StubPolicyParams) -> None:
        self.params = params
        self.activity = stub_activity()
        self.place_of_state = np.zeros(len(self.activity.declaration.states), dtype=np.uint8)
        self.turn_of_state = self.place_of_state

    def adapt(self, machine: MachineFacts) -> "StubPolicy":
        """Return the policy."""
        return self

    def events(self, history: History) -> U8:
        """Return for every region that nothing happened."""
        return np.full(len(history.pages), NOTHING, dtype=np.uint8)

    def measure(self, history: History, activity: U8) -> F32:
        """Return zeros."""
        return np.zeros(len(history.pages), dtype=np.float32)

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return the measure."""
        return value

    def explain(self, activity: int, value: float) -> str:
        """Return that no rule places regions."""
        return "the stub policy decides nothing: stays where it is"
