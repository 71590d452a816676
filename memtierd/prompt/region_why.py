"""Explaining one region: what was counted, how it came to its states, and why it should be where it should."""

import numpy as np

from memtierd.errors import CommandError
from memtierd.placement.text import describe_obstacle, node_name
from memtierd.policies.common import Place
from memtierd.prompt.region_rows import OUTCOME_NAMES, rows_of_pid
from memtierd.reconcile import Reconciler
from memtierd.regions.columns import OBSTACLE_BASE
from memtierd.regions.history import active_ms, idle_ms, is_judged
from memtierd.regions.huge_share import huge_share
from memtierd.regions.journal import ACTIVITY, Change
from memtierd.regions.lifecycle import BACKOFF, PLACEMENT, CompiledMachine
from memtierd.regions.table import RegionTable
from memtierd.text import printable
from memtierd.units import PAGE_BYTES, format_bytes


def why(reconciler: Reconciler, address: int, pid: int | None, now_ns: int) -> list[str]:
    """Return lines about the region that holds an address.

    Raises CommandError when no tracked process has memory there, or several have and `pid` is None.
    """
    row = _find(reconciler, address, pid)
    table, policy = reconciler.table, reconciler.policy
    facts = reconciler.processes.facts(int(table.process[row]))
    start, pages = int(table.start[row]), int(table.pages[row])
    state, placement = int(table.activity[row]), int(table.placement[row])
    now_ms = reconciler.at_ms(now_ns)
    value = float(policy.measure(reconciler.history(), table.activity)[row])
    names = policy.activity.declaration.states
    size = f"{pages} pages, {format_bytes(pages * PAGE_BYTES)}"
    changes = reconciler.journal.of_region(facts.key.pid, start)
    return [
        f"region {start:x}-{start + pages * PAGE_BYTES:x} ({size}) of pid {facts.key.pid} ({printable(facts.name)})",
        f"  counts: {table.accesses[row]} pages accessed, {table.writes[row]} of them written, summed over all scans",
        f"  use: {_use(reconciler, row)}",
        f"  lies on: {_lies_on(reconciler, row)}",
        f"  state: {names[state]}, {PLACEMENT.declaration.states[placement]}",
        f"  rule: {policy.explain(state, value)}",
        f"  place: {_place(policy.places[int(table.desired[row])])}",
        f"  {_outcome(int(table.outcome[row]))}{_failures(table, row, now_ms)}",
        f"  changes: {_kept(reconciler, changes)}",
        *(f"    {_change(change, policy.activity, now_ms)}" for change in changes),
    ]


def _find(reconciler: Reconciler, address: int, pid: int | None) -> int:
    table = reconciler.table
    within = slice(0, len(table)) if pid is None else rows_of_pid(reconciler, pid)
    holds = (table.start[within] <= np.uint64(address)) & (np.uint64(address) < table.end[within])
    rows = np.flatnonzero(holds) + within.start
    if not len(rows):
        raise CommandError(f"no tracked region holds the address {address:x}; regions lists them")
    if len(rows) > 1:
        pids = ", ".join(str(pid) for pid in sorted(reconciler.processes.pids[table.process[rows]].tolist()))
        raise CommandError(f"several processes have memory at {address:x}, choose one with -pid: {pids}")
    return int(rows[0])


def _use(reconciler: Reconciler, row: int) -> str:
    table = reconciler.table
    one = slice(row, row + 1)
    if not is_judged(table.flags[one])[0]:
        return "no scan could tell yet whether it is used"
    observed_ms = reconciler.processes.observed_ms[table.process[one]]
    idle_s = int(idle_ms(table.last_access_ms[one], observed_ms)[0]) / 1000
    active_s = int(active_ms(table.last_access_ms[one], table.active_since_ms[one])[0]) / 1000
    heat = "" if reconciler.policy.heat is None else f", heat {float(table.heat[row]):.6f}"
    if idle_s:
        return f"idle for {idle_s:.3f} s at the last scan{heat}"
    return f"used at the last scan, in every scan for {active_s:.3f} s{heat}"


def _lies_on(reconciler: Reconciler, row: int) -> str:
    table = reconciler.table
    parts = [
        f"{node_name(node)}: {pages} pages"
        for node, pages in zip(reconciler.node_ids, table.node_pages[:, row].tolist(), strict=True)
        if pages
    ]
    if table.swapped_pages[row]:
        parts.append(f"swap: {table.swapped_pages[row]} pages")
    return (", ".join(parts) or "nothing is in memory") + _huge(float(huge_share(table.flags[row : row + 1])[0]))


def _huge(share: float) -> str:
    if not share:
        return ""
    return ", all in huge pages" if share == 1 else f", {100 * share:.0f} % of the region in huge pages"


def _place(place: Place) -> str:
    return " or ".join(node_name(node) for node in place.nodes) or "anywhere"


def _outcome(code: int) -> str:
    if code >= OBSTACLE_BASE:
        return f"can't move: {describe_obstacle(code - OBSTACLE_BASE)}"
    return f"last move: {OUTCOME_NAMES[code]}"


def _failures(table: RegionTable, row: int, now_ms: int) -> str:
    failures = int(table.failures[row])
    text = f", {failures} moves failed in a row" if failures else ""
    if table.placement[row] == BACKOFF:
        text += f", next try in {max(0, int(table.not_before_ms[row]) - now_ms) / 1000:.1f} s"
    return text


def _kept(reconciler: Reconciler, changes: tuple[Change, ...]) -> str:
    if reconciler.journal.forgotten:
        return f"the latest {len(changes)}; older ones are no longer kept"
    return str(len(changes)) if changes else "none yet"


def _change(change: Change, activity: CompiledMachine, now_ms: int) -> str:
    machine, name = (activity, "activity") if change.machine == ACTIVITY else (PLACEMENT, "placement")
    states, events = machine.declaration.states, machine.declaration.events
    before, after = _named(states, change.before), _named(states, change.after)
    ago_s = max(0, now_ms - change.at_ms) / 1000
    return f"{ago_s:.3f} s ago: {name} {before} -> {after} ({_named(events, change.event)})"


def _named(names: tuple[str, ...], code: int) -> str:
    """Return a name by its code; a change may be from before the policy, and with it the names, changed."""
    return names[code] if code < len(names) else f"code {code}"
