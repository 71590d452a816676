"""Every kind of bad file gives exactly its problems, each at its place; good ones load."""

import re
from pathlib import Path

import pytest

from memtierd.config.dump import dump_json
from memtierd.config.loader import Loader
from memtierd.errors import ConfigError

CASES = Path(__file__).parents[2] / "cases" / "config"
BAD = sorted((CASES / "bad").glob("*.yaml"))
GOOD = sorted((CASES / "good").glob("age-*.yaml"))
LINE = re.compile(r"case\.yaml:(\d+):(\d+): (?:([^\s:]+): )?.+, expected .+")

AGE = "policy:\n  name: age\n  config:\n    pids: [5]\n"
HEAT = "policy:\n  name: heat\n  config:\n    pids: [5]\n"


def places(problems: list[str]) -> list[str]:
    """Return "LINE:COLUMN PATH" of each message; every message has the promised form."""
    found = []
    for problem in problems:
        matched = LINE.fullmatch(problem)
        assert matched, problem
        found.append(f"{matched[1]}:{matched[2]} {matched[3] or '-'}")
    return found


def problems_of(loader: Loader, path: Path) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loader.load_file(str(path))
    return [problem.replace(str(path), "case.yaml", 1) for problem in raised.value.problems]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file(loader: Loader, path: Path) -> None:
    expected = path.with_suffix(".expected").read_text().splitlines()
    assert places(problems_of(loader, path)) == expected


def test_every_case_has_both_files() -> None:
    assert {path.stem for path in BAD} == {path.stem for path in (CASES / "bad").glob("*.expected")}
    assert len(BAD) > 50


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_all_spellings_and_forms_of_one_configuration_are_equal(loader: Loader, path: Path) -> None:
    assert loader.load_file(str(path)) == loader.load_file(str(CASES / "good" / "age-mapping.yaml"))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_dump_reads_back_equal(loader: Loader, path: Path) -> None:
    config = loader.load_file(str(path))
    assert loader.load_text(dump_json(config), "dump") == config


NO_INTEGERS = [
    '"5"',
    "1.5",
    "5.0",
    "true",
    "yes",
    "0x10",
    "010",
    "1_000",
    "[5]",
    "{a: 5}",
    "~",
    "1" * 30,
    "1e3",
    ".inf",
]
NO_INTERVALS = [*NO_INTEGERS, "-5", "0", "999999999999999999"]


@pytest.mark.parametrize("value", NO_INTERVALS)
def test_no_interval(loader: Loader, value: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loader.load_text(f"{AGE}    intervalms: {value}\n", "case.yaml")
    assert places(raised.value.problems) == ["5:17 policy.config.intervalms"]


@pytest.mark.parametrize("value", ["yes", "on", "1", "'true'", "~", "[]"])
def test_no_boolean(loader: Loader, value: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loader.load_text(f"{AGE}    tracker: {{name: grid, config: {{reads: {value}}}}}\n", "case.yaml")
    assert places(raised.value.problems) == ["5:43 policy.config.tracker.config.reads"]


@pytest.mark.parametrize("value", ["'0.5'", ".nan", ".inf", "-.inf", "-1", "0", "0.0", "1e999", "true", "0b1"])
def test_no_heat(loader: Loader, value: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loader.load_text(f"{HEAT}    heatmap: {{heatmax: {value}}}\n", "case.yaml")
    assert places(raised.value.problems) == ["5:24 policy.config.heatmap.heatmax"]


@pytest.mark.parametrize(
    ("value", "heat_max"), [("1", 1.0), ("0.01", 0.01), (".5", 0.5), ("1e-3", 0.001), ("+2.", 2.0)]
)
def test_numbers(loader: Loader, value: str, heat_max: float) -> None:
    config = loader.load_text(f"{HEAT}    heatmap: {{heatmax: {value}}}\n", "case.yaml")
    assert config.policy is not None
    assert config.policy.params.heatmap.heat_max == heat_max
