"""The JSON Schema: the one in schemas/ is the generated one, it takes every sample, and it refuses what is wrong."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from memtierd.config import REGISTRIES, schema_text
from memtierd.config.mappings import fields_by_key

SCHEMA = json.loads(schema_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SAMPLES = sorted(Path("sample-configs").glob("*.yaml"))


def as_json(text: str) -> Any:
    """Return YAML as an editor hands it to a schema: with texts for keys."""
    return json.loads(json.dumps(YAML(typ="safe").load(text)))


def test_the_schema_in_the_tree_is_the_generated_one() -> None:
    kept = Path("schemas/memtierd.schema.json").read_text(encoding="utf-8")
    assert kept == schema_text(), "regenerate it: make schema"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_valid(path: Path) -> None:
    VALIDATOR.validate(as_json(path.read_text(encoding="utf-8")))


def test_every_parameter_of_every_part_is_in_it() -> None:
    for kind, registry in REGISTRIES.items():
        if isinstance(registry, type):
            assert set(SCHEMA["$defs"][registry.__name__]["properties"]) == set(fields_by_key(registry))
            continue
        assert SCHEMA["$defs"][kind]["properties"]["name"]["enum"] == sorted(registry)
        for cls in registry.values():
            assert set(SCHEMA["$defs"][cls.__name__]["properties"]) == set(fields_by_key(cls))


@pytest.mark.parametrize(
    "text",
    [
        "{policy: {name: nosuch}}",
        "{policy: {config: {}}}",
        "{policies: {}}",
        "{policy: {name: age, config: {nosuch: 1}}}",
        "{policy: {name: age, config: {idledurationms: -1}}}",
        "{policy: {name: age, config: {idledurationms: many}}}",
        "{policy: {name: age, config: {idlenumas: [2000]}}}",
        "{policy: {name: age, config: {idlenumas: fast}}}",
        "{policy: {name: age, config: {tracker: {name: softdirty, config: {scanintervalms: 0}}}}}",
        "{policy: {name: heat, config: {heatnumas: {hot: [1]}}}}",
    ],
)
def test_what_is_wrong_is_refused(text: str) -> None:
    assert not VALIDATOR.is_valid(as_json(text))


@pytest.mark.parametrize(
    "text",
    [
        "{policy: {name: age, config: 'pids: [1]'}}",
        "{policy: {name: age, config: {pids: [1], idlenumas: auto}}}",
        "{policy: {name: heat, config: {pids: [1], heatnumas: {0: [-1]}, numasize: {1: 30%}}}}",
    ],
)
def test_what_is_right_is_taken(text: str) -> None:
    VALIDATOR.validate(as_json(text))
