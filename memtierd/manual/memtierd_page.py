"""memtierd(8): flags, prompt and surroundings."""

import re

from memtierd import __version__
from memtierd.flags import COMMAND_LINE
from memtierd.manual.roff import Page, bold, escaped, italic, marked
from memtierd.manual.surroundings import ENVIRONMENT, EXIT_STATUSES, FILES, SIGNALS, STATES, STATUS_OF_COMMANDS
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.grammar import Command, Flag

EXAMPLES = (
    ("Check a configuration, and see what this machine can do:", ("memtierd -config memtierd.yaml -check",)),
    (
        "See what a configuration would move after half a minute, and why:",
        ("memtierd -config memtierd.yaml -plan -for 30s",),
    ),
    ("Manage memory by it, but log every move instead of making it:", ("memtierd -config memtierd.yaml -dry-run",)),
    (
        "Look into the running service, from a shell and from a script:",
        ("memtierd -prompt", "memtierd -c 'stats -t events -f json' > events.json"),
    ),
    (
        "Change a value while it runs, and put the file's back in force:",
        ("memtierd -c 'config -set policy.idledurationms=30000'", "memtierd -c 'config -reload'"),
    ),
    (
        "Without a service, move all memory of a process to node 1:",
        ("memtierd -standalone -c 'pages -pid 4242", "mover -pages-to 1", "mover -wait'"),
    ),
)
"""What each does, and its lines."""

_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


def page() -> str:
    """Return the page."""
    out = Page("memtierd", 8, f"memtierd {__version__}", "System Administration")
    out.section("NAME")
    out.paragraph(escaped(f"memtierd - {COMMAND_LINE.help}"))
    out.section("SYNOPSIS")
    for line in _SYNOPSIS:
        out.paragraph(marked(line))
    out.section("DESCRIPTION")
    for line in _DESCRIPTION:
        out.paragraph(marked(line))
    _options(out)
    _prompt(out)
    _surroundings(out)
    out.section("EXAMPLES")
    for text, lines in EXAMPLES:
        out.paragraph(marked(text))
        out.example(lines)
    out.section("SEE ALSO")
    out.paragraph(f"{bold('memtierd.yaml')}(5), {bold('meme')}(1), {bold('numactl')}(8), {bold('move_pages')}(2)")
    return out.text


_SYNOPSIS = (
    "`memtierd` `-config` _FILE_ [`-check` | `-dry-run` | `-plan`] [_FLAG_]...",
    "`memtierd` [`-attach` _PATH_ | `-standalone`] [`-c` _COMMANDS_] [`-f` _FILE_] [`-prompt`] [_FLAG_]...",
    "`memtierd` `-check` | `-schema` | `-version` | `-h`",
)
_DESCRIPTION = (
    "memtierd watches the processes you choose, learns which of their memory is used, and puts each part where it"
    " belongs: memory in use on fast NUMA nodes, idle memory on slow ones or in swap, within a bandwidth that you set."
    " It needs Linux 5.15 or later, and root.",
    "With `-config` it manages memory as a file says, until a signal ends it. When standard input is a pipe, commands"
    " are read from it. Edits of the file take effect while it runs.",
    "With `-prompt`, `-c` or `-f` and without `-config` it runs commands: in the daemon that listens on the control"
    " socket when there is one, else by itself.",
)


def _options(out: Page) -> None:
    out.section("OPTIONS")
    out.paragraph(marked("One dash or two, `-flag` _value_ or `-flag`=_value_."))
    for flag in COMMAND_LINE.flags:
        _flag(out, flag)
    out.entry(bold("-h"), escaped("Print the flags and end."))


def _flag(out: Page, flag: Flag) -> None:
    """Add the entry of a flag, with the values that there are where it does not name them."""
    metavar = f" {italic(flag.metavar)}" if flag.metavar else ""
    missing = [choice for choice in flag.kind.choices if choice not in f"{flag.metavar} {flag.help}"]
    choices = f" ({', '.join(flag.kind.choices)})" if missing else ""
    tag = f"{bold(f'-{flag.name}')}{metavar}" if flag.name else f"[{italic(flag.metavar)}]"
    out.entry(tag, escaped(_sentence(flag.help + choices)))


def _prompt(out: Page) -> None:
    out.section("PROMPT")
    for text in (
        "Words are separated by spaces. Quotes and a backslash keep a word with spaces together, and a word that begins"
        " with `{` or `[` goes on to the matching bracket. What stands behind the first `|` is run with `sh` `-c`, by"
        " the prompt and never by the daemon, and gets what the command prints. `#` begins a comment.",
        "On a terminal the tab key completes commands, flags and values. Ctrl-C ends a command and never the daemon;"
        " Ctrl-D leaves.",
        "`help` lists the commands, _COMMAND_ `-h` explains one.",
    ):
        out.paragraph(marked(text))
    out.subsection("Values")
    forms = {flag.metavar: flag.kind.form for command in COMMANDS.values() for flag in command.flags}
    for metavar, form in sorted(forms.items()):
        if form:
            out.entry(italic(metavar), marked(_sentence(_LINK.sub(r"\1 below", form))))
    out.subsection("States of regions")
    for state, text in STATES.items():
        out.entry(bold(state), marked(text))
    out.section("COMMANDS")
    for name in sorted(COMMANDS):
        _command(out, COMMANDS[name])


def _command(out: Page, command: Command) -> None:
    out.subsection(command.name)
    out.paragraph(escaped(_sentence(command.help)))
    for flag in command.flags:
        _flag(out, flag)
    if command.examples:
        out.example(command.examples)


def _surroundings(out: Page) -> None:
    for title, texts in (("EXIT STATUS", EXIT_STATUSES), ("SIGNALS", SIGNALS)):
        out.section(title)
        for name, text in texts.items():
            out.entry(marked(f"`{name}`") if "_" not in name else marked(name), marked(text))
        if title == "EXIT STATUS":
            out.paragraph(marked(STATUS_OF_COMMANDS))
    for title, texts in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        out.section(title)
        for name, text in texts.items():
            out.entry(bold(name), marked(text))


def _sentence(text: str) -> str:
    """Return text that begins with a capital letter, unless with a mark or a flag, and ends with a full stop."""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
