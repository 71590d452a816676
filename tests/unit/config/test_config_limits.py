"""Whatever the bytes, the answer is a configuration or a ConfigError, and soon."""

import contextlib
import json
import random
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtierd.config.loader import Loader
from memtierd.config.places import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_LINE_CHARACTERS,
    MAX_NODES,
    MAX_TEXT_LEVELS,
    Budget,
    file_source,
    inner_source,
)
from memtierd.config.problems import Invalid
from memtierd.errors import ConfigError

CASES = Path(__file__).parents[2] / "cases" / "config"
SAMPLES = [path.read_bytes() for folder in ("good", "bad") for path in sorted((CASES / folder).glob("*.yaml"))]
# fmt: off
PIECES = [
    b"\n", b" ", b"  ", b"\t", b": ", b"- ", b"? ", b"|", b">", b"'", b'"', b"{", b"}", b"[", b"]", b",", b"#",
    b"&a ", b"*a", b"!", b"!!str ", b"%YAML 1.1\n", b"%TAG ! x\n", b"---\n", b"...\n", b"<<", b"\\x", b"\\U",
    b"\xff", b"\0", b"~", b"1e999", b"-1", b"policy", b"config", b"name", b"age", b"pids", b"heatnumas",
    b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf",
]
# fmt: on
FAST = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])


def load_bytes(loader: Loader, path: Path, data: bytes) -> None:
    """Load `data` from a file; anything but success and ConfigError fails the test."""
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        loader.load_file(str(path))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "fuzz.yaml"


@FAST
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=60))
def test_scrambled_yaml(loader: Loader, scratch: Path, pieces: list[bytes]) -> None:
    load_bytes(loader, scratch, b"".join(pieces))


@FAST
@given(data=st.binary(max_size=200))
def test_random_bytes(loader: Loader, scratch: Path, data: bytes) -> None:
    load_bytes(loader, scratch, data)


@FAST
@given(sample=st.sampled_from(SAMPLES), seed=st.integers(0, 2**32))
def test_mutated_samples(loader: Loader, scratch: Path, sample: bytes, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(sample)
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(data))
        end = min(len(data), at + chance.choice([0, 0, 1, 1, 5, 40]))
        data[at:end] = chance.choice([b"", *PIECES])
    load_bytes(loader, scratch, bytes(data))


def error_of(loader: Loader, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        loader.load_text(text, "x")
    return raised.value


def test_alias_bomb(loader: Loader) -> None:
    text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    text += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
    assert len(error_of(loader, text).problems) == 1


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_endless_nesting(loader: Loader, opening: str) -> None:
    assert len(error_of(loader, opening * 10_000).problems) == 1


def test_endless_nesting_by_indentation(loader: Loader) -> None:
    assert error_of(loader, "".join(" " * i + "a:\n" for i in range(300)))


def test_aliases_can_not_nest_without_end(loader: Loader) -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))
    assert len(error_of(loader, text).problems) == 1


def filter_chain(levels: int, source: object) -> object:
    for _ in range(levels):
        source = {"name": "filter", "config": {"filters": [{"minvmrsskb": 1}], "source": source}}
    return source


def test_as_much_nesting_as_is_allowed_needs_no_more_stack_than_python_has(loader: Loader) -> None:
    rule: object = {"minvmrsskb": 1}
    for _ in range(MAX_DEPTH - 3):
        rule = {"not": rule}
    text = json.dumps({"filters": [rule], "source": {"name": "proc"}})
    for _ in range(MAX_TEXT_LEVELS - 1):
        chain = filter_chain(MAX_DEPTH // 2 - 2, {"name": "filter", "config": text})
        text = json.dumps({"filters": [{}], "source": chain})
    chain = filter_chain(MAX_DEPTH // 2 - 3, {"name": "filter", "config": text})
    assert loader.load_text(json.dumps({"policy": {"name": "age", "config": {"pidwatcher": chain}}}), "x")


def test_texts_can_not_nest_without_end(loader: Loader) -> None:
    watcher: object = {"name": "proc"}
    for _ in range(8):
        watcher = {"name": "filter", "config": json.dumps({"filters": [{}], "source": watcher})}
    text = json.dumps({"policy": {"name": "age", "config": {"pidwatcher": watcher}}})
    assert len(error_of(loader, text).problems) == 1


def test_texts_inside_texts_share_one_budget() -> None:
    outer = attrs.evolve(file_source(""), budget=Budget(characters=10))
    inner_source(outer, "123456", outer.locate)
    with pytest.raises(Invalid):
        inner_source(outer, "123456", outer.locate)


def test_too_many_values(loader: Loader) -> None:
    text = "policy:\n  name: age\n  config:\n    pids:\n" + "    - 7\n" * (MAX_NODES + 1)
    assert len(error_of(loader, text).problems) == 1


def test_too_big(loader: Loader, tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * 80 + b"\n" * MAX_BYTES)
    with pytest.raises(ConfigError):
        loader.load_file(str(path))
    error_of(loader, "\n" * (MAX_BYTES + 1))
    error_of(loader, "#" * (MAX_LINE_CHARACTERS + 1))


def test_endless_file(loader: Loader) -> None:
    with pytest.raises(ConfigError):
        loader.load_file("/dev/zero")
