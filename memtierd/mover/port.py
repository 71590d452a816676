"""What the control loop hands to the mover, and what it needs of it."""

from collections.abc import Sequence
from typing import Protocol

from memtierd.model import I64, ProcessKey
from memtierd.mover.task import Batch
from memtierd.placement.plan import Plan


class MoverPort(Protocol):
    """What the loop needs of the mover."""

    def replace(self, batches: Sequence[Batch]) -> None:
        """Take back what was not started of the last plan and queue these."""

    def conditions(self) -> tuple[str, ...]:
        """Return lasting conditions worth a warning."""

    def forget(self, key: ProcessKey) -> None:
        """Withdraw the conditions of a process that is no longer managed."""


def batch_of(moves: Plan, entries: I64, key: ProcessKey) -> Batch:
    """Return these entries of a plan, all of one process and target, as a batch."""
    return Batch(
        key=key,
        target=int(moves.target[entries[0]]),
        start=moves.start[entries],
        pages=moves.pages[entries],
        move_pages=int(moves.move_pages[entries].sum()),
    )
