"""help: which commands there are, and what each takes."""

import difflib
import textwrap
from collections.abc import Iterable

import attrs

from memtierd.prompt.context import Context
from memtierd.prompt.grammar import HELP_COLUMNS, Command, UsageError, flag
from memtierd.prompt.kinds import REST
from memtierd.prompt.window import window_of

SYNTAX = """\
Syntax:
  COMMAND -h               explain a command and its flags
  COMMAND | SHELLCOMMAND   give the output of a command to a shell command
  # TEXT                   a comment
  'a b' "a b" a\\ b         a word with a space; {...} and [...] need no quotes"""


def unknown_command(name: str, known: Iterable[str]) -> str:
    """Return what to say of a command that does not exist."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"unknown command {name!r}; " + (f"perhaps {nearest[0]}; " if nearest else "") + "help lists the commands"


@attrs.frozen(kw_only=True)
class Options:
    """Options of help."""

    words: tuple[str, ...] = flag(REST, "explain only these commands", metavar="COMMAND...", default=())


def run(context: Context, options: Options) -> None:
    """List all commands, or explain some."""
    from memtierd.prompt.commands import COMMANDS  # noqa: PLC0415  the registry names this module, too

    columns = window_of(context.out).width(HELP_COLUMNS)
    for name in options.words:
        if name not in COMMANDS:
            raise UsageError(unknown_command(name, COMMANDS))
        context.out.write(COMMANDS[name].usage(columns))
    if not options.words:
        context.line("Commands:")
        for name in sorted(COMMANDS):
            text = f"  {name:<10} {COMMANDS[name].help}"
            context.lines(textwrap.wrap(text, columns, subsequent_indent=" " * 13))
        context.line()
        context.line(SYNTAX)


COMMAND = Command(
    "help", "list the commands", run, Options, ("help", "help pages mover", "help | grep memory"), changes=False
)
