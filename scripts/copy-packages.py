"""Copies memtierd and the packages that it needs, as this Python has them, into a directory of their own.

The directory is not tied to where it lies: `bin/memtierd` finds it beside itself.
"""

import importlib.metadata
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
CODE = (".py", ".so", ".typed")
"""What of memtierd's own files is needed to run."""


def requirements() -> list[str]:
    """Return what memtierd itself requires, with what an installed service may use beyond that."""
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["metrics"]]


def needed(requirements: Iterable[str]) -> Iterator[str]:
    """Yield the names of the packages that these requirements name here, and of all that those need."""
    for requirement in requirements:
        wanted, _, marker = requirement.partition(";")
        name = re.match(r"[\w.-]+", wanted)
        assert name is not None, requirement
        if "extra ==" in marker or (marker and not is_installed(name[0])):
            continue  # for what nobody asked for, or for another Python or system
        yield name[0]
        yield from needed(importlib.metadata.requires(name[0]) or ())


def is_installed(distribution: str) -> bool:
    """Return whether this Python has a package."""
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def files_of(distribution: str) -> Iterator[tuple[Path, Path]]:
    """Yield every installed file of a package and its path below site-packages; neither tests nor byte code."""
    for file in importlib.metadata.files(distribution) or ():
        if ".." not in file.parts and not {"tests", "__pycache__"} & set(file.parts):
            yield Path(str(file.locate())), Path(file)


def own_files() -> Iterator[tuple[Path, Path]]:
    """Yield the same of memtierd, from the tree."""
    for file in sorted((TREE / "memtierd").rglob("*")):
        if file.suffix in CODE:
            yield file, file.relative_to(TREE)


def main(target: Path) -> None:
    """Copy everything to `target`, which must not exist."""
    target.mkdir(parents=True)
    packages = sorted(set(needed(requirements())))
    pairs = [*own_files(), *(pair for package in packages for pair in files_of(package))]
    for source, relative in pairs:
        copied = target / relative
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copied)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
