"""A copy of all that is learned: the control thread only copies columns, everything else happens in another thread."""

from collections.abc import Callable, Iterator

import attrs
import numpy as np

from memtierd.errors import MemtierdError
from memtierd.linux.proc import Mapping
from memtierd.model import U32, ProcessFacts
from memtierd.reconcile import Reconciler
from memtierd.regions.learned import learned
from memtierd.regions.table import RegionTable
from memtierd.state.histories import ProcessHistory, backed

_COLUMNS = ("process", "start", "pages", "accesses", "writes", "last_access_ms", "active_since_ms", "heat", "flags")


@attrs.frozen(eq=False)
class Snapshot:
    """The table and the processes at one moment, shared with nobody."""

    table: RegionTable
    """Without the columns that only matter while the daemon runs."""
    processes: dict[int, ProcessFacts]
    observed_ms: U32
    at_ms: int
    """The moment, in the table's time, and in nanoseconds of the monotonic clock:"""
    at_ns: int
    keeps_heat: bool


def take(reconciler: Reconciler, now_ns: int) -> Snapshot:
    """Copy, in the control thread: about 37 bytes a region."""
    copy = RegionTable(0)
    for name in _COLUMNS:
        setattr(copy, name, getattr(reconciler.table, name).copy())
    return Snapshot(
        table=copy,
        processes=dict(reconciler.processes.rows()),
        observed_ms=reconciler.processes.observed_ms.copy(),
        at_ms=reconciler.at_ms(now_ns),
        at_ns=now_ns,
        keeps_heat=reconciler.policy.heat is not None,
    )


def histories(snapshot: Snapshot, mappings: Callable[[int], list[Mapping]]) -> Iterator[ProcessHistory]:
    """Yield what is to be kept of each process that still lives; `mappings` returns those of a pid now.

    Columns are shared with the snapshot.  A process that runs another program by now, or another process with its pid,
    is found out when it is recalled: its image is another one.
    """
    snapshot.table.index()
    for row, facts in snapshot.processes.items():
        observed_ms = int(snapshot.observed_ms[row])
        known = learned(snapshot.table, row, observed_ms, keeps_heat=snapshot.keeps_heat)
        if not facts.image or not np.any(known.judged):
            continue
        try:
            now = backed(mappings(facts.key.pid))
        except MemtierdError:
            continue  # it has ended, or its mappings can't be read, so they could not be compared either
        seen_ns = snapshot.at_ns - (snapshot.at_ms - observed_ms) * 1_000_000
        yield ProcessHistory(facts.key, facts.image, seen_ns, known, now)
