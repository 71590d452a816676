"""policy -dump of every policy."""

import json

import attrs
import numpy as np
import pytest

from memtierd.model import MachineFacts
from memtierd.policies.age import AgeParams
from memtierd.policies.avoid_oom import AvoidOomParams
from memtierd.policies.heat import HeatParams
from memtierd.prompt.dumps import DUMPS
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt, process_scan, scan

HEAT = HeatParams(heat_numas={0: (1,)}, numa_size={0: "64M", 7: "1G"})


def prompt_of(params: AgeParams | HeatParams | AvoidOomParams, name: str) -> Prompt:
    """Return a prompt whose daemon tracks four regions of one process on node 0."""
    daemon = FakeDaemon(params)
    daemon.policy_name, daemon.policy_params = name, params
    for at_s in (1.0, 2.0):
        daemon.reconciler.observe(scan(process_scan([1, 0, 0, 0], at_s)))
    return Prompt(daemon)


def test_alone_it_explains_every_word() -> None:
    said = prompt_of(AgeParams(), "age").good("policy -dump")
    for word, one in DUMPS.items():
        assert f"policy -dump {word}" in said
        assert one.help in said


def test_memory_on_nodes_beside_their_limits() -> None:
    prompt = prompt_of(HEAT, "heat")
    rows = json.loads(prompt.good("policy -f json -dump numa"))
    assert rows == [
        {"node": 0, "pid": 42, "of_pid_mb": 8, "of_all_mb": 8, "limit_mb": 64},
        {"node": 1, "pid": 42, "of_pid_mb": 0, "of_all_mb": 0, "limit_mb": 0},
    ]
    lines = prompt.good("policy -dump numa").splitlines()
    assert lines[1].split() == ["node", "pid", "pageData[M]", "numaUsed[M]", "numaSize[M]"]
    assert lines[2].split() == ["0", "42", "8", "8", "64"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nodes", "Node 0: avail 0.000G/4.000G 0.0 %\nNode 1: avail 0.000G/4.000G 0.0 %\n"),
        ("status", "offline\n"),
        ("summary", "pids: 1, ranges: 4, pages: 2048 (8.0 MiB)\n"),
        ("forecast", "no forecaster\n"),
    ],
)
def test_every_policy_tells_this(words: str, said: str) -> None:
    assert prompt_of(AgeParams(), "age").good(f"policy -dump {words}") == said


def test_the_configuration_is_json() -> None:
    assert json.loads(prompt_of(HEAT, "heat").good("policy -dump config"))["HeatNumas"] == {"0": [1]}


def test_tables_have_formats() -> None:
    prompt = prompt_of(HEAT, "heat")
    assert {row["pid"] for row in json.loads(prompt.good("policy -f json -dump accessed 0,5s,0"))} == {"42"}
    assert set(json.loads(prompt.good("policy -f json -dump heatgram 3"))) == {"max_heat", "heat_classes"}
    assert prompt.good("policy -f csv -dump accessed 0,5s,0").splitlines()[1] == (
        "pid,lastaccs>=[s],lastaccs<[s],pages,mem[G],pidmem[%]"
    )


class Short(FakeDaemon):
    """A daemon whose node 0 has next to nothing available, and node 1 all of it."""

    def machine(self) -> MachineFacts:
        whole = super().machine()
        available = (100, 1 << 19)
        nodes = [attrs.evolve(node, available_pages=pages) for node, pages in zip(whole.nodes, available, strict=True)]
        return attrs.evolve(whole, nodes=tuple(nodes))


def test_need_of_nodes_and_what_is_to_be_moved() -> None:
    daemon = Short(AvoidOomParams())
    daemon.policy_name, daemon.policy_params = "avoid-oom", AvoidOomParams()
    prompt = Prompt(daemon)
    assert prompt.good("policy -dump balance") == "not looked yet\n"
    facts = attrs.evolve(process_scan([0], 1.0).facts, oom_score=812)
    daemon.reconciler.observe(scan(attrs.evolve(process_scan([0, 0], 1.0), facts=facts)))
    daemon.tick_now()
    assert prompt.good("policy -dump balance") == "pressure on some nodes\n"
    lines = prompt.good("policy -dump cands").splitlines()
    assert lines == [
        f"pid: 42 {start:x} size: 2 MB (in 4 kB pages) fromNode: 0 score: 812"
        for start in np.sort(daemon.reconciler.table.start).tolist()
    ]


@pytest.mark.parametrize("words", ["balance", "cands"])
def test_other_policies_have_no_need(words: str) -> None:
    assert "only avoid-oom does" in prompt_of(AgeParams(), "age").bad(f"policy -dump {words}")


def test_arguments_that_a_word_does_not_take_are_refused() -> None:
    assert "unexpected argument" in prompt_of(AgeParams(), "age").bad("policy -dump status now", 2)
