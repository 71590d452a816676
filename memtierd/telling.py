"""What the control loop tells of processes: few sentences, also when there are very many of them."""

import logging
from collections.abc import Collection, Iterator, Sequence

import attrs

from memtierd.model import MachineFacts, ProcessKey, Scan
from memtierd.placement.batches import spans
from memtierd.placement.plan import Plan
from memtierd.placement.text import describe_obstacle, describe_span, node_name
from memtierd.reconcile import Reconciler

LOG = logging.getLogger("memtierd")
_MOST_NAMED = 10
"""How many processes one event names before it only counts them."""


def obstacles(reconciler: Reconciler) -> list[str]:
    """Return one sentence for each process, state and obstacle that keeps memory from moving.

    When it is the same for many processes it is one sentence for all of them.
    """
    policy = reconciler.policy
    subjects: dict[str, list[str]] = {}
    for process, activity, obstacle in reconciler.obstacles():
        facts = reconciler.processes.facts(process)
        state = policy.activity.declaration.states[activity]
        wanted = " or ".join(node_name(node) for node in policy.places[policy.place_of_state[activity]].nodes)
        sentence = f"{state} memory stays where it is, wanted on {wanted}: {describe_obstacle(obstacle)}"
        subjects.setdefault(sentence, []).append(f"pid {facts.key.pid} ({facts.name})")
    return [
        f"{subject}: {sentence}"
        for sentence, of in subjects.items()
        for subject in (of if len(of) <= _MOST_NAMED else ["many processes (the command plan lists them)"])
    ]


def failures(scan: Scan) -> Iterator[str]:
    """Yield what kept processes from being scanned, of very many the first ones."""
    messages = [failure.message for failure in sorted(scan.failed, key=lambda failure: failure.key)]
    yield from messages[:_MOST_NAMED]
    if len(messages) > _MOST_NAMED:
        yield f"more than {_MOST_NAMED} processes can't be scanned; only the first ones are told of"


def log_moves(level: int, verb: str, moves: Plan, reconciler: Reconciler) -> None:
    """Log moves of the current plan, neighbours that move alike in one line."""
    for span in spans(moves):
        facts = reconciler.processes.facts(span.process)
        LOG.log(level, "%s %s", verb, describe_span(span, facts.key.pid, facts.name, reconciler.policy))


def log_processes(what: str, keys: Collection[ProcessKey]) -> None:
    """Say what begins or ends for these processes; when they are too many to read, how many they are."""
    if len(keys) > _MOST_NAMED:
        LOG.info("%s %d processes", what, len(keys))
        return
    for key in sorted(keys):
        LOG.info("%s pid %d", what, key.pid)


def known_nodes(machine: MachineFacts, node_ids: Sequence[int]) -> tuple[MachineFacts, list[str]]:
    """Return the machine with these nodes only, and one sentence for each other one: the table has no column for it."""
    known = tuple(facts for facts in machine.nodes if facts.node in node_ids)
    unknown = [
        f"node {facts.node} has memory now and had none when memtierd started; restart memtierd to use it"
        for facts in machine.nodes
        if facts.node not in node_ids
    ]
    return attrs.evolve(machine, nodes=known), unknown
