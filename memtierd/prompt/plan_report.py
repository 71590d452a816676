"""A plan as a whole: how much of which process goes from where to where, what stays and why, and how long it takes."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import numpy as np

from memtierd.model import I64, SWAP_NODE, Bool
from memtierd.placement.plan import Direction, Obstacle, Plan
from memtierd.placement.text import describe_obstacle, describe_span, node_name
from memtierd.placement.wrong import outside, wrong_pages
from memtierd.policies.common import Place, Policy
from memtierd.prompt.output import Writer
from memtierd.prompt.plan_rows import Shown, shown_plan
from memtierd.prompt.region_rows import OUTCOME_NAMES
from memtierd.prompt.tables import Column, Table, from_rows, write_table
from memtierd.reconcile import Reconciler
from memtierd.regions.columns import ANYWHERE
from memtierd.regions.lifecycle import BACKOFF, QUEUED, UNKNOWN, UNSEEN
from memtierd.regions.table import RegionTable, region_key
from memtierd.units import PAGE_BYTES, format_bytes, format_node_set, pages_per_second

VERSION = 1
"""Of the JSON form: it grows when a key goes or changes its meaning."""

_MOVED_NAMES = ("promote", "demote", "sideways", "swap_out", "stay")
_MOVING, _MOVED = "moving", "moved"
_CODE_MOVING, _CODE_MOVED = 1000, 1001
"""Beside the codes of the table's column `outcome`."""
_EXPLANATIONS = {
    _MOVING: "the mover has it",
    _MOVED: "it was moved, and no scan has seen it since",
    "busy": "the kernel could not isolate its pages; it is tried again",
    "denied": "the kernel refused to move its pages; it is tried again",
    "target_full": "the kernel found no room for it; it is tried again",
    "process_gone": "its process has ended",
    "other": "the kernel refused to move it; it is tried again",
}


@attrs.frozen
class Flow:
    """What goes from and to one node, or swap, of one process; pages."""

    process: int
    node: int
    present: int = 0
    """Pages there now."""
    promote: int = 0
    demote: int = 0
    """To slower memory; what goes to swap is not among it."""
    sideways: int = 0
    swap_out: int = 0
    arrive: int = 0
    """Pages that come there from elsewhere."""
    stay: int = 0
    """Pages that should leave and can't, or are on their way already."""


@attrs.frozen
class Stay:
    """Regions of a process that should be elsewhere, and are not moved by this plan, for one reason."""

    process: int
    source: int
    activity: int
    why: str
    regions: int
    pages: int


@attrs.frozen
class Totals:
    """Sums over all processes; pages."""

    tracked: int
    swapped: int
    promote: int
    demote: int
    sideways: int
    swap_out: int
    stay: int
    right: int
    """Where they belong."""
    anywhere: int
    """The policy has no place for them."""
    undecided: int
    """No scan could tell yet whether they are used."""

    @property
    def move(self) -> int:
        """Return the pages that are moved."""
        return self.promote + self.demote + self.sideways + self.swap_out


@attrs.frozen(eq=False, kw_only=True)
class Report:
    """Everything that there is to say of a plan."""

    shown: Shown
    flows: tuple[Flow, ...]
    stays: tuple[Stay, ...]
    totals: Totals
    bandwidth_mb_per_s: int
    tracker: str = ""
    """Name of the tracker; empty: unknown."""
    is_dry_run: bool = False
    observed_s: float | None = None
    scans: int = 0
    notes: tuple[str, ...] = ()

    @property
    def estimated_s(self) -> float:
        """Return how long the moves take at the configured bandwidth."""
        return self.totals.move / pages_per_second(self.bandwidth_mb_per_s)


def report_on(reconciler: Reconciler, bandwidth_mb_per_s: int, pid: int | None = None) -> Report:
    """Return the report on the latest plan, of all processes or one.  Raises CommandError for one not tracked."""
    shown = shown_plan(reconciler, pid)
    rows = np.array([row for row, (its_pid, _) in shown.processes.items() if pid in (None, its_pid)], np.int64)
    table = reconciler.table
    table = table.take(np.flatnonzero(np.isin(table.process, rows)))
    moves = reconciler.plan.moves
    moves = moves.choose(np.isin(moves.process, rows))
    stays = tuple(_stays(table, moves, reconciler))
    events = reconciler.statistics.events.items()
    flows = tuple(_flows(rows, table, moves, stays, reconciler.node_ids))
    return Report(
        shown=shown,
        flows=flows,
        stays=stays,
        totals=_totals(table, flows, reconciler),
        bandwidth_mb_per_s=bandwidth_mb_per_s,
        scans=sum(event.count for name, event in events if name.startswith("tracker.") and name.endswith(".scan")),
    )


def _totals(table: RegionTable, flows: Iterable[Flow], reconciler: Reconciler) -> Totals:
    present = table.node_pages.sum(axis=0, dtype=np.int64)
    wrong = wrong_pages(table.desired, table.node_pages, reconciler.policy.places, reconciler.node_ids)
    undecided, placed = table.activity == UNKNOWN, table.desired != ANYWHERE
    sums = {name: sum(getattr(flow, name) for flow in flows) for name in _MOVED_NAMES}
    return Totals(
        tracked=int(present.sum()),
        swapped=int(table.swapped_pages.sum(dtype=np.int64)),
        right=int((present - wrong)[placed].sum()),
        anywhere=int(present[~placed & ~undecided].sum()),
        undecided=int(present[undecided & ~placed].sum()),
        **sums,
    )


def _flows(
    rows: I64, table: RegionTable, moves: Plan, stays: Iterable[Stay], node_ids: tuple[int, ...]
) -> Iterator[Flow]:
    """Yield the flows of processes and nodes where there is something to tell."""
    nodes = (*node_ids, SWAP_NODE)
    counts = {
        name: np.zeros((int(rows.max(initial=0)) + 1, len(nodes)), np.int64)
        for name in ("present", *_MOVED_NAMES, "arrive")
    }
    for number, pages in enumerate((*table.node_pages, table.swapped_pages)):
        np.add.at(counts["present"][:, number], table.process, pages)
    position = np.zeros(max(nodes) + 2, np.int64)
    position[np.array(nodes)] = np.arange(len(nodes))  # -1 is the last
    source, target = position[moves.source], position[moves.target]
    for name, chosen in _kinds(moves).items():
        np.add.at(counts[name], (moves.process[chosen], source[chosen]), moves.move_pages[chosen])
    np.add.at(counts["arrive"], (moves.process, target), moves.move_pages)
    for stay in stays:
        counts["stay"][stay.process, position[stay.source]] += stay.pages
    for row in rows.tolist():
        for number, node in enumerate(nodes):
            found = {name: int(values[row, number]) for name, values in counts.items()}
            if any(found.values()):
                yield Flow(row, node, **found)


def _kinds(moves: Plan) -> dict[str, Bool]:
    to_swap = moves.target == SWAP_NODE
    return {
        "promote": moves.direction == Direction.PROMOTION,
        "demote": (moves.direction == Direction.DEMOTION) & ~to_swap,
        "sideways": (moves.direction == Direction.SIDEWAYS) & ~to_swap,
        "swap_out": to_swap,
    }


def _stays(table: RegionTable, moves: Plan, reconciler: Reconciler) -> Iterator[Stay]:
    """Yield what is misplaced and not among the moves, joined by process, source, state and reason."""
    places, node_ids = reconciler.policy.places, reconciler.node_ids
    wrong = wrong_pages(table.desired, table.node_pages, places, node_ids)
    planned = np.isin(region_key(table.process, table.start), region_key(moves.process, moves.start))
    code = table.outcome.astype(np.int64)
    code[table.placement == QUEUED] = _CODE_MOVING
    code[table.placement == UNSEEN] = _CODE_MOVED
    is_busy = code >= _CODE_MOVING
    waits = (table.placement == BACKOFF) & (code > 0) & ~planned
    rows = np.flatnonzero((wrong > 0) & (waits | is_busy))
    if not len(rows):
        return
    held = table.node_pages[:, rows] * outside(places, node_ids)[:, table.desired[rows]]
    source = held.argmax(axis=0)
    columns = (table.process[rows].astype(np.int64), source, table.activity[rows].astype(np.int64), code[rows])
    kinds, kind_of = np.unique(np.stack(columns), axis=1, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    regions = np.bincount(kind_of)
    pages = np.bincount(kind_of, weights=wrong[rows])
    for number, (process, node, activity, why) in enumerate(kinds.T.tolist()):
        yield Stay(process, node_ids[node], activity, _reason(why), int(regions[number]), int(pages[number]))


def _reason(code: int) -> str:
    """Return the stable name of why regions stay."""
    return {_CODE_MOVING: _MOVING, _CODE_MOVED: _MOVED}.get(code) or OUTCOME_NAMES[code]


def explain_stay(why: str) -> str:
    """Return a reason to stay in words."""
    if why in _EXPLANATIONS:
        return _EXPLANATIONS[why]
    names = [obstacle.name.lower() for obstacle in Obstacle]
    return describe_obstacle(names.index(why)) if why in names else why


# for people

FLOW_COLUMNS = (
    Column("pid", "pid", "%8d", "%d"),
    Column("name", "name", "%-15s"),
    Column("node", "node", "%4s"),
    Column("present_mb", "mem[M]", "%9.1f", "%.3f"),
    Column("promote_mb", "promote[M]", "%10.1f", "%.3f"),
    Column("demote_mb", "demote[M]", "%9.1f", "%.3f"),
    Column("sideways_mb", "sideways[M]", "%11.1f", "%.3f"),
    Column("swap_out_mb", "swapout[M]", "%10.1f", "%.3f"),
    Column("arrive_mb", "arrive[M]", "%9.1f", "%.3f"),
    Column("stay_mb", "stay[M]", "%9.1f", "%.3f"),
)


def flow_table(report: Report) -> Table:
    """Return one row for each process and node."""
    rows = []
    for flow in report.flows:
        pages = (getattr(flow, field.name) for field in attrs.fields(Flow)[2:])
        megabytes = [count * PAGE_BYTES / (1 << 20) for count in pages]
        rows.append((*report.shown.processes[flow.process], format_node_set((flow.node,)), *megabytes))
    return from_rows(FLOW_COLUMNS, rows, "table: plan by process and node")


def stay_lines(report: Report) -> Iterator[str]:
    """Yield one line for each reason for which regions of a process stay."""
    policy = report.shown.policy
    for stay in report.stays:
        pid, name = report.shown.processes[stay.process]
        regions = "1 region" if stay.regions == 1 else f"{stay.regions} regions"
        wanted = " or ".join(map(node_name, _wanted(policy, stay.activity)))
        yield (
            f"pid {pid} ({name}): {_size(stay.pages)} in {regions} on {node_name(stay.source)}, wanted on {wanted},"
            f" {policy.activity.declaration.states[stay.activity]}: {explain_stay(stay.why)}"
        )


def total_lines(report: Report) -> Iterator[str]:
    """Yield what all of it comes to."""
    totals = report.totals
    kinds = (
        (totals.promote, "promoted"),
        (totals.demote, "demoted"),
        (totals.sideways, "moved sideways"),
        (totals.swap_out, "swapped out"),
    )
    parts = [f"{_size(pages)} {verb}" for pages, verb in kinds if pages]
    rate = f"{report.bandwidth_mb_per_s} MB/s"
    yield f"total: {', '.join(parts)}; {report.estimated_s:.1f} s at {rate}" if parts else "total: nothing to move"
    yield (
        f"tracked: {_size(totals.swapped)} in swap, {_size(totals.tracked)} in memory: {_size(totals.move)} moves,"
        f" {_size(totals.stay)} stays, {_size(totals.right)} is where it belongs, {_size(totals.anywhere)} may be"
        f" anywhere, {_size(totals.undecided)} is undecided"
    )


def _size(pages: int) -> str:
    return format_bytes(pages * PAGE_BYTES)


def _wanted(policy: Policy, activity: int) -> tuple[int, ...]:
    place: Place = policy.places[policy.place_of_state[activity]]
    return place.nodes


def write_report(out: Writer, report: Report, style: str) -> None:
    """Write everything for people ("txt") or programs ("json"), or what moves and what can't as a table ("csv")."""
    if style == "csv":
        write_table(out, report.shown.table(), style)
    elif style == "json":
        out.write(json.dumps(as_json(report), indent=1) + "\n")
    else:
        out.write("".join(f"{line}\n" for line in _heading_lines(report)))
        write_table(out, flow_table(report), "txt")
        out.write(
            "".join(f"{line}\n" for line in ("", *total_lines(report), *(f"note: {note}" for note in report.notes)))
        )


def _heading_lines(report: Report) -> Iterator[str]:
    shown = report.shown
    dry = ", dry run: nothing is moved" if report.is_dry_run else ""
    observed = "" if report.observed_s is None else f", observed for {report.observed_s:.1f} s"
    tracker = report.tracker or "none"
    yield f"plan of policy {shown.policy.name}, tracker {tracker}{observed}, {report.scans} scans{dry}"
    yield ""
    moves = [span for span in shown.spans if not span.obstacle]
    yield from (f"moves: {describe_span(span, *shown.processes[span.process], shown.policy)}" for span in moves)
    yield from (f"stays: {line}" for line in stay_lines(report))
    if moves or report.stays:
        yield ""


# for programs


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain values; docs/plan.md tells of the keys."""
    shown, policy = report.shown, report.shown.policy
    states = policy.activity.declaration.states
    return {
        "version": VERSION,
        "policy": policy.name,
        "tracker": report.tracker,
        "dry_run": report.is_dry_run,
        "observed_s": None if report.observed_s is None else round(report.observed_s, 3),
        "scans": report.scans,
        "bandwidth_mb_per_s": report.bandwidth_mb_per_s,
        "estimated_s": round(report.estimated_s, 3),
        "totals": {
            **{
                f"{field.name}_bytes": getattr(report.totals, field.name) * PAGE_BYTES for field in attrs.fields(Totals)
            },
            "move_bytes": report.totals.move * PAGE_BYTES,
        },
        "processes": [
            {
                **_named(shown, flow.process),
                "node": format_node_set((flow.node,)),
                **{f"{field.name}_bytes": getattr(flow, field.name) * PAGE_BYTES for field in attrs.fields(Flow)[2:]},
            }
            for flow in report.flows
        ],
        "moves": [shown.move(span) for span in shown.spans if not span.obstacle],
        "stays": [
            {
                **_named(shown, stay.process),
                "source": format_node_set((stay.source,)),
                "wanted": format_node_set(_wanted(policy, stay.activity)),
                "state": states[stay.activity],
                "regions": stay.regions,
                "stay_bytes": stay.pages * PAGE_BYTES,
                "why": stay.why,
                "explanation": explain_stay(stay.why),
            }
            for stay in report.stays
        ],
        "notes": list(report.notes),
    }


def _named(shown: Shown, process: int) -> dict[str, Any]:
    pid, name = shown.processes[process]
    return {"pid": pid, "name": name}
