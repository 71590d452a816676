"""meme(1): the memory exerciser."""

from memtierd import __version__
from memtierd.manual.meme_usage import MemeUsage
from memtierd.manual.roff import Page, bold, escaped, italic, marked

EXIT_STATUSES = {
    0: "Done.",
    1: "A size or a time was wrong, or memory could not be had.",
    2: "A flag, a number or a switch was wrong.",
}


def page(usage: MemeUsage) -> str:
    """Return the page."""
    out = Page("meme", 1, f"memtierd {__version__}", "User Commands")
    out.section("NAME")
    out.paragraph(escaped("meme - exercise memory, to try out memtierd"))
    out.section("SYNOPSIS")
    out.paragraph(f"{bold('meme')} [{italic('FLAG VALUE')}]...")
    out.section("DESCRIPTION")
    for text in (usage.summary, usage.remarks):
        out.paragraph(escaped(text))
    out.section("OPTIONS")
    out.paragraph(escaped(usage.syntax))
    for flag in usage.flags:
        tag = f"{bold(f'-{flag.name}')} {italic(flag.metavar)}" if flag.metavar else bold(f"-{flag.name}")
        default = f" Default: {flag.default}." if flag.default else ""
        out.entry(tag, escaped(f"{flag.help[0].upper()}{flag.help[1:]}.{default}"))
    out.section("EXIT STATUS")
    for status, text in EXIT_STATUSES.items():
        out.entry(bold(str(status)), escaped(text))
    out.section("EXAMPLES")
    out.paragraph(escaped(f"{usage.example_says[0].upper()}{usage.example_says[1:].removesuffix(':')}:"))
    out.example([usage.example])
    out.paragraph(marked("The same in the background for ten minutes, for memtierd to track:"))
    out.example([f"{usage.example} -ttl 10m &", 'memtierd -prompt -c "tracker -create auto -start $!"'])
    out.section("SEE ALSO")
    out.paragraph(f"{bold('memtierd')}(8)")
    return out.text
