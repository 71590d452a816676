"""How DAMON's reports reach memtierd: one protocol, and the columns that every connection delivers.

At the end of each aggregation interval a kdamond reports every region of every process that it monitors: the
tracepoint damon:damon_aggregated fires once a region, in the kdamond's own thread, process by process and ascending
by address (mm/damon/core.c, kdamond_reset_aggregated).  A report names the process by `target_id` only: since
Linux 5.18 its position among the targets of the kdamond's context, before that a kernel address.  The kdamond is known
by the thread in which the event fired: the number in /sys/kernel/mm/damon/admin/kdamonds/N/pid.  So a process is found
by thread, target and time; the time is needed because positions shift when the targets of a kdamond change.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs
import numpy as np

from memtierd.model import I64, U32, U64


@attrs.frozen(eq=False)
class Records:
    """What DAMON said of regions; one entry a region and aggregation, in any order."""

    time_ns: I64
    """When it was said: CLOCK_MONOTONIC."""
    thread: U32
    """Thread id of the kdamond, as its `pid` file in sysfs gives it."""
    target: U64
    """The event's target_id."""
    nr_regions: U32
    """How many regions the target has in the same aggregation: fewer have arrived when some were lost."""
    start: U64
    """First byte of the region."""
    end: U64
    """Behind its last byte."""
    nr_accesses: U32
    """In how many samples of the aggregation an access was seen."""

    @classmethod
    def none(cls) -> "Records":
        """Return no records."""
        wide, narrow = np.empty(0, np.uint64), np.empty(0, np.uint32)
        return cls(np.empty(0, np.int64), narrow, wide, narrow, wide, wide, narrow)

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """Return all records of `parts`, in this order."""
        if not parts:
            return cls.none()
        names = [field.name for field in attrs.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: "I64 | np.typing.NDArray[np.bool_] | slice") -> "Records":
        """Return the records at these positions."""
        return Records(*(getattr(self, field.name)[chosen] for field in attrs.fields(Records)))


@attrs.frozen
class Monitor:
    """A kdamond that runs for memtierd now."""

    kdamond: int
    """Its number in sysfs; 0 with the debugfs interface, which has one only."""
    thread: int
    """Its thread id."""
    targets: int
    """How many processes it monitors."""


class Connection(Protocol):
    """Receives DAMON's reports in the background.

    `open`, `follow`, `take` and `close` are called by one thread at a time, `conditions` by any.  None of them may
    wait for long: `close` ends in a second or two, also when what delivers the reports hangs.
    """

    @property
    def name(self) -> str:
        """Return the word in the configuration: bpftrace, perf, tracefs or sysfs."""

    @property
    def needs_schemes(self) -> bool:
        """Tell whether the kdamonds must have a scheme for each target, whose tried regions are read."""

    def open(self) -> None:
        """Begin to receive; raises UnsupportedError, which says what is missing, or KernelError.

        Called before the first kdamond starts.
        """

    def follow(self, monitors: Sequence[Monitor]) -> None:
        """Receive from exactly these kdamonds from now on; what others report may be delivered, too, and is ignored.

        Called after every start, stop or new set of targets.
        """

    def take(self) -> Records:
        """Return what arrived since the last call, without waiting.

        What is kept between two calls is bounded: the oldest goes first, and `conditions` says so.
        """

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions worth a warning, the same text as long as they last."""

    def close(self) -> None:
        """Stop receiving and undo what `open` set up; no effect when it is not open."""
