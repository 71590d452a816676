"""Carrying out commands: words in, a call of the command with its context, its status out."""

import time
from collections.abc import Callable
from typing import Any

from memtierd.prompt.caller import HERE, Caller
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.commands.help import unknown_command
from memtierd.prompt.completion import Candidate, complete
from memtierd.prompt.context import Context, DaemonPort, Memory
from memtierd.prompt.conversation import Prepared, Seen
from memtierd.prompt.grammar import HELP_COLUMNS, Command, UsageError
from memtierd.prompt.known_values import known_values
from memtierd.prompt.log_copy import logged
from memtierd.prompt.output import Writer
from memtierd.prompt.voice import OK, Teller
from memtierd.prompt.window import window_of

Watch = Callable[[Command, Any, tuple[str, ...]], None]
"""Gets a command, its options and its words before it is carried out; raises MemtierdError to forbid it."""


class Commands:
    """Carries out the commands of one user; what one of them selects, later ones use."""

    def __init__(
        self,
        daemon: DaemonPort,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        watch: Watch = lambda _command, _options, _words: None,
    ) -> None:
        self._daemon = daemon
        self._clock_ns = clock_ns
        self._watch = watch
        self.memory = Memory()
        """What commands remember for each other."""
        self._values = known_values(daemon)

    @property
    def quit_requested(self) -> bool:
        """Return whether a command has asked to leave."""
        return self.memory.quit_requested

    @quit_requested.setter
    def quit_requested(self, is_requested: bool) -> None:
        self.memory.quit_requested = is_requested

    def prepare(self, words: tuple[str, ...], seen: Seen, voice: Teller, caller: Caller = HERE) -> Prepared:
        """Understand a command.  Raises UsageError; the voice speaks for the command then already."""
        command = COMMANDS.get(words[0])
        if command is None:
            raise UsageError(unknown_command(words[0], COMMANDS))
        voice.speaker = command.name
        options = command.parse(words[1:])
        if options is None:
            return Prepared(lambda out: self._explain(command, out))
        self._watch(command, options, words)
        return Prepared(lambda out: self._carry_out(command, options, out, seen, voice, caller))

    def candidates(self, before: str) -> list[Candidate]:
        """Return what may follow `before` on a command line."""
        return complete(before, COMMANDS, self._values)

    @staticmethod
    def _explain(command: Command, out: Writer) -> int:
        out.write(command.usage(window_of(out).width(HELP_COLUMNS)))
        return OK

    def _carry_out(self, command: Command, options: Any, out: Writer, seen: Seen, voice: Teller, caller: Caller) -> int:
        with logged(out, self.memory.log_copy) as writer:
            context = Context(
                self._daemon,
                writer,
                self.memory,
                voice.tell,
                self._clock_ns,
                caller,
                seen.screen if writer is out else None,
            )
            command.run(context, options)
        return context.status
