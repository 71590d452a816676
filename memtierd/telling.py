"""What the control loop tells of processes: few sentences, also when there are very many of them."""

import logging
from collections.abc import Collection, Iterator

from memtierd.model import ProcessKey, Scan
from memtierd.placement.text import describe_obstacle, node_name
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


def log_processes(what: str, keys: Collection[ProcessKey]) -> None:
    """Say what begins or ends for these processes; when they are too many to read, how many they are."""
    if len(keys) > _MOST_NAMED:
        LOG.info("%s %d processes", what, len(keys))
        return
    for key in sorted(keys):
        LOG.info("%s pid %d", what, key.pid)
