"""q: leave."""

from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, NoOptions


def run(context: Context, _: NoOptions) -> None:
    """End the session, or the text or file that holds the command."""
    context.memory.quit_requested = True
    context.line("quit.")


COMMAND = Command("q", "quit; in commands of an option or a file it ends only those", run, changes=False)
