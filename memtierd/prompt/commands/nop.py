"""nop: nothing."""

from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, NoOptions


def run(_context: Context, _options: NoOptions) -> None:
    """Do nothing."""


COMMAND = Command("nop", "do nothing", run, changes=False)
