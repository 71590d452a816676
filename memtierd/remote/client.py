"""The client: a conversation whose commands are carried out by the daemon; what is behind a pipe runs here."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from memtierd.errors import MemtierdError
from memtierd.prompt.completion import Candidate, files
from memtierd.prompt.conversation import Conversation, Prepared, Seen
from memtierd.prompt.interrupts import Interrupts
from memtierd.prompt.output import Writer
from memtierd.prompt.voice import OK, Teller
from memtierd.remote.connection import About, Connection, found
from memtierd.remote.exchange import Exchange
from memtierd.remote.frames import field
from memtierd.signals import Termination

__all__ = ["Remote", "found", "run"]

_COMPLETION_S = 2.0
"""Nobody waits longer for a completion."""


def run(
    path: str,
    *,
    commands: str | None = None,
    file: str | None = None,
    prompt: bool = False,
    to_first_failure: bool = False,
    echo: bool = False,
) -> int:
    """Attach to the daemon that listens at `path`, run commands there, and return the exit status.

    Args:
        path: of the control socket.
        commands: to be run first, one a line (-c).
        file: of commands to be run then (-f).
        prompt: whether to read commands from standard input then (-prompt).
        to_first_failure: end with the first of `commands` and of `file` that fails (-e).
        echo: print every command before it is run (-echo).

    Raises MemtierdError when it can't be attached to, KeyboardInterrupt, Terminated.

    """
    interrupts = Interrupts()
    remote = Remote(lambda: Connection(path, is_prompt=prompt), _announce, interrupts)
    with _terminated(), remote:
        about = remote.attach()
        if prompt:
            _announce(f"attached to {about}")
        talk = Conversation(remote, sys.stdout, sys.stderr, echo=echo, interrupts=interrupts)
        status = OK
        if commands is not None:
            status = talk.run_text(commands, to_first_failure=to_first_failure)
        if file is not None and not (status and to_first_failure):
            status = talk.run_file(file, to_first_failure=to_first_failure) or status
        if prompt and not (status and to_first_failure):
            status = talk.loop(sys.stdin) or status
        return status


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block in order, so that the terminal is as it was."""
    termination = Termination()
    termination.take()
    try:
        yield
    finally:
        termination.release()


def _announce(text: str) -> None:
    with suppress(OSError):
        print(f"memtierd: {text}", file=sys.stderr, flush=True)


class Remote:
    """A runner whose commands are carried out by the daemon; it attaches again when the daemon has ended."""

    def __init__(
        self, connect: Callable[[], Connection], announce: Callable[[str], None], interrupts: Interrupts
    ) -> None:
        self.quit_requested = False
        self._connect = connect
        self._announce = announce
        self._interrupts = interrupts
        self._connection: Connection | None = None
        self._exchange: Exchange | None = None

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def attach(self) -> About:
        """Attach.  Raises MemtierdError."""
        self._connection = self._connect()
        return self._connection.about

    def _attached(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            about = self.attach()
            self._announce(f"attached again, to {about}; what earlier commands selected is gone")
        if self._connection is None:
            raise TypeError("attach() makes a connection")
        return self._connection

    def prepare(self, words: tuple[str, ...], seen: Seen, voice: Teller) -> Prepared:
        """Send a command and wait until it was understood.  Raises UsageError, MemtierdError."""
        if self._exchange is not None:
            self._exchange.abandon()  # Ctrl-C came where it was neither in the daemon's hands nor in ours
        exchange = self._exchange = Exchange(self._attached(), words, seen, voice, self._interrupts)
        exchange.begin()

        def carry_out(out: Writer) -> int:
            try:
                return exchange.carry_out(out)
            finally:
                self.quit_requested = exchange.quits

        return Prepared(carry_out)

    def candidates(self, before: str) -> list[Candidate]:
        """Ask the daemon what may follow; files are those of this process."""
        try:
            return self._asked(before)
        except MemtierdError:
            return []  # a completion that fails is none

    def _asked(self, before: str) -> list[Candidate]:
        connection = self._attached()
        number = connection.number()
        connection.send("complete", id=number, before=before)
        while True:
            message = connection.receive(_COMPLETION_S)
            if message is None:
                return []
            if message["type"] == "candidates" and message.get("id") == number:
                break
        begun = message.get("files")
        if isinstance(begun, str):
            head = before.rpartition(" ")[2].removesuffix(begun)
            return sorted(Candidate(f"{head}{path}", path) for path, _ in files(begun))
        return [Candidate(str(text), str(shown)) for text, shown in field(message, "candidates", list)]
