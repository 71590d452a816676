"""Every sample configuration loads, is written out in full, and says what it claims to say."""

from pathlib import Path

import pytest

from memtierd.config import dump_json, load_file

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


def test_the_samples_in_the_readme_exist() -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    for path in SAMPLES:
        assert f"(sample-configs/{path.name})" in readme
