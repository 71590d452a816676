"""Whose memory a record is about: pure but for what is remembered of kernel addresses that stand for processes."""

from collections.abc import Sequence

import attrs
import numpy as np

from memtierd.model import I64, U64, ProcessKey
from memtierd.trackers.damon.connection import Records

_MOST_TARGETS = 1 << 20
"""A target_id that is larger is no position but the address of a struct pid (before Linux 5.18)."""
FOREVER_NS = (1 << 63) - 1


@attrs.define(eq=False)
class Tenure:
    """A time in which a kdamond had the same targets."""

    thread: int
    targets: tuple[ProcessKey, ...]
    since_ns: int = 0
    until_ns: int = FOREVER_NS
    """Behind its end."""
    _addresses: dict[int, int] = attrs.field(factory=dict)
    """Position of each process that is known by a kernel address."""

    def positions(self, target: U64) -> I64:
        """Return for each target_id, in the order of time, the position among the targets; -1 when unknown.

        Reports follow the order of the targets, so addresses are ranked as they appear.  That is only certain once
        all targets have appeared.
        """
        if not len(target) or int(target.max()) < _MOST_TARGETS:
            return np.where(target < len(self.targets), target, np.uint64(len(self.targets))).astype(np.int64)
        addresses, first = np.unique(target, return_index=True)
        if len(self._addresses) < len(self.targets) == len(addresses):
            self._addresses = {int(addresses[nth]): rank for rank, nth in enumerate(np.argsort(first))}
        ranks = [self._addresses.get(int(address), len(self.targets)) for address in addresses]
        return np.array(ranks, np.int64)[np.searchsorted(addresses, target)]


def attribute(records: Records, tenures: Sequence[Tenure]) -> dict[ProcessKey, Records]:
    """Return the records of each process, ascending by time; those of no tenure are nobody's and dropped."""
    found: dict[ProcessKey, list[Records]] = {}
    for tenure in tenures:
        inside = (records.thread == tenure.thread) & (records.time_ns >= tenure.since_ns)
        of_tenure = records.take(inside & (records.time_ns < tenure.until_ns))
        of_tenure = of_tenure.take(np.argsort(of_tenure.time_ns, kind="stable"))
        position = tenure.positions(of_tenure.target)
        order = np.argsort(position, kind="stable")
        bounds = np.searchsorted(position[order], np.arange(len(tenure.targets) + 1))
        for nth, key in enumerate(tenure.targets):
            if bounds[nth] < bounds[nth + 1]:
                found.setdefault(key, []).append(of_tenure.take(order[bounds[nth] : bounds[nth + 1]]))
    return {key: Records.joined(parts) for key, parts in found.items()}
