"""A conversation: takes command lines from a terminal, a pipe, a text or a file, and tells how they ended."""

import os
import sys
from collections.abc import Callable, Iterable
from io import TextIOWrapper
from typing import Protocol, TextIO

import attrs

from memtierd.errors import MemtierdError, errno_name
from memtierd.prompt.completion import Candidate
from memtierd.prompt.interrupts import Interrupts
from memtierd.prompt.output import Output, Writer
from memtierd.prompt.screen import Screen, TerminalScreen
from memtierd.prompt.shell import ReaderLeftError, ShellPipe
from memtierd.prompt.terminal import history_path, line_editing
from memtierd.prompt.tokens import Line, parse_line
from memtierd.prompt.voice import FAILED, INTERRUPTED, OK, PROGRAM, Teller, Voice, status_of
from memtierd.prompt.window import Window
from memtierd.text import printable

PROMPT = "memtierd> "


@attrs.frozen
class Prepared:
    """A command that was understood."""

    carry_out: Callable[[Writer], int]
    """Writes what it finds and returns its status; raises MemtierdError."""


@attrs.frozen
class Seen:
    """Where what a command prints is seen; the defaults are for pipes and files."""

    window: Window = Window()
    screen: Screen | None = None
    """The terminal as a whole, when the output goes there and somebody types."""


class Runner(Protocol):
    """Carries out commands; what one of them selects, later ones use."""

    quit_requested: bool
    """Whether one of the commands has asked to leave; to be reset by the conversation."""

    def prepare(self, words: tuple[str, ...], seen: Seen, voice: Teller) -> Prepared:
        """Understand a command, and let the voice speak for it.  Raises UsageError."""

    def candidates(self, before: str) -> list[Candidate]:
        """Return what may follow `before` on a command line."""


class Conversation:
    """Takes command lines from one user.

    Results go to `out`, problems to `err`.  No exception of a command gets out of a conversation.
    """

    def __init__(
        self,
        runner: Runner,
        out: TextIO,
        err: TextIO,
        *,
        echo: bool = False,
        alone: bool = False,
        interrupts: Interrupts | None = None,
    ) -> None:
        """Prepare; an `alone` one has nobody at a terminal, and its shell commands can be killed with `abort`."""
        self._runner = runner
        # What sessions print side by side is not to be mixed line by line: only one of its own gets it by line.
        self._out = Output(out, by_line=not alone)
        self._err = Output(err)
        self._voice = Voice(self._err)
        self._echo = echo
        self._alone = alone
        self._pipe: ShellPipe | None = None
        self._is_aborted = False
        self._output_gone = False
        self._interrupted = False
        self._interrupts = interrupts or Interrupts()

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
        self._voice.speaker = PROGRAM
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
            self._voice.tell("interrupted")
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001  a bug in one command, which is logged, must not end the daemon
            status, message = status_of(error, text)
            self._voice.tell(message)
            return status

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
            self._voice.tell(f"read commands from {path!r}: {said}; give a readable file")
            return FAILED
        return self.run_text(text, to_first_failure=to_first_failure)

    def loop(self, stdin: TextIO) -> int:
        """Run lines from `stdin` to its end or to `q`; always returns 0.

        On a terminal there is a prompt, line editing and a history; Ctrl-C ends a command, Ctrl-D the conversation.
        Without a person who types, Ctrl-C ends everything: a KeyboardInterrupt is raised.
        """
        if isinstance(stdin, TextIOWrapper):
            stdin.reconfigure(errors="surrogateescape")
        if stdin.isatty() and self._out.isatty():

            def candidates(before: str) -> list[Candidate]:
                with self._interrupts.held():  # readline swallows what a completer raises
                    return self._runner.candidates(before)

            with (
                self._interrupts.taken(),
                line_editing(history_path(os.environ), PROMPT, self._voice.tell, candidates),
            ):
                self._run_lines(self._typed(), echo=False, typed=True)
        else:
            self._run_lines(stdin, echo=self._echo)
        return OK

    def _run_lines(
        self, lines: Iterable[str], *, echo: bool, typed: bool = False, to_first_failure: bool = False
    ) -> int:
        """Run lines until one of them quits; that ends only these lines."""
        self._runner.quit_requested = False
        status = OK
        for line in lines:
            text = line.rstrip("\n")
            if echo:
                self._say(f"{PROMPT}{printable(text)}\n")
            self._interrupted = False
            status = self.run_line(text) or status
            if self._interrupted and not typed:
                raise KeyboardInterrupt
            if self._runner.quit_requested or self._output_gone or (status and to_first_failure):
                break
        self._runner.quit_requested = False
        self._voice.speaker = PROGRAM
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
        # Wrong usage is told before a shell is started for nothing.
        if line.shell is None:
            return self._prepared(line, Seen(self._out.window, self._screen())).carry_out(self._out)
        prepared = self._prepared(line, Seen())
        status = OK
        with ShellPipe(line.shell, self._out, self._err, own_group=self._alone) as pipe:
            self._pipe = pipe
            if self._is_aborted:
                pipe.kill()
            try:
                status = prepared.carry_out(pipe)
                pipe.flush()
            except ReaderLeftError:
                status = OK
        self._pipe = None
        return pipe.status or status

    def _prepared(self, line: Line, seen: Seen) -> Prepared:
        if not line.words:
            return Prepared(lambda _out: OK)
        return self._runner.prepare(line.words, seen, self._voice)

    def _screen(self) -> Screen | None:
        is_whole = self._out.isatty() and sys.stdin is not None and sys.stdin.isatty()
        return TerminalScreen() if is_whole else None

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
            self._voice.tell(str(error))

    def _lose_output(self) -> None:
        """Nobody reads what we print: end quietly."""
        self._output_gone = True
        self._out.discard()
