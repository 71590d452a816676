"""The real parts: what is declared can be loaded, dumped and read back; the prompt examples of the seed load."""

import typing
from pathlib import Path
from typing import Any

import attrs
import pytest

from memtierd import config
from memtierd.config.leaves import LEAF_HOOKS
from memtierd.config.mappings import fields_by_key
from memtierd.errors import ConfigError
from memtierd.model import Auto
from memtierd.parameters import KIND_KEY, Option, option_of

CASES = Path(__file__).parents[2] / "cases" / "config" / "good"
KINDS = [(kind, names) for kind, names in config.REGISTRIES.items() if not isinstance(names, type)]
CLASSES = [cls for _, names in KINDS for cls in names.values()] + [config.REGISTRIES["mover"]]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_parameter_is_described_and_of_a_known_type(cls: type[Any]) -> None:
    for key, field in fields_by_key(cls).items():
        assert key == key.lower()
        described = option_of(field)
        assert isinstance(described, Option)
        assert described.doc.endswith(".")
        if KIND_KEY not in field.metadata:
            check_type(field.type)


def check_type(wanted: Any) -> None:
    parts = [part for part in typing.get_args(wanted) if part not in {type(None), Ellipsis, Auto}]
    assert parts or wanted in LEAF_HOOKS or attrs.has(wanted), wanted
    for part in parts:
        check_type(part)


def test_every_filter_without_a_condition_is_told_at_once() -> None:
    text = "{source: {name: proc}, filters: [{minvmrsskb: 1}, {}, {and: []}, {not: {}}, {or: [{}]}, {minvmrsskb: x}]}"
    with pytest.raises(ConfigError) as raised:
        config.structure("pidwatcher", "filter", text, "x")
    paths = [problem.split(": ")[1] for problem in raised.value.problems]
    assert paths == ["filters.1", "filters.2", "filters.3.not", "filters.4.or.0", "filters.5.minvmrsskb"]


REQUIRED = {
    "demote-idle": "{pids: [7], idlenumas: [1]}",
    "cgroups": "cgroups: [/a]",
    "pidlist": "pids: [7]",
    "filter": "{source: {name: proc}, filters: [{minvmrsskb: 1}]}",
    "statactions": "{intervalms: 1000, intervalcommand: [date]}",
    "chain": "{forecasters: [{name: stub}, {name: trace, config: {file: /tmp/trace}}]}",
    "stdio": "{command: [cat]}",
    "trace": "{file: /tmp/trace}",
    "ratio": "{pids: [7], ratio: 0.3}",
    "stub": "",
    "multi": "trackers: [{name: stub}]",
}
PARTS = [(kind, name) for kind, names in KINDS for name in names] + [("mover", "")]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_defaults_are_within_their_own_bounds(kind: str, name: str) -> None:
    text = REQUIRED.get(name, "pids: [7]" if kind == "policy" else "")
    params = config.structure(kind, name, text, "x")
    assert config.structure(kind, name, config.dump_json(params), "x") == params


@pytest.mark.parametrize("name", ["age-softdirty", "age-idlepage-trackonly", "heat-idlepage"])
def test_samples_in_the_way_of_the_seed(name: str) -> None:
    loaded = config.load_file(str(CASES / f"sample-{name}.yaml"))
    assert config.load_text(config.dump_json(loaded), "dump") == loaded


@pytest.mark.parametrize(("name", "file"), [("age", "prompt-age.json"), ("heat", "prompt-heat.json")])
def test_prompt_examples_of_the_seed(name: str, file: str) -> None:
    params = config.structure("policy", name, (CASES / file).read_text(), "-config")
    assert params.pidwatcher.params.cgroups == ("/sys/fs/cgroup/foobar",)
    assert params.tracker.params.pages_in_region == 256
    assert params.mover.bandwidth == 200


def test_a_part_without_parameters_takes_no_key() -> None:
    text = "policy: {name: age, config: {pids: [5], tracker: {name: stub, config: {intervalms: 5}}}}\n"
    with pytest.raises(ConfigError) as raised:
        config.load_text(text, "x")
    assert raised.value.problems == ["x:1:72: policy.config.tracker.config.intervalms: unknown key, expected none here"]
