"""What `policy -dump` tells of nodes and their memory, and of what avoid-oom would move."""

from collections.abc import Iterator

import numpy as np

from memtierd.errors import CommandError
from memtierd.model import MachineFacts
from memtierd.policies.avoid_oom import AvoidOomPolicy, NodeNeed
from memtierd.policies.common import Policy
from memtierd.prompt.tables import Column, Table, from_rows
from memtierd.reconcile import Reconciler
from memtierd.units import GIB, KIB, MIB, PAGE_BYTES

NUMA = (
    Column("node", "node", "%4d", "%d"),
    Column("pid", "pid", "%8d", "%d"),
    Column("of_pid_mb", "pageData[M]", "%11d", "%d"),
    Column("of_all_mb", "numaUsed[M]", "%11d", "%d"),
    Column("limit_mb", "numaSize[M]", "%11d", "%d"),
)


def node_lines(machine: MachineFacts) -> Iterator[str]:
    """Yield one line for each node: what is available of its memory."""
    for node in machine.nodes:
        available, total = node.available_pages * PAGE_BYTES, node.total_pages * PAGE_BYTES
        yield (
            f"Node {node.node}: avail {available / GIB:.3f}G/{total / GIB:.3f}G {100 * available / max(1, total):.1f} %"
        )


def balance(policy: Policy) -> str:
    """Return in a word how the nodes stand.  Raises CommandError for another policy than avoid-oom."""
    needs = _needs(policy)
    short = [need for need in needs if need.is_freed]
    if not needs:
        return "not looked yet"
    if not short:
        return "no pressure"
    if len(short) == len(needs):
        return "high pressure on all nodes"
    return "pressure on some nodes" if any(need.spare_pages for need in needs) else "no low pressure nodes"


def candidate_lines(reconciler: Reconciler) -> list[str]:
    """Return one line for each region that the plan moves off a node, the first to move first."""
    _needs(reconciler.policy)
    plan = reconciler.plan.moves
    lines = []
    columns = (plan.process, plan.start, plan.move_pages, plan.source)
    for process, start, pages, source in zip(*(column.tolist() for column in columns), strict=True):
        facts = reconciler.processes.facts(process)
        size = f"{pages * PAGE_BYTES // MIB} MB (in {PAGE_BYTES // KIB} kB pages)"
        lines.append(f"pid: {facts.key.pid} {start:x} size: {size} fromNode: {source} score: {facts.oom_score}")
    return lines


def numa_table(reconciler: Reconciler, limits_pages: dict[int, int]) -> Table:
    """Return how much memory of each process lies on each node, beside that of all and the node's limit (0: none)."""
    table = reconciler.table
    slots = max((row for row, _ in reconciler.processes.rows()), default=-1) + 1
    rows = []
    for node, pages in zip(reconciler.node_ids, table.node_pages, strict=True):
        by_process = np.bincount(table.process, weights=pages, minlength=slots)
        together, limit = _mb(by_process.sum()), _mb(limits_pages.get(node, 0))
        for row, facts in reconciler.processes.rows():
            rows.append((node, facts.key.pid, _mb(by_process[row]), together, limit))
    return from_rows(NUMA, sorted(rows), "table: memory of processes on nodes")


def summary(reconciler: Reconciler) -> str:
    """Return how much is managed."""
    pages = int(reconciler.table.pages.sum(dtype=np.uint64))
    size = f"{pages * PAGE_BYTES / MIB:.1f} MiB"
    return f"pids: {len(reconciler.processes)}, ranges: {len(reconciler.table)}, pages: {pages} ({size})"


def _needs(policy: Policy) -> tuple[NodeNeed, ...]:
    if not isinstance(policy, AvoidOomPolicy):
        raise CommandError(f"the policy {policy.name} doesn't look at the need of nodes; only avoid-oom does")
    return policy.needs


def _mb(pages: float) -> int:
    return int(pages) * PAGE_BYTES // MIB
