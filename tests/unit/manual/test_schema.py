"""The JSON Schema refuses what the loader refuses, as far as a schema can see it, and explains everything."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from memtierd.config import REGISTRIES, load_text, schema_text
from memtierd.config.descriptions import DESCRIPTIONS
from memtierd.config.mappings import fields_by_key
from memtierd.config.policies import SHORT_FORMS
from memtierd.config.schema import PATTERNS, UNIT_KEY
from memtierd.errors import ConfigError
from memtierd.parameters import ChecksItself, option_of
from tests.unit.manual.config_samples import configurations

SCHEMA = json.loads(schema_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BAD = sorted((Path(__file__).parents[2] / "cases" / "config" / "bad").glob("*.yaml"))

UNSEEN = {
    # A text that holds a mapping is a text to a schema.
    "block-text",
    "block-text-anchored",
    "block-text-broken",
    "block-text-indented",
    "block-text-windows",
    "config-is-a-word",
    "escaped-json",
    "folded-text",
    "quoted-json",
    "text-with-two-documents",
    "text-within-text-only-once",
    # Characters that no path can have.
    "escaped-nul",
    "escaped-surrogate",
    # Which texts are regular expressions of Python.
    "bad-regexp",
    # An empty list of routines is one when there is a policy.
    "missing-policy",
}
"""Wrong files that the schema can't tell from right ones."""

NO_YAML = {
    "alias-of-itself",
    "broken-flow",
    "complex-key",
    "control-character",
    "heat-keys",
    "no-such-character",
    "not-utf8",
    "tab-indent",
    "tag-on-value",
    "tags",
    "two-documents",
    "unknown-alias",
    "utf16",
}
"""Wrong files that never come to a schema: whoever reads them stops before that."""


def as_json(data: bytes) -> Any:
    """Return YAML as an editor hands it to a schema: with texts for keys."""
    return json.loads(json.dumps(YAML(typ="safe").load(data.decode("utf-8"))))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_the_loader_refuses_the_schema_refuses(path: Path) -> None:
    try:
        content = as_json(path.read_bytes())
    except (YAMLError, ValueError, TypeError, OverflowError):
        assert path.stem in NO_YAML
        return
    assert path.stem not in NO_YAML
    assert VALIDATOR.is_valid(content) == (path.stem in UNSEEN)


AGE = {"pids": [1]}
WRONG: list[tuple[str, Any]] = [
    ("no one to watch", {"policy": {"name": "age", "config": {}}}),
    ("no parameters at all", {"policy": {"name": "age"}}),
    ("nobody named", {"policy": {"name": "age", "config": {"pids": []}}}),
    ("two short forms", {"policy": {"name": "age", "config": {"pids": [1], "cgroups": ["/a"]}}}),
    ("a relative cgroup", {"policy": {"name": "age", "config": {"cgroups": ["a"]}}}),
    ("a node twice", {"policy": {"name": "age", "config": AGE | {"idlenumas": [1, 1]}}}),
    ("no nodes", {"policy": {"name": "demote-idle", "config": AGE | {"idlenumas": []}}}),
    ("a heat class below 0", {"policy": {"name": "heat", "config": AGE | {"heatnumas": {"-1": [0]}}}}),
    ("a size without one", {"policy": {"name": "heat", "config": AGE | {"numasize": {"0": "much"}}}}),
    ("a portion above 100", {"policy": {"name": "avoid-oom", "config": AGE | {"startfreeingmemory": "101%"}}}),
    ("no ratio", {"policy": {"name": "ratio", "config": AGE}}),
    ("a tracker of nothing", {"policy": {"name": "age", "config": AGE | {"tracker": {"name": "multi"}}}}),
    ("stub watches nobody", {"policy": {"name": "stub", "config": {"pids": [1]}}}),
    ("a routine without an interval", {"routines": [{"name": "statactions", "config": {}}]}),
    ("a chain without members", {"policy": {"name": "heat", "config": AGE | {"forecaster": {"name": "chain"}}}}),
    (
        "a trace to nowhere",
        {"policy": {"name": "heat", "config": AGE | {"forecaster": {"name": "trace", "config": {"file": ""}}}}},
    ),
    (
        "a filter without a condition",
        {
            "policy": {
                "name": "age",
                "config": {"pidwatcher": {"name": "filter", "config": {"source": {"name": "proc"}, "filters": [{}]}}},
            }
        },
    ),
]
RIGHT: list[tuple[str, Any]] = [
    ("stub without parameters", {"policy": {"name": "stub"}}),
    ("no pidwatcher beside a short form", {"policy": {"name": "age", "config": AGE | {"pidwatcher": None}}}),
    (
        "only pages of interest",
        {"policy": {"name": "demote-idle", "config": {"pagesofinterestdir": "/a", "idlenumas": [1]}}},
    ),
    ("auto in place of nodes", {"policy": {"name": "age", "config": AGE | {"idlenumas": "auto"}}}),
    ("a guard with its defaults", {"policy": {"name": "age", "config": AGE | {"maxpressure": {}}}}),
    (
        "perf with options",
        {
            "policy": {
                "name": "heat",
                "config": AGE | {"tracker": {"name": "damon", "config": {"connection": "perf -F 99", "nrkdamonds": 1}}},
            }
        },
    ),
    ("a mover without parameters", {"policy": {"name": "age", "config": AGE | {"mover": None}}}),
]


@pytest.mark.parametrize("content", [content for _, content in WRONG], ids=[name for name, _ in WRONG])
def test_both_refuse(content: Any) -> None:
    assert not VALIDATOR.is_valid(content)
    with pytest.raises(ConfigError):
        load_text(json.dumps(content), "wrong.json")


@pytest.mark.parametrize("content", [content for _, content in RIGHT], ids=[name for name, _ in RIGHT])
def test_both_take(content: Any) -> None:
    VALIDATOR.validate(content)
    load_text(json.dumps(content), "right.json")


def registered() -> Iterator[tuple[str, str, type[Any]]]:
    """Yield kind, name and params class of every part."""
    for kind, registry in REGISTRIES.items():
        if isinstance(registry, type):
            yield kind, "", registry
        else:
            yield from ((kind, name, cls) for name, cls in registry.items())


@pytest.mark.parametrize(
    ("kind", "name", "cls"), list(registered()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_bounds_units_defaults_and_choices_are_those_of_the_declaration(kind: str, name: str, cls: type[Any]) -> None:
    for key, field in fields_by_key(cls).items():
        told, option = SCHEMA["$defs"][cls.__name__]["properties"][key], option_of(field)
        assert told["description"]
        if told["description"] == "This policy has none.":
            continue
        leaves = [leaf for leaf in every_mapping(told) if leaf.get("type") in {"integer", "number"}]
        assert told.get(UNIT_KEY, "") == option.unit
        assert all((leaf.get("minimum"), leaf.get("maximum")) == option.bounds for leaf in leaves), key
        assert not option.choices or told["enum"] == list(option.choices)
        assert option.required or "default" in told or "$ref" in json.dumps(told) or key in SHORT_FORMS, key
        if "default" in told:
            assert VALIDATOR.evolve(schema=told | {"$defs": SCHEMA["$defs"]}).is_valid(told["default"]), key


def every_mapping(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield all schemas inside a schema, but not what stands behind references."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from every_mapping(inner)


def test_every_part_is_described_and_nothing_else() -> None:
    assert {
        kind: {name: DESCRIPTIONS[kind][name] for name in registry}
        for kind, registry in REGISTRIES.items()
        if not isinstance(registry, type)
    } == DESCRIPTIONS
    for kind, names in DESCRIPTIONS.items():
        assert SCHEMA["$defs"][kind]["properties"]["name"]["enumDescriptions"] == [
            names[name] for name in sorted(names)
        ]
        assert all(text.endswith(".") and text[0].isupper() for text in names.values())


def is_right(parameter: str, text: str) -> bool:
    """Return whether the declaration of a parameter (CLASS.FIELD) takes a text."""
    wanted, _, name = parameter.partition(".")
    cls = next(cls for _, _, cls in registered() if cls.__name__ == wanted)
    field = attrs.fields_dict(attrs.resolve_types(cls))[name]
    check = option_of(field).check
    if check is not None:
        return check((text,) if "tuple" in str(field.type) else text) is None
    made = cls(**{name: {0: text}})
    assert isinstance(made, ChecksItself)
    return not list(made.problems())


TEXTS = [
    "", " ", "/", "/a", "a", "file:", "file:/a", "file", "exec", "memtier", "memtier-prompt", "shell",
    "auto", "auto ", "auto x", "tracefs", "sysfs", "bpftrace", "bpftrace x", "perf", "perf -F 99", "perfect", "perf ",
    "8%", "0%", "100%", "101%", "100.0%", "100.5%", "007%", "1.5%", "8.%", ".5%", "%", "-1%", "1e1%", "8 %", " 8% ",
    "512M", "512 M", "512", "512MiB", "512Mi", "512iB", "512MB", "512B", "512m", "64k", "1T", "M", "1.5G", "8%M",
    " 1M", "1" * 16,
]  # fmt: skip


@pytest.mark.parametrize("parameter", PATTERNS)
def test_patterns_match_what_is_right(parameter: str) -> None:
    validator = jsonschema.Draft202012Validator({"pattern": PATTERNS[parameter]})
    for text in TEXTS:
        assert validator.is_valid(text) == is_right(parameter, text), text


@pytest.mark.parametrize("parameter", PATTERNS)
@given(text=st.text("0123456789.%kKMGTiB /:feilaut-mr", max_size=8))
def test_patterns_match_what_is_right_in_any_text(parameter: str, text: str) -> None:
    assert jsonschema.Draft202012Validator({"pattern": PATTERNS[parameter]}).is_valid(text) == is_right(parameter, text)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(content=configurations())
def test_the_schema_takes_whatever_the_loader_takes(content: Any) -> None:
    try:
        load_text(json.dumps(content), "made.json")
    except ConfigError:
        event("refused by the loader")
        return
    event("taken by the loader")
    VALIDATOR.validate(content)
