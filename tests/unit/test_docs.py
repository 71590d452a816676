"""The README keeps up with what there is: flags, commands, parameters, files."""

import re
import tomllib
from pathlib import Path

import attrs
import pytest

from memtierd.config import REGISTRIES, load_text
from memtierd.errors import ConfigError
from memtierd.flags import COMMAND_LINE
from memtierd.prompt.commands import COMMANDS

README = Path("README.md").read_text(encoding="utf-8")
DEPRECATED = {"skip_page_prob", "pagemap_readahead", "kpageflags_readahead", "bitmap_readahead", "track_referenced"}


def test_every_flag_is_in_the_readme_and_no_other() -> None:
    table = README.split("| flag | what it does |")[1].split("\n\n")[0]
    documented = set(re.findall(r"`-([a-z-]+)", table))
    assert documented == {flag.name for flag in COMMAND_LINE.flags} | {"h"}


def test_every_command_is_in_the_readme() -> None:
    table = README.split("| command | what it does |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z]+)`", table, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_parameter_of_a_part_is_in_the_readme(kind: str) -> None:
    registry = REGISTRIES[kind]
    for name, params in [("", registry)] if isinstance(registry, type) else registry.items():
        assert not name or f"`{name}`" in README or f"### {name}" in README
        for field in attrs.fields(params):
            key = field.name.rstrip("_").replace("_", "")
            assert field.name in DEPRECATED or f"`{key}`" in README, f"{kind} {name}: {key} is not in the README"


def test_the_messages_for_a_wrong_file_are_real() -> None:
    shown = re.findall(r"^wrong\.yaml:.*", README, re.MULTILINE)
    text = 'policy:\n  name: age\n  config:\n    intervalms: "5"\n    pids: [4242]\n    idlenuma: [1]\n'
    with pytest.raises(ConfigError) as raised:
        load_text(text, "wrong.yaml")
    assert len(shown) == len(raised.value.problems)
    for line, problem in zip(shown, raised.value.problems, strict=True):
        assert problem.startswith(line.removesuffix("…"))


PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"`[^`\n]*`", "", prose)):
        assert target.startswith("http") or (page.parent / target).exists(), target


ARCHITECTURE = Path("docs/architecture.md").read_text(encoding="utf-8")
BESIDE_THE_LAYERS = {"__init__", "__main__", "meme"}


def test_every_layer_is_in_the_architecture_and_no_other() -> None:
    table = ARCHITECTURE.split("| layer | contents |")[1].split("\n\n")[0]
    told = re.findall(r"`([a-z_]+)/?`", "".join(row.split("|")[1] for row in table.splitlines() if "|" in row))
    there = {
        path.stem for path in Path("memtierd").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert len(told) == len(set(told))
    assert set(told) == there - BESIDE_THE_LAYERS


def test_every_decision_is_numbered_once() -> None:
    numbers = [path.name[:4] for path in Path("docs/adr").glob("*.md")]
    assert len(numbers) == len(set(numbers))


def test_every_layer_has_its_place_in_the_import_contract() -> None:
    contracts = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.removeprefix("memtierd.") for layer in layers for name in layer.split(" | ")}
    there = {
        path.stem for path in Path("memtierd").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - named == {"__init__", "meme"}
