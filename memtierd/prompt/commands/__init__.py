"""All commands of the prompt, one module a command."""

from memtierd.prompt.commands.arange import COMMAND as ARANGE
from memtierd.prompt.commands.config import COMMAND as CONFIG
from memtierd.prompt.commands.health import COMMAND as HEALTH
from memtierd.prompt.commands.help import COMMAND as HELP
from memtierd.prompt.commands.log import COMMAND as LOG
from memtierd.prompt.commands.mover import COMMAND as MOVER
from memtierd.prompt.commands.nop import COMMAND as NOP
from memtierd.prompt.commands.pages import COMMAND as PAGES
from memtierd.prompt.commands.pidwatcher import COMMAND as PIDWATCHER
from memtierd.prompt.commands.plan import COMMAND as PLAN
from memtierd.prompt.commands.policy import COMMAND as POLICY
from memtierd.prompt.commands.q import COMMAND as Q
from memtierd.prompt.commands.regions import COMMAND as REGIONS
from memtierd.prompt.commands.routines import COMMAND as ROUTINES
from memtierd.prompt.commands.stats import COMMAND as STATS
from memtierd.prompt.commands.swap import COMMAND as SWAP
from memtierd.prompt.commands.time import COMMAND as TIME
from memtierd.prompt.commands.top import COMMAND as TOP
from memtierd.prompt.commands.tracker import COMMAND as TRACKER
from memtierd.prompt.grammar import Command

COMMANDS: dict[str, Command] = {
    "arange": ARANGE,
    "config": CONFIG,
    "health": HEALTH,
    "help": HELP,
    "log": LOG,
    "mover": MOVER,
    "nop": NOP,
    "pages": PAGES,
    "pidwatcher": PIDWATCHER,
    "plan": PLAN,
    "policy": POLICY,
    "q": Q,
    "regions": REGIONS,
    "routines": ROUTINES,
    "stats": STATS,
    "swap": SWAP,
    "time": TIME,
    "top": TOP,
    "tracker": TRACKER,
}

__all__ = ["COMMANDS"]
