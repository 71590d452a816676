"""Parameters of the routines, and what can be said against their values without running anything."""

from collections.abc import Iterator

import attrs

from memtierd.parameters import FieldProblem, option

RUNNERS = ("exec", "memtier", "memtier-prompt")


def _check_runner(name: str) -> str | None:
    return None if name in ("", *RUNNERS) else f"one of {', '.join(RUNNERS)}"


def _runner(command: str) -> str:
    runner: str = option(
        "exec",
        doc=f"How {command} is run: as a program without a shell, as words of a prompt command, or as a prompt line.",
        check=_check_runner,
    )
    return runner


@attrs.frozen(kw_only=True)
class StatActionsParams:
    """Parameters of the statactions routine: commands that run every interval, or after so much swapping out."""

    interval_ms: int = option(
        doc="How often intervalcommand is run and the swapped-out memory is looked at.", unit="ms", at_least=1
    )
    interval_command: tuple[str, ...] = option((), doc="Run every interval.")
    interval_command_runner: str = _runner("intervalcommand")
    page_out_mb: int = option(
        0,
        doc="pageoutcommand is run when so much more memory has really been swapped out; 0: never.",
        unit="MB",
        at_least=0,
        at_most=1_000_000_000,
    )
    page_out_command: tuple[str, ...] = option((), doc="Run for every pageoutmb of memory that was swapped out.")
    page_out_command_runner: str = _runner("pageoutcommand")
    timestamp: str = option("", doc="Layout of the time that is printed before every command; empty: none.")
    timestamp_after: str = option("", doc="Layout of the time that is printed after every command; empty: none.")
    command_timeout_ms: int = option(
        60_000, doc="A command that takes longer is killed with its whole process group.", unit="ms", at_least=1
    )

    def problems(self) -> Iterator[FieldProblem]:
        """Yield that nothing would ever be run, and prompt lines that are not one line."""
        if not self.interval_command and not (self.page_out_command and self.page_out_mb):
            yield FieldProblem(
                "",
                "an intervalcommand, or a pageoutcommand with a pageoutmb of 1 or more",
                "a routine without an action",
                depends_on=("interval_command", "page_out_command", "page_out_mb"),
            )
        for field in ("interval_command", "page_out_command"):
            words: tuple[str, ...] = getattr(self, field)
            if getattr(self, f"{field}_runner") == "memtier-prompt" and len(words) > 1:
                expected = "a list with one text: memtier-prompt runs one line"
                yield FieldProblem(field, expected, f"{len(words)} texts", depends_on=(f"{field}_runner",))
