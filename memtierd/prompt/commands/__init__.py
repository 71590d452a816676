"""All commands of the prompt, one module a command."""

from memtierd.prompt.commands import help as help_command
from memtierd.prompt.commands import mover, nop, pages, plan, policy, q, regions, stats, swap, tracker
from memtierd.prompt.grammar import Command

COMMANDS: dict[str, Command] = {
    "help": help_command.COMMAND,
    "mover": mover.COMMAND,
    "nop": nop.COMMAND,
    "pages": pages.COMMAND,
    "plan": plan.COMMAND,
    "policy": policy.COMMAND,
    "q": q.COMMAND,
    "regions": regions.COMMAND,
    "stats": stats.COMMAND,
    "swap": swap.COMMAND,
    "tracker": tracker.COMMAND,
}

__all__ = ["COMMANDS"]
