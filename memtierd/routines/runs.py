"""One run of a command: a program in a process group of its own, or a command of the prompt."""

import subprocess
from collections.abc import Callable
from typing import Protocol

from memtierd.errors import MemtierdError
from memtierd.linux.child import how_ended, kill_group, why_not_started


class Prompt(Protocol):
    """A prompt session."""

    def run_line(self, text: str) -> int:
        """Run a command line, pipe included, and return its status."""

    def run_words(self, words: tuple[str, ...]) -> int:
        """Run a command whose words are given, and return its status."""

    def abort(self) -> None:
        """Kill the shell command that runs; from any thread."""


class Console(Protocol):
    """Standard output, and prompt sessions of their own there; used from many threads at once."""

    def write(self, text: str) -> None:
        """Print text.  Raises MemtierdError."""

    def open_prompt(self) -> Prompt:
        """Return a new session."""


class Run(Protocol):
    """A run of a command; it runs once."""

    def run(self) -> str:
        """Carry it out to its end; return what went wrong, empty when nothing did.  Raises MemtierdError."""

    def abort(self) -> None:
        """Make `run` return early as far as that is possible; from any thread."""


class ExecRun:
    """Runs a program without a shell; what it prints goes where memtierd's output goes."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._is_aborted = False

    def run(self) -> str:
        """Run the program and return how it ended."""
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a word
            return why_not_started(error)
        self._process = process
        if self._is_aborted:
            kill_group(process)
        return how_ended(process.wait())

    def abort(self) -> None:
        """Kill the program and all that it started, but what left its process group."""
        self._is_aborted = True
        if self._process is not None:
            kill_group(self._process)


class PromptRun:
    """Runs a command in a prompt session of its own."""

    def __init__(self, console: Console | None, run: Callable[[Prompt], int]) -> None:
        self._console = console
        self._run = run
        self._prompt: Prompt | None = None

    def run(self) -> str:
        """Run the command; the session says what goes wrong on the error output."""
        if self._console is None:
            raise MemtierdError("run a command of memtierd: there is no prompt here")
        self._prompt = self._console.open_prompt()
        status = self._run(self._prompt)
        return f"status {status}" if status else ""

    def abort(self) -> None:
        """Kill the shell behind the pipe; a command of memtierd itself goes on to its end."""
        if self._prompt is not None:
            self._prompt.abort()


def run_of(runner: str, command: tuple[str, ...], console: Console | None) -> Run:
    """Return a run of `command` by a runner of params.RUNNERS."""
    if runner == "exec":
        return ExecRun(command)
    if runner == "memtier":
        return PromptRun(console, lambda session: session.run_words(command))
    return PromptRun(console, lambda session: session.run_line(" ".join(command)))
