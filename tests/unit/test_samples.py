"""Every sample configuration loads, is written out in full, and says what it claims to say."""

import re
from pathlib import Path

import attrs
import pytest

from memtierd.config import dump_json, load_file
from memtierd.config.keys import key_of
from memtierd.config.policies import SHORT_FORMS
from memtierd.mover import MoverParams
from memtierd.policies.age import AgeParams
from memtierd.policies.common import MaxPressureParams, MaxRefaultParams
from memtierd.trackers import AutoParams

SAMPLES = sorted(Path("sample-configs").glob("*.yaml"))


def test_there_are_samples() -> None:
    names = {path.name for path in SAMPLES}
    assert names >= {
        "memtierd-age-auto.yaml",
        "memtierd-age-idlepage-trackonly.yaml",
        "memtierd-age-softdirty.yaml",
        "memtierd-heat-idlepage.yaml",
    }


ROUTINES = Path("sample-configs/memtierd-routines.yaml")


def test_sample_of_routines_loads() -> None:
    config = load_file(str(ROUTINES))
    assert config.policy is not None
    assert config.policy.name == "stub"
    assert [routine.name for routine in config.routines] == ["statactions", "statactions"]


@pytest.mark.parametrize("path", [path for path in SAMPLES if path != ROUTINES], ids=lambda path: path.name)
def test_sample_loads(path: Path) -> None:
    policy = load_file(str(path)).policy
    assert policy is not None
    named = path.stem.removeprefix("memtierd-")
    assert named.startswith(policy.name)
    tracker = named.removeprefix(policy.name).split("-")[1:2]
    assert tracker in ([], [policy.params.tracker.name])
    assert dump_json(policy.params).startswith("{")


SPEAKS_FOR_ITSELF = (
    "policy:",
    "name:",
    "config:",
    "routines:",
    "pidwatcher:",
    "tracker:",
    "mover:",
    "heatmap:",
    "cgroups:",
    "- ",
)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_key_of_a_sample_is_commented(path: Path) -> None:
    """A key has a comment above it, or above the first of the lines that it follows without an empty one between."""
    commented = False
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        commented = text.startswith("#") or (commented and text != "")
        if text and not text.startswith(SPEAKS_FOR_ITSELF):
            assert commented or text.startswith("intervalms:"), f"{path.name}: {text!r} has no comment"


def test_one_sample_has_every_parameter() -> None:
    sample = Path("sample-configs/memtierd-age-auto.yaml").read_text(encoding="utf-8")
    written = set(re.findall(r"^ *([a-z]+):", sample, re.MULTILINE))
    for cls in (AgeParams, AutoParams, MoverParams, MaxPressureParams, MaxRefaultParams):
        assert {key_of(field.name) for field in attrs.fields(cls)} - set(SHORT_FORMS) <= written


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_tell_editors_where_their_schema_is(path: Path) -> None:
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    told = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert told is not None
    assert (path.parent / told[1]).resolve() == Path("schemas/memtierd.schema.json").resolve()
    assert second == "#"


def test_the_samples_in_the_readme_exist() -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    for path in SAMPLES:
        assert f"(sample-configs/{path.name})" in readme
