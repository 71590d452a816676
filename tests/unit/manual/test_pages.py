"""The manual pages are what the declarations give now, lack nothing that they have, and are well formed."""

import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from memtierd.config import REGISTRIES, load_text
from memtierd.config.descriptions import DESCRIPTIONS
from memtierd.config.mappings import fields_by_key
from memtierd.flags import COMMAND_LINE
from memtierd.manual import meme_usage
from memtierd.manual.__main__ import documents, main
from memtierd.manual.memtierd_page import EXAMPLES as COMMAND_EXAMPLES
from memtierd.manual.notes import NOTES
from memtierd.manual.roff import Page, bold, escaped, italic, marked, problems
from memtierd.manual.surroundings import ENVIRONMENT, FILES, STATES
from memtierd.manual.yaml_page import EXAMPLES
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.tokens import parse_line
from memtierd.regions.lifecycle import PLACEMENT, age_activity, choice_activity, heat_activity, stub_activity

ROOT = Path(__file__).parents[3]
MEME = ROOT / "bin" / "meme"
MADE = documents(MEME)
PAGES = sorted(name for name in MADE if name.startswith("man/"))


@pytest.mark.parametrize("name", MADE)
def test_what_is_kept_is_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == MADE[name], "run: python -m memtierd.manual"


def test_nothing_else_is_kept() -> None:
    kept = {
        f"{path.parent.name}/{path.name}"
        for part in ("man", "completions")
        for path in (ROOT / "docs" / part).iterdir()
    }
    assert kept == set(MADE)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_well_formed(name: str) -> None:
    assert problems(MADE[name]) == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "command", [["groff", "-ww", "-man", "-Tutf8"], ["mandoc", "-Tlint", "-Wwarning"]], ids=lambda c: c[0]
)
def test_formatters_take_them(name: str, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; the test above has looked at what the page is made of")
    ran = subprocess.run([*command, ROOT / "docs" / name], capture_output=True, text=True, check=False, timeout=60)
    complaints = ran.stderr if command[0] == "groff" else ran.stdout
    # Pages have no date on purpose: they are the same whenever they are made.
    assert [line for line in complaints.splitlines() if "missing date" not in line] == []


def shown(name: str) -> str:
    """Return a page as it is read, without fonts and escapes."""
    text = re.sub(r"\\f[BIR]|\\&", "", MADE[name])
    for escape, character in (
        (r"\-", "-"),
        (r"\(aq", "'"),
        (r"\(ga", "`"),
        (r"\(ha", "^"),
        (r"\(ti", "~"),
        (r"\(dq", '"'),
    ):
        text = text.replace(escape, character)
    return re.sub(r"\\\[u([0-9A-F]+)\]", lambda found: chr(int(found[1], 16)), text).replace(r"\e", "\\")


def words(text: str) -> str:
    return " ".join(text.split())


def test_every_flag_and_command_is_in_the_page() -> None:
    page = shown("man/memtierd.8")
    flat = words(page).lower()
    for flag in COMMAND_LINE.flags:
        assert f"\n.TP\n{flag.spelling}\n" in page
        assert words(flag.help).lower() in flat
    for name, command in COMMANDS.items():
        said = page.partition(f"\n.SS {name}\n")[2].partition("\n.S")[0]
        assert words(command.help)[1:] in words(said)
        assert all(f"\n.TP\n{flag.spelling}\n" in said for flag in command.flags)
        assert all(f"\n{example}\n" in said for example in command.examples)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_parameter_is_in_the_page(kind: str) -> None:
    registry: Any = REGISTRIES[kind]
    page = shown("man/memtierd.yaml.5")
    for name, cls in {"": registry}.items() if isinstance(registry, type) else registry.items():
        title = f".SS {kind.capitalize()} {name}" if name else f".SH {kind.upper()}"
        said = page.partition(f"\n{title}\n")[2].partition("\n.SS ")[0]
        if kind == "policy":
            said += page.partition("\n.SS Parameters of all policies\n")[2].partition("\n.SS ")[0]
        assert not name or words(DESCRIPTIONS[kind][name]) in words(said)
        for key in fields_by_key(cls):
            assert f"\n.TP\n{key}\n" in said, f"{kind} {name}: {key}"


def test_notes_are_about_parts_that_there_are() -> None:
    assert all(name in DESCRIPTIONS[kind] for kind, name in NOTES)


@pytest.mark.parametrize("file", [file for _, file in EXAMPLES], ids=lambda file: file.split()[0])
def test_examples_of_files_are_valid(file: str) -> None:
    load_text(textwrap.dedent(file), "example.yaml")


COMMAND_LINES = [line for _, lines in COMMAND_EXAMPLES for line in "\n".join(lines).split("\nmemtierd") if line]


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_examples_of_commands_are_valid(line: str) -> None:
    given = [word for word in shlex.split(line.partition(" > ")[0]) if word != "memtierd"]
    options = COMMAND_LINE.parse(given)
    assert options is not None
    for typed in (options.c or "").splitlines():
        name, *rest = parse_line(typed).words
        assert COMMANDS[name].parse(rest) is not None


def test_the_states_are_told() -> None:
    machines = (age_activity(), heat_activity(1), choice_activity("ratio"), stub_activity(), PLACEMENT)
    assert set(STATES) == {state for machine in machines for state in machine.declaration.states}


def test_the_environment_is_told() -> None:
    read = re.compile(
        r'(?:os\.environ|environment)(?:\.get\(|\[)"([A-Z_]+)"|^[A-Z_]*VARIABLE = "([A-Z_]+)"|getenv\("([A-Z_]+)"',
        re.MULTILINE,
    )
    used = {
        next(filter(None, found))
        for path in (ROOT / "memtierd").rglob("*.py")
        if path.parts[-2] != "meme"  # the compiler that builds it
        for found in read.findall(path.read_text(encoding="utf-8"))
    }
    assert {"MEMTIERD_CONTROL", "NO_COLOR", "XDG_STATE_HOME"} <= used <= set(ENVIRONMENT)


def test_the_files_of_the_service_are_told() -> None:
    unit = (ROOT / "systemd" / "memtierd.service").read_text(encoding="utf-8")
    for path in re.findall(r"-config (/\S+)|EnvironmentFile=-(/\S+)", unit):
        assert "".join(path) in FILES


def test_meme_is_read_as_it_tells() -> None:
    usage = meme_usage.parse(meme_usage.ask(MEME))
    names = re.findall(r"^  -([a-z]+)", meme_usage.ask(MEME), re.MULTILINE)
    assert [flag.name for flag in usage.flags] == names
    page = shown("man/meme.1")
    for flag in usage.flags:
        assert f"\n.TP\n-{flag.name} {flag.metavar}".rstrip() + "\n" in page
        assert flag.help[1:] in words(page)


@pytest.mark.parametrize("usage", ["", "usage: meme\nA thing.\n\nSyntax\n\n  wrong\n\nRemarks\n\nExample: x\n  y\n"])
def test_another_help_is_refused(usage: str) -> None:
    with pytest.raises(ValueError, match="the help of meme"):
        meme_usage.parse(usage)


def test_marked_text_and_special_characters() -> None:
    assert marked("type `a_b-c` _X_ or 1_000") == rf"type {bold('a_b-c')} {italic('X')} or 1_000"
    assert escaped("\\ - ' ` ^ ~ \" ≥") == r"\e \- \(aq \(ga \(ha \(ti \(dq \[u2265]"
    with pytest.raises(ValueError, match="line break"):
        escaped("a\nb")


def test_sentences_begin_lines_and_dots_are_no_requests() -> None:
    page = Page("x", 1, "x 1", "X")
    page.section("A")
    page.paragraph(escaped(".a is one. Two is another."))
    page.example([".so /etc/passwd"])
    assert page.text.splitlines()[2:] == [
        r"\&.a is one.",
        "Two is another.",
        ".PP",
        ".RS 4",
        ".EX",
        r"\&.so /etc/passwd",
        ".EE",
        ".RE",
    ]
    assert problems(page.text) == []


@pytest.mark.parametrize("wrong", [".so /etc/passwd", "'x", "a\\xb", "≥", "a\n\nb", r"\fBa", ".RE", ".RS", ".EX"])
def test_what_is_no_page_is_found(wrong: str) -> None:
    assert problems(f".SH A\n{wrong}\n")


def test_all_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([str(tmp_path)]) == 0
    written = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == MADE
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in MADE]


def test_without_meme_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert main(["-h"]) == 2
    assert list(tmp_path.iterdir()) == []
    told, usage = capsys.readouterr().err.splitlines()
    assert told.endswith("make it with: make bin/meme")
    assert usage.startswith("usage: ")
