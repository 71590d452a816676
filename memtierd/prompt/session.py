"""A session: reads command lines from a terminal, a pipe, a text or a file, runs them, and tells how they ended."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from io import TextIOWrapper
from typing import TextIO

from memtierd.errors import MemtierdError, errno_name
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.commands.help import unknown_command
from memtierd.prompt.completion import Candidate, complete
from memtierd.prompt.context import Context, DaemonPort, Memory, Writer
from memtierd.prompt.grammar import HELP_COLUMNS, Command, UsageError
from memtierd.prompt.interrupts import Interrupts
from memtierd.prompt.known_values import known_values
from memtierd.prompt.log_copy import logged
from memtierd.prompt.output import Output
from memtierd.prompt.shell import ReaderLeftError, ShellPipe
from memtierd.prompt.terminal import history_path, line_editing
from memtierd.prompt.tokens import Line, parse_line
from memtierd.prompt.window import window_of
from memtierd.text import bounded, printable

LOG = logging.getLogger("memtierd.prompt")
PROMPT = "memtierd> "

OK = 0
FAILED = 1
BAD_USAGE = 2
BUG = 70
"""As EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
"""As a shell says of a command that SIGINT ended."""


class Session:
    """Runs commands for one user; what one command selects, later ones use.

    Results go to `out`, problems to `err`.  No exception of a command gets out of a session.
    """

    def __init__(
        self,
        daemon: DaemonPort,
        out: TextIO,
        err: TextIO,
        echo: bool = False,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        alone: bool = False,
    ) -> None:
        """Prepare; an `alone` session has nobody at a terminal, and its shell commands can be killed with `abort`."""
        self._daemon = daemon
        # What sessions print side by side is not to be mixed line by line: only one of its own gets it by line.
        self._out = Output(out, by_line=not alone)
        self._err = Output(err)
        self._echo = echo
        self._clock_ns = clock_ns
        self._memory = Memory()
        self._alone = alone
        self._pipe: ShellPipe | None = None
        self._is_aborted = False
        self._output_gone = False
        self._interrupted = False
        self._interrupts = Interrupts()
        self._name = "memtierd"
        """Who speaks in messages: the command that runs."""

    def run_line(self, text: str) -> int:
        """Run one command line and return its status: 0 done, 1 failed, 2 wrong usage, 70 a bug, 130 interrupted."""
        return self._attempt(lambda: parse_line(text), text)

    def run_words(self, words: tuple[str, ...]) -> int:
        """Run a command whose words are given, and return its status like `run_line`."""
        return self._attempt(lambda: Line(words, None), " ".join(words))

    def abort(self) -> None:
        """Kill the shell command behind the pipe, also one that is yet to come; from any thread."""
        self._is_aborted = True
        pipe = self._pipe
        if pipe is not None:
            pipe.kill()

    def _attempt(self, read: Callable[[], Line], text: str) -> int:
        self._name = "memtierd"
        try:
            line = read()
            if not line.words and line.shell is None:
                return OK
            with self._interrupts.allowed():
                return self._flushed(lambda: self._run(line))
        except BrokenPipeError:
            self._lose_output()
            return OK
        except KeyboardInterrupt:
            self._interrupted = True
            self._report("interrupted")
            return INTERRUPTED
        except MemtierdError as error:
            self._report(str(error))
            return BAD_USAGE if isinstance(error, UsageError) else FAILED
        except Exception as error:  # a bug in one command must not end the daemon
            LOG.exception("prompt: unexpected %s in %r; this is a bug, report it", type(error).__name__, text)
            self._report(f"internal error: {type(error).__name__}: {error}")
            return BUG

    def run_text(self, text: str, *, to_first_failure: bool = False) -> int:
        """Run the lines of a text, up to the first `q`; return the status of the last command that failed."""
        return self._run_lines(text.split("\n"), echo=self._echo, to_first_failure=to_first_failure)

    def run_file(self, path: str, *, to_first_failure: bool = False) -> int:
        """Run the lines of a file like `run_text`; a file that can't be read is a failure."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except (OSError, ValueError) as error:
            said = str(error)
            if isinstance(error, OSError):
                said = f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
            self._report(f"read commands from {path!r}: {said}; give a readable file")
            return FAILED
        return self.run_text(text, to_first_failure=to_first_failure)

    def loop(self, stdin: TextIO) -> int:
        """Run lines from `stdin` to its end or to `q`; always returns 0.

        On a terminal there is a prompt, line editing and a history; Ctrl-C ends a command, Ctrl-D the session.
        Without a person who types, Ctrl-C ends everything: a KeyboardInterrupt is raised.
        """
        if isinstance(stdin, TextIOWrapper):
            stdin.reconfigure(errors="surrogateescape")
        if stdin.isatty() and self._out.isatty():
            values = known_values(self._daemon)

            def candidates(before: str) -> list[Candidate]:
                with self._interrupts.held():  # readline swallows what a completer raises
                    return complete(before, COMMANDS, values)

            with (
                self._interrupts.taken(),
                line_editing(history_path(os.environ), PROMPT, self._report, candidates),
            ):
                self._run_lines(self._typed(), echo=False, typed=True)
        else:
            self._run_lines(stdin, echo=self._echo)
        return OK

    def _run_lines(
        self, lines: Iterable[str], *, echo: bool, typed: bool = False, to_first_failure: bool = False
    ) -> int:
        """Run lines until one of them quits; that ends only these lines."""
        self._memory.quit_requested = False
        status = OK
        for line in lines:
            text = line.rstrip("\n")
            if echo:
                self._say(f"{PROMPT}{printable(text)}\n")
            self._interrupted = False
            status = self.run_line(text) or status
            if self._interrupted and not typed:
                raise KeyboardInterrupt
            if self._memory.quit_requested or self._output_gone or (status and to_first_failure):
                break
        self._memory.quit_requested = False
        self._name = "memtierd"
        return status

    def _typed(self) -> Iterable[str]:
        """Yield the lines that a person types, until the end of the input."""
        while True:
            try:
                with self._interrupts.allowed():
                    line = input(PROMPT)
            except KeyboardInterrupt:
                self._say("\n")
                continue
            except EOFError:
                self._say("quit: EOF\n")
                return
            yield line

    def _run(self, line: Line) -> int:
        command, arguments = _resolve(line.words)
        if command is not None:
            self._name = command.name
            command.parse(arguments)  # wrong usage is told before a shell is started for nothing
        if line.shell is None:
            return self._carry_out(command, arguments, self._out)
        status = OK
        with ShellPipe(line.shell, self._out, self._err, own_group=self._alone) as pipe:
            self._pipe = pipe
            if self._is_aborted:
                pipe.kill()
            try:
                status = self._carry_out(command, arguments, pipe)
                pipe.flush()
            except ReaderLeftError:
                status = OK
        self._pipe = None
        return pipe.status or status

    def _carry_out(self, command: Command | None, arguments: tuple[str, ...], out: Writer) -> int:
        if command is None:
            return OK
        options = command.parse(arguments)
        if options is None:
            out.write(command.usage(window_of(out).width(HELP_COLUMNS)))
            return OK
        with logged(out, self._memory.log_copy) as writer:
            context = Context(self._daemon, writer, self._memory, self._report, self._clock_ns)
            command.run(context, options)
        return context.status

    def _flushed(self, run: Callable[[], int]) -> int:
        try:
            return run()
        finally:
            self._out.flush()

    def _say(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            self._lose_output()
        except MemtierdError as error:
            self._report(str(error))

    def _report(self, message: str) -> None:
        """Tell of a problem on the error output, each line with the name of the command before it."""
        speaker = window_of(self._err).paint(f"{self._name}:", "red")
        try:
            for line in message.split("\n"):
                self._err.write(f"{speaker} {bounded(line)}\n")
            self._err.flush()
        except BrokenPipeError:
            self._err.discard()
        except MemtierdError:
            pass  # the error output can't be written: there is nowhere left to tell it

    def _lose_output(self) -> None:
        """Nobody reads what we print: end quietly."""
        self._output_gone = True
        self._out.discard()


def _resolve(words: tuple[str, ...]) -> tuple[Command | None, tuple[str, ...]]:
    """Return the command that the first word names and its arguments; no command for no words."""
    if not words:
        return None, ()
    command = COMMANDS.get(words[0])
    if command is None:
        raise UsageError(unknown_command(words[0], COMMANDS))
    return command, words[1:]
