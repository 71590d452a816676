"""One command from the client's side: sent to the daemon, and what comes back printed, shown and answered here."""

import contextlib
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from memtierd.errors import CommandError, MemtierdError
from memtierd.prompt.caller import HERE
from memtierd.prompt.conversation import Seen
from memtierd.prompt.grammar import UsageError
from memtierd.prompt.interrupts import Interrupts
from memtierd.prompt.output import Writer
from memtierd.prompt.screen import Screen
from memtierd.prompt.voice import BAD_USAGE, Teller
from memtierd.remote.connection import Connection, ConnectionLostError
from memtierd.remote.frames import Message, ProtocolError, field, texts

_LOOK_S = 0.1
"""How soon Ctrl-C is seen."""
_AGAIN_S = 1.0
"""A second Ctrl-C that comes so much after the first one gives up waiting."""
_PULSE_S = 5.0
"""How often the daemon hears that we live, while somebody reads what it has found at leisure."""
_DRAIN_S = 10.0


class Exchange:
    """A command under way."""

    def __init__(
        self, connection: Connection, words: tuple[str, ...], seen: Seen, voice: Teller, interrupts: Interrupts
    ) -> None:
        self.quits = False
        """Whether the command has asked to leave."""
        self._connection = connection
        self._words = words
        self._screen = seen.screen
        self._voice = voice
        self._interrupts = interrupts
        self._number = connection.number()
        self._size: tuple[int, int] | None = None
        self._shown = contextlib.ExitStack()
        self._is_shown = False
        self._minds_keys = False
        self._noted: list[int] = []
        self._end: Message | None = None
        self._asked_to_end_s: float | None = None
        self._run = {
            "words": list(words),
            "columns": seen.window.columns,
            "colours": seen.window.has_colours,
            "screen": seen.screen is not None,
        }

    def begin(self) -> None:
        """Send the command and wait until it was understood.  Raises UsageError, CommandError when it was not."""
        with self._whole():
            self._connection.send("run", id=self._number, **self._run)
            if self._screen is not None:
                self._send_size(self._screen)
            message = self._next()
            while message["type"] not in ("begin", "end"):
                message = self._next()
        self._voice.speaker = field(message, "speaker", str)
        if message["type"] == "begin":
            return
        self._end = message
        if "message" in message:
            raise (UsageError if message.get("status") == BAD_USAGE else CommandError)(field(message, "message", str))

    def carry_out(self, out: Writer) -> int:
        """Pass on what the daemon sends until the command has ended; return its status."""
        with self._whole(), self._pulse(), self._shown:
            while self._end is None:
                self._take(self._next(), out)
        return self._status(self._end)

    def _status(self, end: Message) -> int:
        self.quits = end.get("quit") is True
        if "exit" in end:
            raise SystemExit(field(end, "exit", int))
        if self._noted or self._asked_to_end_s is not None:
            raise KeyboardInterrupt  # also when the command came to its end just then
        status: int = field(end, "status", int)
        if "message" in end:
            self._voice.tell(field(end, "message", str))
        return status

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Keep the connection in step with the daemon whatever ends the block: what is left of the command is taken in.

        Ctrl-C is noted here, and what was begun is read to its end.
        """
        with self._interrupts.noted() as self._noted:
            try:
                yield
            except (ConnectionLostError, ProtocolError):
                self._connection.close()
                raise
            except Exception:
                self._drain()
                raise
            except BaseException:
                self._connection.close()  # we end, or a message may be read in part
                raise

    def abandon(self) -> None:
        """End a command that was begun, and never carried out to its end."""
        if self._end is None and self._connection.is_open:
            self._drain()

    def _drain(self) -> None:
        """Interrupt the command whose output nobody wants any more, and take in the rest."""
        deadline_s = time.monotonic() + _DRAIN_S
        try:
            self._connection.send("interrupt", id=self._number)
            while self._end is None:
                message = self._connection.receive(max(0.0, deadline_s - time.monotonic()))
                if message is None:
                    self._connection.close()
                    return
                if message["type"] == "end" and message.get("id") == self._number:
                    self._end = message
        except MemtierdError:
            self._connection.close()

    def _next(self) -> Message:
        """Return the next message for this command; meanwhile mind Ctrl-C and, on the whole screen, the keys."""
        while True:
            self._mind_interrupts()
            if self._minds_keys:
                self._mind_keys()
            message = self._connection.receive(_LOOK_S)
            if message is not None and message.get("id") == self._number:
                return message

    def _mind_interrupts(self) -> None:
        if not self._noted:
            return
        now_s = time.monotonic()
        if self._asked_to_end_s is None:
            self._asked_to_end_s = now_s
            self._noted.clear()
            self._connection.send("interrupt", id=self._number)
        elif now_s - self._asked_to_end_s > _AGAIN_S:
            raise KeyboardInterrupt  # it takes too long to end: the connection is given up

    def _mind_keys(self) -> None:
        """Wait for a key or a message; tell the daemon of a key that leaves."""
        if self._screen is None:
            return
        ready, _, _ = select.select([self._connection, sys.stdin], [], [], _LOOK_S)
        if sys.stdin in ready and self._screen.is_left(0):
            self._minds_keys = False  # what is typed behind it is for the prompt
            self._connection.send("left", id=self._number)

    def _take(self, message: Message, out: Writer) -> None:
        kind = message["type"]
        if kind == "out":
            out.write(field(message, "text", str))
        elif kind == "flush":
            out.flush()
        elif kind == "problem":
            self._voice.tell(field(message, "message", str))
        elif kind == "ask":
            self._connection.send("answer", id=self._number, **self._answer(message))
        elif kind == "screen":
            self._take_screen(is_open=field(message, "open", bool))
        elif kind == "picture" and self._screen is not None:
            self._screen.show(texts(message, "lines"))
            self._send_size(self._screen)
        elif kind == "end":
            self._end = message

    def _take_screen(self, *, is_open: bool) -> None:
        if is_open and self._screen is not None and not self._is_shown:
            self._shown.enter_context(self._screen.opened())
            self._is_shown = self._minds_keys = True
        elif not is_open:
            self._shown.close()
            self._is_shown = self._minds_keys = False

    def _send_size(self, screen: Screen) -> None:
        size = screen.size()
        if size != self._size:
            self._size = size
            self._connection.send("size", id=self._number, columns=size[0], lines=size[1])

    def _answer(self, message: Message) -> dict[str, Any]:
        """Read or write the file that the daemon asks for, if the command names it."""
        path = field(message, "path", str)
        if not any(word == path or word.endswith(f"={path}") for word in self._words):
            return {"problem": f"{path!r} is not named in the command"}
        try:
            if message.get("what") == "read":
                return {"text": HERE.read_text(path)}
            HERE.save_configuration(path, field(message, "text", str), overwrite=field(message, "overwrite", bool))
        except OSError as error:
            return {"errno": error.errno or 0}
        except (ValueError, MemtierdError) as error:
            return {"problem": str(error)}
        return {}

    @contextlib.contextmanager
    def _pulse(self) -> Iterator[None]:
        """Let the daemon hear that we live, although we may wait for whoever reads our output."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(_PULSE_S):
                try:
                    self._connection.send("alive")
                except MemtierdError:
                    return  # the main thread finds it, too

        threading.Thread(target=beat, name="pulse", daemon=True).start()
        try:
            yield
        finally:
            ended.set()
