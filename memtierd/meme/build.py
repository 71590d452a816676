"""Compile meme, also as a program of its own: python build.py OUTPUT [COMPILER FLAG]..."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread")


def sources() -> list[Path]:
    """Return the C files of meme, in a fixed order."""
    return sorted(DIRECTORY.glob("*.c"))


def version() -> str:
    """Return the version of the memtierd package around, from its text: it may not be importable yet."""
    text = (DIRECTORY.parent / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError(f'{DIRECTORY.parent / "__init__.py"}: no line __version__ = "..."')
    return found[1]


def compile(output: Path, cc: str = "cc", extra: Sequence[str] = ()) -> None:  # noqa: A001
    """Compile and link meme to `output` with the compiler command `cc` and flags `extra` after our own.

    Raises subprocess.CalledProcessError if the compiler fails (its messages go to standard error),
    OSError if there is no such compiler.
    """
    files = [str(path) for path in sources()]
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [cc, *FLAGS, f'-DMEME_VERSION="{version()}"', *extra, "-o", str(output), *files]
    subprocess.run(command, check=True)


def main(arguments: Sequence[str]) -> int:
    """Compile to the first argument with the compiler $CC (default cc); return the exit status."""
    if not arguments or arguments[0].startswith("-"):
        print("usage: build.py OUTPUT [COMPILER FLAG]...", file=sys.stderr)
        return 2
    cc = os.environ.get("CC", "cc")
    try:
        compile(Path(arguments[0]), cc, arguments[1:])
    except subprocess.CalledProcessError as error:
        return error.returncode
    except FileNotFoundError as error:
        print(f"compile meme with {cc!r}: {error.strerror} (ENOENT); install a C compiler or set CC", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
