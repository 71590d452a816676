"""The tracker that runs others, each at its own interval, and makes one observation of what they see."""

from collections.abc import Sequence

import attrs
import numpy as np

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.model import I64, U32, ProcessKey, ProcessScan, Scan, ScanFailure
from memtierd.regions.carving import Geometry
from memtierd.trackers.combine import Seen, carried, combine, is_same, union
from memtierd.trackers.kernel import Counts, TrackerKernel
from memtierd.trackers.members import Member, disturbances, members_of
from memtierd.trackers.params import MultiParams
from memtierd.trackers.tracker import StopFlag, Tracker

_NS_PER_MS = 1_000_000
_EMPTY_INTERVAL_MS = 5000


@attrs.frozen(eq=False)
class _Known:
    """What was reported of a process last."""

    pieces: Geometry
    known_ns: I64
    """Until when it is known of each piece whether it was used."""
    started_ns: int


class MultiTracker:
    """Reports the union of what all members cut, so that the geometry does not depend on who looked in a round.

    A piece is judged in a round when a member saw it used, or when one of those that see the most saw no use of it:
    beside one that sees reads and writes, one that sees only writes, or samples, proves no idleness.
    """

    name = "multi"
    why = ""

    def __init__(self, params: MultiParams, trackers: Sequence[Tracker], kernel: TrackerKernel) -> None:
        """Take over the trackers: closing this one closes them."""
        self.params = params
        self.interval_ms = min((tracker.interval_ms for tracker in trackers), default=_EMPTY_INTERVAL_MS)
        """From the start of the last round to when the next member is due."""
        self._kernel = kernel
        self._members = members_of(trackers)
        self._disturbances = tuple(disturbances(trackers))
        self._known: dict[ProcessKey, _Known] = {}

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        """Run the members that are due, or all when none is, because then somebody asked; see Tracker.scan."""
        started_ns = self._kernel.now_ns()
        due = [member for member in self._members if member.is_due(started_ns)] or self._members
        try:
            self._kernel.refresh()
            rounds = [(member, scan) for member in due if (scan := self._round(member, targets, stop)) is not None]
            result = self._combined(started_ns, targets, rounds, stop)
        except Exception:
            # Uses that were seen in this round are lost, so no member may prove anything from before the next one.
            for key in targets:
                self.forget(key)
            for member in self._members:
                member.due_ns = 0
            raise
        if self._members:
            left_ns = min(member.due_ns for member in self._members) - started_ns
            self.interval_ms = max(1, -(-left_ns // _NS_PER_MS))
        return result

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions worth a warning, those of the members too."""
        found = [*self._disturbances]
        for member in self._members:
            found.extend(member.tracker.conditions())
            found.extend(member.failed.values())
            if member.error:
                found.append(f"tracker multi: {member.tracker.name} failed, the others go on: {member.error}")
        return tuple(dict.fromkeys(found))

    def forget(self, key: ProcessKey) -> None:
        """Drop what is remembered of a process."""
        self._known.pop(key, None)
        for member in self._members:
            member.forget(key)

    def close(self) -> None:
        """Close all members."""
        self._known.clear()
        for member in self._members:
            member.tracker.close()

    def _round(self, member: Member, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan | None:
        return member.scan(targets, self._kernel.now_ns(), stop)

    def _combined(
        self, started_ns: int, targets: Sequence[ProcessKey], rounds: Sequence[tuple[Member, Scan]], stop: StopFlag
    ) -> Scan:
        gone = {key for _, scan in rounds for key in scan.gone}
        failed = [failure for _, scan in rounds for failure in scan.failed]
        of_process = _by_process(rounds)
        processes = []
        for key in targets:
            if key in gone or key not in of_process:
                continue
            try:
                processes.append(self._process(key, of_process[key], stop))
            except ProcessGoneError:
                gone.add(key)
            except KernelError as error:
                self.forget(key)
                failed.append(ScanFailure(key, str(error)))
        for key in gone:
            self.forget(key)
        ended_ns = self._kernel.now_ns()
        return Scan(self.name, started_ns, ended_ns, tuple(processes), tuple(sorted(gone)), tuple(failed))

    def _process(self, key: ProcessKey, scans: Sequence[tuple[Member, ProcessScan]], stop: StopFlag) -> ProcessScan:
        """Return what the scans of one process and the latest cuts of the other members make together."""
        looks = [member.look(scan) for member, scan in scans]
        pieces = union([member.last[key].cut for member in self._members if key in member.last])
        seen = combine(pieces, looks)
        started_ns = min(scan.started_ns for _, scan in scans)
        latest = self._whereabouts(pieces, scans[-1][1], stop)
        return attrs.evolve(
            latest,
            started_ns=started_ns,
            ended_ns=self._kernel.now_ns(),
            accessed_pages=seen.accessed_pages,
            written_pages=seen.written_pages,
            huge_pages=np.minimum(seen.huge_pages, latest.node_pages.sum(axis=0, dtype=np.uint32)),
            primed=seen.primed,
            covered_ms=self._covered_ms(key, pieces, seen, started_ns),
        )

    def _whereabouts(self, pieces: Geometry, latest: ProcessScan, stop: StopFlag) -> ProcessScan:
        """Return the scan with these pieces, and where their pages are now unless it has just those pieces."""
        if is_same(pieces, Geometry(latest.start, latest.pages)):
            return latest
        counts = Counts.zero(pieces, self._kernel.nodes)
        with self._kernel.pagemap(latest.key) as pagemap_fd:
            self._kernel.count_present(pagemap_fd, pieces, counts, stop)
        return ProcessScan(
            facts=latest.facts,
            started_ns=latest.started_ns,
            ended_ns=latest.ended_ns,
            start=pieces.start,
            pages=pieces.pages,
            accessed_pages=counts.accessed,
            written_pages=counts.written,
            primed=np.zeros(pieces.start.shape, np.bool_),
            swapped_pages=counts.swapped,
            node_pages=counts.node_pages,
        )

    def _covered_ms(self, key: ProcessKey, pieces: Geometry, seen: Seen, started_ns: int) -> U32:
        """Return for how long before this round the use of each piece is known now and was not known before."""
        before = self._known.get(key)
        if before is None:
            known_ns = np.full(pieces.start.shape, started_ns, np.int64)
        else:
            known_ns = carried(pieces, before.pieces, before.known_ns, before.started_ns)
        self._known[key] = _Known(pieces, np.where(seen.primed, started_ns, known_ns), started_ns)
        covered_ns = started_ns - np.maximum(known_ns, np.where(seen.primed, seen.since_ns, started_ns))
        covered: U32 = (np.maximum(covered_ns, 0) // _NS_PER_MS).astype(np.uint32)
        return covered


def _by_process(rounds: Sequence[tuple[Member, Scan]]) -> dict[ProcessKey, list[tuple[Member, ProcessScan]]]:
    """Return the scans of each process, in the order in which they were made."""
    found: dict[ProcessKey, list[tuple[Member, ProcessScan]]] = {}
    for member, scan in rounds:
        for process in scan.processes:
            found.setdefault(process.key, []).append((member, process))
    return found
