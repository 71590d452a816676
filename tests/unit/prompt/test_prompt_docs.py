"""The page about the prompt is what the declarations give now, and lacks nothing that they have."""

from pathlib import Path

import pytest

from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.docs import page
from memtierd.prompt.tokens import parse_line

PAGE = Path(__file__).parents[3] / "docs" / "prompt.md"
EXAMPLES = [(command.name, example) for command in COMMANDS.values() for example in command.examples]


def section(name: str) -> str:
    """Return what the page says of a command."""
    return page().partition(f"\n### {name}\n")[2].partition("\n### ")[0]


def test_the_page_is_fresh() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page().rstrip("\n") + "\n", "run: python -m memtierd.prompt.docs > docs/prompt.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_is_on_the_page_and_in_its_help(name: str) -> None:
    command = COMMANDS[name]
    said = section(name)
    usage = command.usage()
    assert f"| [`{name}`](#{name}) |" in page()
    for flag in command.flags:
        assert f"| `{flag.spelling}`".replace("|", "\\|")[1:] in said
        assert f"  {flag.spelling} " in usage
        assert flag.help.replace("|", "\\|") in said
        assert " ".join(flag.help.split()) in " ".join(usage.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_with_flags_have_examples_in_their_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.examples or not command.flags
    for example in command.examples:
        assert f"\n  {example}\n" in command.usage()
        assert f"\nmemtierd> {example}\n" in section(name)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_examples_can_be_typed(name: str, example: str) -> None:
    first, *words = parse_line(example).words
    assert first == name
    assert COMMANDS[name].parse(words) is not None


def test_no_two_flags_of_a_command_have_one_name() -> None:
    for command in COMMANDS.values():
        names = [flag.name for flag in command.flags]
        assert len(names) == len(set(names))
        assert not {"h", "help"} & set(names)
