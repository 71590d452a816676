"""One tick of the loop: take in observations and outcomes, decide, step every region's state, and plan."""

from collections.abc import Iterable, Sequence

import attrs
import numpy as np

from memtierd.model import (
    F32,
    I64,
    SWAP_NODE,
    U8,
    U32,
    U64,
    Bool,
    MachineFacts,
    MoveReport,
    Outcome,
    ProcessFacts,
    ProcessKey,
    ProcessScan,
    Scan,
)
from memtierd.placement.guards import Guards
from memtierd.placement.limits import room_pages
from memtierd.placement.plan import Obstacle, Plan, empty_plan, is_guard
from memtierd.placement.planning import Candidates, Whereabouts, make_plan
from memtierd.placement.underway import UnderWay
from memtierd.placement.wrong import wrong_pages
from memtierd.policies.common import History, Place, Policy, decide_alike
from memtierd.regions import geometry, history, lifecycle
from memtierd.regions.columns import JUDGED, MOST, OBSTACLE_BASE, SHOWN
from memtierd.regions.journal import ACTIVITY, PLACEMENT, Journal
from memtierd.regions.learned import Recollection, recall
from memtierd.regions.lifecycle import BACKOFF, MISPLACED, QUEUED, UNKNOWN, UNSEEN
from memtierd.regions.processes import ProcessTable
from memtierd.regions.table import RegionTable
from memtierd.statistics import Statistics

REBASE_AT_MS = 1 << 31
KEEP_MS = 1 << 30
"""Times are 32-bit milliseconds: at REBASE_AT_MS (24 days) the epoch moves so that KEEP_MS (12 days) stay."""

_GOOD = (Outcome.MOVED, Outcome.ALREADY_THERE, Outcome.NOT_PRESENT)
_FULL = Outcome.TARGET_FULL + 1
"""In the table's outcome: the kernel had no room for the region."""


class Reconciler:
    """The state of the loop.  It has no thread, clock or kernel of its own: one thread calls it with values."""

    def __init__(self, policy: Policy, node_ids: Sequence[int], epoch_ns: int) -> None:
        self.policy = policy
        self.node_ids = tuple(node_ids)
        self.table = RegionTable(len(node_ids))
        self.processes = ProcessTable()
        self.statistics = Statistics()
        self.journal = Journal()
        self.guards = Guards()
        self.plan: Plan = empty_plan()
        self.last_scan: Scan | None = None
        self.recollection: Recollection | None = None  # what was learned before this run
        self._epoch_ns = epoch_ns
        self._under_way = UnderWay()

    def at_ms(self, at_ns: int) -> int:
        """Return a time of the monotonic clock in the table's milliseconds."""
        return max(0, (at_ns - self._epoch_ns) // 1_000_000)

    # observe

    def observe(self, scan: Scan) -> None:
        """Take in one whole round of the tracker: geometry first, then counts, then what lies where."""
        self._rebase(scan.ended_ns)
        self.last_scan = scan
        self.statistics.scan(scan)
        self.forget(scan.gone, scan.ended_ns)
        rows = [(self.processes.add(process.facts), process) for process in scan.processes]
        self.table = recall(self.table, rows, self.recollection, self.at_ms, self.policy.heat)
        cuts = [
            geometry.Cut(row, process.start, process.pages, self.at_ms(process.started_ns)) for row, process in rows
        ]
        changed = [cut for cut in cuts if not geometry.is_same(self.table, cut)]
        if changed:
            self.table, ended = geometry.follow(self.table, changed)
            self._bury(ended, self.at_ms(scan.started_ns))
        for row, process in rows:
            self._record(row, process)

    def _record(self, row: int, process: ProcessScan) -> None:
        before_ms, seen_ms = self.processes.observe(row, self.at_ms(process.started_ns))
        gap_ms = seen_ms - before_ms if before_ms else 0
        rows = self.table.rows_of(row)
        unseen = self.table.placement[rows] == UNSEEN
        # A scan that began before the last move ended may have looked at pages that then were no longer there:
        # it can tell neither where they are nor whether they were used.
        moved_meanwhile = unseen & (self.table.not_before_ms[rows] > seen_ms)
        judged = attrs.evolve(process, primed=process.primed & ~moved_meanwhile)
        history.record(self.table, rows, judged, seen_ms, self.policy.heat, gap_ms)
        self._step_placement(_positions(rows)[unseen & ~moved_meanwhile], "observed", seen_ms)

    def forget(self, keys: Iterable[ProcessKey], now_ns: int) -> None:
        """Drop processes that ended or are watched no longer, with all their regions."""
        self._rebase(now_ns)
        known = [key for key in keys if key in self.processes]
        if not known:
            return
        rows = [row for key in known if (row := self.processes.row(key)) is not None]
        self.table, ended = geometry.without(self.table, rows)
        self._bury(ended, self.at_ms(now_ns))
        self.guards.forget(rows)
        self.plan = self.plan.choose(~np.isin(self.plan.process, rows))
        self._under_way.forget(rows)
        for key in known:
            self.processes.remove(key)

    def _bury(self, ended: RegionTable, now_ms: int) -> None:
        """Step regions that no longer exist to their last state, for the journal."""
        machine = self.policy.activity
        events = np.full(len(ended), machine.event("unmapped"), dtype=np.uint8)
        after = machine.step(ended.activity, events)
        pids = self.processes.pids[ended.process]
        self.journal.record(now_ms, ACTIVITY, pids, ended.start, ended.activity, after, events)

    # decide

    def decide(self, now_ns: int, machine: MachineFacts, heat: F32 | None = None) -> Plan:
        """Step every region's activity, set where it should be, and return the plan to get it there.

        `heat`, one entry a row, is what the policy judges by in place of the heat in the table.
        """
        self._rebase(now_ns)
        now_ms = self.at_ms(now_ns)
        self.policy = self.policy.adapt(machine)
        value = self._step_activity(now_ms, self.history(heat))
        self._desire(now_ms)
        wrong = wrong_pages(self.table.desired, self.table.node_pages, self.policy.places, self.node_ids)
        self._judge_placement(wrong, now_ms)
        params = self.policy.params
        self.guards.judge(params, machine.pressure, now_ns, now_ms)
        self.plan = self._plan(np.flatnonzero(self._is_movable(now_ms)), wrong, value, machine, now_ms)
        self._note_waits(self.plan, now_ms)
        self.guards.learn(params.max_refault, self.plan, self.table, now_ns, now_ms)
        self.statistics.guards = self.guards.states
        self.statistics.event(f"policy.{self.policy.name}.tick", now_ns)
        return self.plan

    def obstacles(self) -> list[tuple[int, int, int]]:
        """Return every (process row, activity, obstacle) for which regions wait because they can't be moved.

        A region that was refused because its target is full has that obstacle until it has moved: while it is
        tried again and again, nothing has changed.  What guards hold is theirs to tell.
        """
        table = self.table
        full = (table.outcome == _FULL) & np.isin(table.placement, (MISPLACED, QUEUED, BACKOFF))
        blocked = (table.placement == BACKOFF) & (table.outcome >= OBSTACLE_BASE)
        rows = np.flatnonzero(blocked & ~is_guard(table.outcome - np.uint8(OBSTACLE_BASE)) | full)
        obstacle = np.where(
            full[rows],
            np.array([_obstacle_when_full(place) for place in self.policy.places])[table.desired[rows]],
            table.outcome[rows].astype(np.int64) - OBSTACLE_BASE,
        )
        told = np.unique(
            table.process[rows].astype(np.int64) << 16 | table.activity[rows].astype(np.int64) << 8 | obstacle
        )
        return [(code >> 16, code >> 8 & 0xFF, code & 0xFF) for code in told.tolist()]

    def history(self, heat: F32 | None = None) -> History:
        """Return what the policy judges by, for every region; `heat` in place of the table's when given."""
        table = self.table
        return History(
            last_access_ms=table.last_access_ms,
            active_since_ms=table.active_since_ms,
            observed_ms=self.processes.observed_ms[table.process],
            heat=table.heat if heat is None else heat,
            judged=history.is_judged(table.flags),
            accesses=table.accesses,
            writes=table.writes,
            pages=table.pages,
            swapped_pages=table.swapped_pages,
            node_pages=table.node_pages,
            node_ids=self.node_ids,
            failures=table.failures,
            process=table.process,
            facts=self.processes.facts,
        )

    def _step_activity(self, now_ms: int, seen: History) -> F32:
        events = self.policy.events(seen)
        before = self.table.activity
        after = self.policy.activity.step(before, events)
        changed = np.flatnonzero(after != before)
        if len(changed):
            pids = self.processes.pids[self.table.process[changed]]
            self.journal.record(
                now_ms, ACTIVITY, pids, self.table.start[changed], before[changed], after[changed], events[changed]
            )
            self.table.flags[changed] &= np.uint8(~SHOWN & 0xFF)
        self.table.activity = after
        return self.policy.measure(seen, after)

    def _desire(self, now_ms: int) -> None:
        """Say where every region should be; one that shall go elsewhere now doesn't wait for its old retry."""
        table = self.table
        desired = self.policy.place_of_state[table.activity]
        waiting = np.flatnonzero((table.placement == BACKOFF) & (desired != table.desired))
        self._step_placement(waiting, "retry", now_ms)
        table.failures[waiting] = 0
        table.outcome[(desired != table.desired) & (table.outcome == _FULL)] = 0
        table.flags[desired != table.desired] &= np.uint8(~SHOWN & 0xFF)
        table.desired = desired

    def _judge_placement(self, wrong: U32, now_ms: int) -> None:
        table = self.table
        right = wrong == 0
        settling = np.flatnonzero(right & ((table.placement == MISPLACED) | (table.placement == BACKOFF)))
        self._step_placement(settling, "right", now_ms)
        table.failures[settling] = 0
        table.outcome[settling[table.outcome[settling] == _FULL]] = 0
        table.flags[settling] &= np.uint8(~SHOWN & 0xFF)
        self._step_placement(np.flatnonzero(~right & (table.placement == lifecycle.SETTLED)), "wrong", now_ms)

    def _is_movable(self, now_ms: int) -> Bool:
        """Return which regions a plan shall try to move: they are misplaced, or their wait is over."""
        table = self.table
        due = (table.placement == BACKOFF) & (table.not_before_ms <= now_ms)
        movable: Bool = due | (table.placement == MISPLACED)
        return movable

    def _note_waits(self, plan: Plan, now_ms: int) -> None:
        """Let what the plan moves wait no longer, and what it can't move wait for the next try."""
        table = self.table
        moves, blocked = plan.moves.row, plan.blocked
        released = moves[table.placement[moves] == BACKOFF]
        self._step_placement(released, "retry", now_ms)
        table.flags[released] &= np.uint8(~SHOWN & 0xFF)
        self._step_placement(blocked.row[table.placement[blocked.row] == MISPLACED], "blocked", now_ms)
        table.outcome[blocked.row] = blocked.obstacle + np.uint8(OBSTACLE_BASE)
        # An obstacle is looked at again at a steady pace: it says nothing about the next one.  What only a guard
        # holds is looked at in every tick, so that it goes on as soon as the guard lets it.
        retry_ms = np.where(is_guard(blocked.obstacle), 0, self.policy.params.retry_ms)
        table.not_before_ms[blocked.row] = np.minimum(now_ms + retry_ms, MOST)

    def _plan(self, rows: I64, wrong: U32, value: F32, machine: MachineFacts, now_ms: int) -> Plan:
        table = self.table
        candidates = Candidates(
            row=rows,
            process=table.process[rows],
            start=table.start[rows],
            pages=table.pages[rows],
            node_pages=table.node_pages[:, rows],
            wrong_pages=wrong[rows],
            desired=table.desired[rows],
            activity=table.activity[rows],
            value=value[rows],
            turn=self.policy.turn_of_state[table.activity[rows]],
            urgency=self.policy.urgency(table.activity[rows], value[rows]),
            guard=self.guards.obstacles(table, rows, self.processes.pids, now_ms),
        )
        policy, tracked = self.policy, self._tracked_pages()
        room = room_pages(
            machine, policy.params.reserve_percent, policy.node_limits, tracked, policy.least_available_pages
        )
        for target, pages in self._under_way.queued_pages(table).items():
            room[target] = max(0, room.get(target, 0) - pages)
        return make_plan(candidates, policy.places, self._whereabouts, machine, self.node_ids, room, now_ms)

    def _tracked_pages(self) -> dict[int, int]:
        """Return the tracked pages on each node: those seen there last, and those that arrived unseen since."""
        tracked = dict(zip(self.node_ids, self.table.node_pages.sum(axis=1, dtype=np.int64).tolist(), strict=True))
        for node, pages in self._under_way.arrived_pages(self.processes.observed_ms, self.at_ms).items():
            tracked[node] += pages
        return tracked

    def _whereabouts(self, process: int) -> Whereabouts:
        facts: ProcessFacts = self.processes.facts(process)
        return Whereabouts(facts.allowed_nodes, facts.running_node)

    # apply

    def enqueue(self, rows: I64, now_ns: int) -> None:
        """Note that the mover has these regions of the current plan now."""
        self._step_placement(rows, "enqueue", self.at_ms(now_ns))
        self._under_way.begin(self.table, self.plan.choose(np.isin(self.plan.row, rows)))
        self.guards.begin(self.policy.params.max_refault, self.plan, rows, self.table)

    def unshown(self, plan: Plan) -> Plan:
        """Return the entries of the current plan that a dry run has not told of yet, and mark them as told."""
        fresh = (self.table.flags[plan.row] & np.uint8(SHOWN)) == 0
        self.table.flags[plan.row] |= np.uint8(SHOWN)
        return plan.choose(fresh)

    def show_again(self) -> None:
        """Let everything that is intended count as not told of yet."""
        self.table.flags &= np.uint8(~SHOWN & 0xFF)

    def report(self, report: MoveReport, now_ns: int) -> None:
        """Take in what became of a batch: done regions wait to be seen again, failed ones back off."""
        self._rebase(now_ns)
        self.statistics.report(report)
        process = self.processes.row(report.key)
        if process is None:
            return
        now_ms = self.at_ms(now_ns)
        if report.dropped:
            # What is taken back may begin inside a region that the mover had begun.
            self._step_placement(geometry.containing(self.table, process, report.start), "dropped", now_ms)
            self.guards.end(process, report.start, np.zeros(len(report.start), np.uint64), now_ms)
            return
        moved_pages = report.outcomes[:, Outcome.MOVED]
        self.guards.end(process, report.start, moved_pages, now_ms)
        if report.target in self.node_ids:
            self._under_way.arrive(process, report.target, int(moved_pages.sum()), now_ns)
        rows, found = geometry.match(self.table, process, report.start, report.pages)
        self.statistics.came_from(report.target, self.node_ids, moved_pages[found], self.table.node_pages[:, rows])
        outcomes = report.outcomes[found]
        self.table.outcome[rows] = _main_outcome(outcomes) + 1
        queued = self.table.placement[rows] == QUEUED
        failed = outcomes.sum(axis=1) > outcomes[:, _GOOD].sum(axis=1)
        self._step_placement(rows[~failed], "done", now_ms)
        done = rows[~failed & queued]
        self.table.not_before_ms[done] = now_ms + 1  # a scan that began in the same millisecond may have been too early
        self.table.failures[done] = 0
        self._step_placement(rows[failed], "failed", now_ms)
        self._back_off(rows[failed & queued], now_ms)

    def _back_off(self, rows: I64, now_ms: int) -> None:
        """Set the time of the next try, twice as far away after every failure."""
        params = self.policy.params
        doubled = np.minimum(self.table.failures[rows], 20)
        wait = np.minimum(params.retry_ms * (np.int64(1) << doubled.astype(np.int64)), params.retry_max_ms)
        self.table.not_before_ms[rows] = np.minimum(now_ms + wait, MOST)
        self.table.failures[rows] = np.minimum(self.table.failures[rows], 254) + 1

    def _step_placement(self, rows: I64, event: str, now_ms: int) -> None:
        if not len(rows):
            return
        machine = lifecycle.PLACEMENT
        before = self.table.placement[rows]
        events = np.full(len(rows), machine.event(event), dtype=np.uint8)
        after = machine.step(before, events)
        self.table.placement[rows] = after
        changed = after != before
        starts, pids = self.table.start[rows][changed], self.processes.pids[self.table.process[rows][changed]]
        self.journal.record(now_ms, PLACEMENT, pids, starts, before[changed], after[changed], events[changed])

    # change of policy, passing of time

    def set_policy(self, policy: Policy) -> bool:
        """Decide by another policy from now on; return whether everything is to be decided anew.

        Access times and heat are kept, states start as unknown.  Where only common parameters differ, states stay,
        too, where regions should be, what they wait for, and the plan.
        Heat that the policy before did not keep says nothing: regions are judged from the next scan on then.
        """
        if decide_alike(policy.params, self.policy.params) and policy.places == self.policy.places:
            self.policy = policy
            return False
        if policy.activity.declaration != self.policy.activity.declaration:
            self.journal.drop(ACTIVITY)
        if policy.heat is not None and self.policy.heat is None:
            self.table.flags &= np.uint8(~JUDGED & 0xFF)
        self.policy = policy
        self.plan = empty_plan()
        self.table.activity = np.full(len(self.table), UNKNOWN, dtype=np.uint8)
        self.table.desired[:] = 0
        return True

    def reset_counters(self) -> None:
        """Set the summed-up access counts of all regions to 0."""
        self.table.accesses[:] = 0
        self.table.writes[:] = 0

    def _rebase(self, now_ns: int) -> None:
        now_ms = self.at_ms(now_ns)
        if now_ms < REBASE_AT_MS:
            return
        shift_ms = now_ms - KEEP_MS
        for times in (self.table, self.processes, self.journal, self.guards):
            times.shift_times(min(shift_ms, MOST))
        self._epoch_ns += shift_ms * 1_000_000


def _positions(rows: slice) -> I64:
    return np.arange(rows.start, rows.stop, dtype=np.int64)


def _obstacle_when_full(place: Place) -> Obstacle:
    return Obstacle.SWAP_FULL if SWAP_NODE in place.nodes else Obstacle.NO_ROOM


def _main_outcome(outcomes: U64) -> U8:
    """Return for each region the outcome that kept most of its pages from moving, or else that most pages met.

    Pages that aren't there are told of only when there is nothing else.
    """
    good, bad = outcomes.copy(), outcomes.copy()
    good[:, Outcome.NOT_PRESENT] = np.minimum(good[:, Outcome.NOT_PRESENT], 1)
    bad[:, _GOOD] = 0
    main: U8 = np.where(bad.any(axis=1), bad.argmax(axis=1), good.argmax(axis=1)).astype(np.uint8)
    return main
