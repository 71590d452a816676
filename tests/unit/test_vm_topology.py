"""Topologies of test guests: what is read from JSON, what is refused, what QEMU is told."""

from __future__ import annotations

import itertools

import pytest

from tests.vm.harness.topology import (
    DEFAULT,
    Node,
    TopologyError,
    format_topology,
    parse_slow_nodes,
    parse_topology,
    qemu_arguments,
)


def test_cores_and_memory_are_of_each_node() -> None:
    text = '[{"cores": 2, "mem": "4G", "nodes": 2}, {"cores": 0, "mem": "512M"}]'
    assert parse_topology(text) == (Node(2, 4096), Node(2, 4096), Node(0, 512))


def test_default_is_two_nodes_with_a_core_and_two_without() -> None:
    assert parse_topology(DEFAULT) == (Node(1, 1024), Node(1, 1024), Node(0, 1024), Node(0, 1024))


def test_first_node_may_be_without_cores() -> None:
    assert parse_topology('[{"cores": 0, "mem": "1G"}, {"cores": 1, "mem": "1G"}]') == (Node(0, 1024), Node(1, 1024))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("[{]", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('[{"cores": 1' + "0" * 5000 + "}]", "not JSON"),
        ('[{"cores": 1, "mem": "1' + "0" * 5000 + 'M"}]', "mem: expected a size"),
        ("{}", "expected a list of nodes"),
        ("[]", "expected a list of nodes"),
        ("[3]", "entry 1: expected an object"),
        ('[{"cores": 1, "mem": "1G"}, {"core": 1, "mem": "1G"}]', "entry 2: unknown key 'core'"),
        ('[{"mem": "1G"}]', "'cores' is missing"),
        ('[{"cores": 1}]', "'mem' is missing"),
        ('[{"cores": -1, "mem": "1G"}]', "cores: expected a whole number from 0 to 16, got -1"),
        ('[{"cores": true, "mem": "1G"}]', "got true"),
        ('[{"cores": "1", "mem": "1G"}]', 'got "1"'),
        ('[{"cores": 1.5, "mem": "1G"}]', "got 1.5"),
        ('[{"cores": 1, "mem": "1G", "nodes": 0}]', "nodes: expected a whole number from 1 to 64, got 0"),
        ('[{"cores": 1, "mem": "1T"}]', 'mem: expected a size such as "4G" or "512M", got "1T"'),
        ('[{"cores": 1, "mem": 1024}]', "got 1024"),
        ('[{"cores": 1, "mem": "1.5G"}]', 'got "1.5G"'),
        ('[{"cores": 1, "mem": "64M"}]', "at least 128M"),
        ('[{"cores": 0, "mem": "1G"}]', "1 to 16 cores on all nodes together, got 0"),
        ('[{"cores": 9, "mem": "1G", "nodes": 2}]', "1 to 16 cores on all nodes together, got 18"),
        ('[{"cores": 1, "mem": "1G"}, {"cores": 0, "mem": "1G", "nodes": 64}]', "at most 64 nodes, got 65"),
    ],
)
def test_a_wrong_topology_is_refused_on_one_line(text: str, complaint: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_format_is_one_pair_for_each_node() -> None:
    assert format_topology((Node(2, 4096), Node(0, 512))) == "2:4096,0:512"


@pytest.mark.parametrize(("text", "nodes"), [("", set()), ("2", {2}), ("2,3", {2, 3}), (" 3 , 2", {2, 3})])
def test_slow_nodes(text: str, nodes: set[int]) -> None:
    assert parse_slow_nodes(text, 4) == nodes


@pytest.mark.parametrize("text", ["4", "-1", "x", "1,,2", "1-2"])
def test_slow_nodes_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(TopologyError, match="expected numbers 0 to 3"):
        parse_slow_nodes(text, 4)


def values_of(arguments: list[str], option: str) -> list[str]:
    """What follows each occurrence of an option."""
    return [value for name, value in itertools.pairwise(arguments) if name == option]


def test_qemu_gets_the_sums_and_each_node_in_order() -> None:
    arguments = qemu_arguments((Node(0, 512), Node(2, 1024), Node(1, 256)))
    assert values_of(arguments, "-m") == ["1792M"]
    assert values_of(arguments, "-smp") == ["3"]
    assert values_of(arguments, "-object") == [
        "memory-backend-ram,id=m0,size=512M",
        "memory-backend-ram,id=m1,size=1024M",
        "memory-backend-ram,id=m2,size=256M",
    ]
    assert values_of(arguments, "-numa") == [
        "node,nodeid=0,memdev=m0",
        "node,nodeid=1,memdev=m1,cpus=0-1",
        "node,nodeid=2,memdev=m2,cpus=2-2",
    ]


def test_slow_nodes_are_described_from_every_node_with_cores() -> None:
    numa = values_of(qemu_arguments((Node(0, 512), Node(1, 512), Node(1, 512)), {0}), "-numa")
    assert numa[:3] == [
        "node,nodeid=0,memdev=m0,initiator=1",
        "node,nodeid=1,memdev=m1,cpus=0-0,initiator=1",
        "node,nodeid=2,memdev=m2,cpus=1-1,initiator=2",
    ]
    latencies = {
        (
            initiator,
            target,
        ): f"hmat-lb,initiator={initiator},target={target},hierarchy=memory,data-type=access-latency,latency={ns}"
        for initiator, target, ns in [(1, 0, 400), (1, 1, 80), (1, 2, 120), (2, 0, 400), (2, 1, 120), (2, 2, 80)]
    }
    assert [argument for argument in numa if "latency=" in argument] == list(latencies.values())
    assert len([argument for argument in numa if "bandwidth=" in argument]) == len(latencies)
