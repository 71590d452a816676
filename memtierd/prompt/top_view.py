"""What `top` shows: one picture of processes, nodes and movement, fitted to a window."""

from collections.abc import Iterator, Sequence

import attrs
import numpy as np

from memtierd.model import MachineFacts
from memtierd.reconcile import Reconciler
from memtierd.text import printable
from memtierd.units import PAGE_BYTES, format_bytes


@attrs.frozen
class ProcessLine:
    """Memory of one process."""

    pid: int
    name: str
    state_pages: tuple[int, ...]
    """One entry an activity state, "gone" excepted."""
    node_pages: tuple[int, ...]
    swapped_pages: int

    @property
    def total_pages(self) -> int:
        """Return all pages of its regions."""
        return sum(self.state_pages)


@attrs.frozen
class Snapshot:
    """One look at the reconciler."""

    at_ns: int
    states: tuple[str, ...]
    node_ids: tuple[int, ...]
    processes: tuple[ProcessLine, ...]
    """The one with the most memory first."""
    moved_pages: int
    """Since the start, of the processes that are remembered."""
    swapped_out_pages: int
    planned_pages: int
    blocked_pages: int


def look(reconciler: Reconciler, at_ns: int) -> Snapshot:
    """Return a snapshot; cheap enough for the control thread: a few sums over columns."""
    table, states = reconciler.table, reconciler.policy.activity.declaration.states
    rows = dict(reconciler.processes.rows())
    slots = max(rows, default=-1) + 1
    code = table.process.astype(np.int64) * len(states) + table.activity
    by_state = np.bincount(code, weights=table.pages, minlength=slots * len(states)).reshape(-1, len(states))
    by_node = [np.bincount(table.process, weights=pages, minlength=slots) for pages in table.node_pages]
    swapped = np.bincount(table.process, weights=table.swapped_pages, minlength=slots)
    lines = [
        ProcessLine(
            facts.key.pid,
            facts.name,
            tuple(by_state[row, :-1].astype(int).tolist()),
            tuple(int(pages[row]) for pages in by_node),
            int(swapped[row]),
        )
        for row, facts in rows.items()
    ]
    plan = reconciler.plan
    return Snapshot(
        at_ns=at_ns,
        states=states[:-1],
        node_ids=reconciler.node_ids,
        processes=tuple(sorted(lines, key=lambda line: (-line.total_pages, line.pid))),
        moved_pages=sum(counts.on_target_pages for counts in reconciler.statistics.moves.values()),
        swapped_out_pages=reconciler.statistics.swapped_out_pages,
        planned_pages=int(plan.moves.move_pages.sum(dtype=np.int64)),
        blocked_pages=int(plan.blocked.move_pages.sum(dtype=np.int64)),
    )


def picture(
    title: str, now: Snapshot, before: Snapshot | None, machine: MachineFacts, columns: int, lines: int
) -> list[str]:
    """Return at most `lines` lines of at most `columns` characters."""
    shown = [title, *_nodes(machine), _movement(now, before), "", *_processes(now)]
    return [printable(line)[:columns] for line in shown[:lines]]


def _nodes(machine: MachineFacts) -> Iterator[str]:
    yield "   ".join(
        f"node {node.node}: {_size(node.free_pages)} of {_size(node.total_pages)} free" for node in machine.nodes
    )


def _movement(now: Snapshot, before: Snapshot | None) -> str:
    seconds = (now.at_ns - before.at_ns) / 1e9 if before is not None else 0
    moved = swapped = 0.0
    if before is not None and seconds > 0:
        moved = (now.moved_pages - before.moved_pages) / seconds
        swapped = (now.swapped_out_pages - before.swapped_out_pages) / seconds
    return (
        f"moving {_size(moved)}/s between nodes, {_size(swapped)}/s to swap;"
        f" planned {_size(now.planned_pages)}, blocked {_size(now.blocked_pages)}"
    )


def _processes(now: Snapshot) -> Iterator[str]:
    headings = [*now.states, *(f"node{node}" for node in now.node_ids), "swap"]
    # A heat policy may have many states: those that hold nothing at all are left out.
    amounts = [[*line.state_pages, *line.node_pages, line.swapped_pages] for line in now.processes]
    kept = [at for at in range(len(headings)) if at >= len(now.states) or any(row[at] for row in amounts)]
    yield _row("pid", "name", [headings[at] for at in kept])
    for line, row in zip(now.processes, amounts, strict=True):
        yield _row(str(line.pid), line.name, [_size(row[at]) if row[at] else "-" for at in kept])


def _row(pid: str, name: str, cells: Sequence[str]) -> str:
    return f"{pid:>8} {name[:15]:<15} " + " ".join(f"{cell:>9}" for cell in cells)


def _size(pages: float) -> str:
    return format_bytes(round(pages * PAGE_BYTES))
