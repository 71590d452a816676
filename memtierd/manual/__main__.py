"""Writes the manual pages and completions below docs/: python -m memtierd.manual [DIRECTORY]."""

import sys
from collections.abc import Sequence
from pathlib import Path

from memtierd.manual import bash, fish, meme_page, meme_usage, memtierd_page, programs, yaml_page, zsh


def documents(meme: Path) -> dict[str, str]:
    """Return the contents of all files by their paths below docs/, with what the program `meme` tells of itself.

    Raises OSError or subprocess.CalledProcessError when meme does not run.
    """
    usage = meme_usage.parse(meme_usage.ask(meme))
    made = {
        "man/memtierd.8": memtierd_page.page(),
        "man/memtierd.yaml.5": yaml_page.page(),
        "man/meme.1": meme_page.page(usage),
    }
    for program in (programs.memtierd(), programs.meme(usage)):
        made[f"completions/{program.name}.bash"] = bash.script(program)
        made[f"completions/_{program.name}"] = zsh.script(program)
        made[f"completions/{program.name}.fish"] = fish.script(program)
    return made


def main(arguments: Sequence[str]) -> int:
    """Write all files; return the exit status."""
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print("usage: python -m memtierd.manual [DIRECTORY]", file=sys.stderr)
        return 2
    directory = Path(arguments[0] if arguments else "docs")
    try:
        made = documents(Path("bin/meme"))
    except FileNotFoundError:
        print("run bin/meme: no such file or directory (ENOENT); make it with: make bin/meme", file=sys.stderr)
        return 1
    for name, text in made.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
