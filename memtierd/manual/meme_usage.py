"""The flags of meme, read from the help that it prints itself."""

import re
import subprocess
from pathlib import Path

import attrs

_FLAG = re.compile(r"  -(?P<name>[a-z]+)(?: (?P<metavar>[A-Z]+))?(?: \(default (?P<default>\S+)\))?")
_HELP = re.compile(r" {8}(?P<text>\S.*)")


@attrs.frozen
class MemeFlag:
    """One flag of meme."""

    name: str
    metavar: str
    """What stands for its value; empty for a switch."""
    default: str
    """Empty where there is none worth telling."""
    help: str


@attrs.frozen
class MemeUsage:
    """What `meme -h` tells."""

    summary: str
    """One sentence."""
    syntax: str
    """How values are written."""
    flags: tuple[MemeFlag, ...]
    remarks: str
    example_says: str
    example: str


def ask(program: Path) -> str:
    """Return the help that the meme at `program` prints, without the two lines that it always begins with.

    Raises OSError or subprocess.CalledProcessError.
    """
    printed = subprocess.run([program, "-h"], check=True, capture_output=True, text=True).stdout
    return printed[printed.index("usage:") :]


def parse(usage: str) -> MemeUsage:
    """Return what a help text tells.  Raises ValueError when it has another form than ours."""
    head, *paragraphs = usage.strip("\n").split("\n\n")
    summary = " ".join(head.splitlines()[1:])
    if len(paragraphs) != 4 or not summary:
        raise ValueError(f"{len(paragraphs)} paragraphs in the help of meme, expected 4 below a summary")
    syntax, flags, remarks, example = paragraphs
    says, _, command = example.partition("\n")
    return MemeUsage(
        summary, _joined(syntax), _flags(flags), _joined(remarks), says.removeprefix("Example: "), command.strip()
    )


def _joined(lines: str) -> str:
    return " ".join(lines.split())


def _flags(lines: str) -> tuple[MemeFlag, ...]:
    found: list[MemeFlag] = []
    for line in lines.splitlines():
        if flag := _FLAG.fullmatch(line):
            found.append(MemeFlag(flag["name"], flag["metavar"] or "", flag["default"] or "", ""))
        elif (text := _HELP.fullmatch(line)) and found:
            found[-1] = attrs.evolve(found[-1], help=f"{found[-1].help} {text['text']}".strip())
        else:
            raise ValueError(f"the line {line!r} in the help of meme, expected a flag or what it does")
    return tuple(found)
