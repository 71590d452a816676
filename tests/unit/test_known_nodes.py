"""Nodes that come and go while memtierd runs."""

from memtierd.model import MachineFacts, NodeFacts
from memtierd.telling import known_nodes


def machine_of(*nodes: int) -> MachineFacts:
    return MachineFacts(tuple(NodeFacts(node, 100, 50, True, {node: 10}) for node in nodes), 0, 0)


def test_a_node_that_was_plugged_in_is_left_out_and_named() -> None:
    machine, told = known_nodes(machine_of(0, 1, 3), (0, 1))
    assert machine == machine_of(0, 1)
    (text,) = told
    assert text.startswith("node 3 ")


def test_a_node_that_was_taken_out_is_no_matter() -> None:
    assert known_nodes(machine_of(0), (0, 1)) == (machine_of(0), [])
