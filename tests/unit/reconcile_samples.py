"""A life to script: a reconciler with a fake clock and a mover that does what the test says."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from memtierd.model import I64, OUTCOMES, U64, MachineFacts, MoveReport, Outcome, ProcessScan
from memtierd.placement.plan import Plan
from memtierd.policies import Policy
from memtierd.policies.age import AgeParams, AgePolicy
from memtierd.reconcile import Reconciler
from memtierd.regions.lifecycle import PLACEMENT
from tests.unit.regions.region_samples import MS, NODES, machine_of, round_of

AGE = AgeParams(
    idle_duration_ms=10_000,
    idle_numas=(2, 3),
    active_duration_ms=10_000,
    active_numas=(0, 1),
    reserve_percent=0,
    retry_ms=10_000,
    retry_max_ms=60_000,
)


def age_policy(**changes: object) -> AgePolicy:
    """Return the policy of AGE with some parameters changed."""
    return AgePolicy(attrs.evolve(AGE, **changes))  # type: ignore[arg-type]


class Life:
    """A reconciler, and the times and names that tests speak in."""

    def __init__(self, policy: Policy | None = None, epoch_ms: int = 0) -> None:
        self.reconciler = Reconciler(policy or age_policy(), NODES, epoch_ms * MS)

    def scan(self, *processes: ProcessScan) -> None:
        """Take in one round."""
        self.reconciler.observe(round_of(*processes))

    def decide(self, at_ms: int, machine: MachineFacts | None = None) -> Plan:
        """Decide and plan."""
        return self.reconciler.decide(at_ms * MS, machine or machine_of())

    def hand_over(self, at_ms: int, machine: MachineFacts | None = None) -> Plan:
        """Decide, and give all moves to the mover."""
        moves = self.decide(at_ms, machine).moves
        self.reconciler.enqueue(moves.row, at_ms * MS)
        return moves

    def report(self, moves: Plan, at_ms: int, outcome: Outcome | Mapping[Outcome, int] = Outcome.MOVED) -> None:
        """Report the same end for each region of a plan of one process and target."""
        shares = {outcome: 0} if isinstance(outcome, Outcome) else dict(outcome)
        outcomes = np.zeros((len(moves), OUTCOMES), np.uint64)
        for kind, pages in shares.items():
            outcomes[:, kind] = pages or moves.move_pages
        self._post(moves, outcomes, at_ms, dropped=False)

    def drop(self, moves: Plan, at_ms: int) -> None:
        """Report that the mover was not reached by these regions."""
        self._post(moves, np.zeros((len(moves), OUTCOMES), np.uint64), at_ms, dropped=True)

    def _post(self, moves: Plan, outcomes: U64, at_ms: int, *, dropped: bool) -> None:
        key = self.reconciler.processes.facts(int(moves.process[0])).key
        report = MoveReport(key, int(moves.target[0]), moves.start, moves.pages, outcomes, dropped=dropped)
        self.reconciler.report(report, at_ms * MS)

    @property
    def activity(self) -> list[str]:
        """Name the activity state of every row."""
        names = self.reconciler.policy.activity.declaration.states
        return [names[code] for code in self.reconciler.table.activity]

    @property
    def placement(self) -> list[str]:
        """Name the placement state of every row."""
        return [PLACEMENT.declaration.states[code] for code in self.reconciler.table.placement]


def targets_of(plan: Plan) -> list[tuple[int, int]]:
    """Return (row, target) of every move, by row."""
    moves = plan.moves
    return sorted(zip(moves.row.tolist(), moves.target.tolist(), strict=True))


def rows_of(plan: Plan) -> Sequence[int]:
    """Return the rows of a plan, ascending."""
    rows: I64 = np.sort(plan.row)
    return [int(row) for row in rows]
