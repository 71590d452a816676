"""A daemon with a control socket in this process, and clients of it."""

import io
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs

from memtierd.prompt.conversation import Conversation
from memtierd.prompt.interrupts import Interrupts
from memtierd.remote.client import Remote
from memtierd.remote.connection import Connection
from memtierd.remote.frames import VERSION, Decoder, Message, encode
from tests.unit.prompt.prompt_fakes import FakeDaemon

WAIT_S = 30.0
"""Everything that should come does so much earlier."""


class Control:
    """Keeps what the server counts and holds."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.held: dict[str, tuple[str, ...]] = {}

    def count(self, event: str, times: int = 1) -> None:
        self.counted[event] += times

    def hold(self, source: str, texts: Sequence[str]) -> None:
        self.held[source] = tuple(texts)


class Daemon(FakeDaemon):
    """The fake daemon of the prompt's tests, with a control thread's ports."""

    def __init__(self) -> None:
        super().__init__()
        self.control = Control()


class Raw:
    """A client that sends whatever it likes."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(path)
        self._decoder = Decoder()
        self._messages: list[Message] = []

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.sendall(encode(kind, fields))

    def greet(self, version: int = VERSION) -> Message:
        with suppress(OSError):  # refused already
            self.say("hello", version=version, memtierd="0", prompt=False)
        return self.hear()

    def run(self, *words: str, number: int = 1, screen: bool = False) -> None:
        self.say("run", id=number, words=words, columns=None, colours=False, screen=screen)

    def hear(self) -> Message:
        """Return the next message; {} at the end of the connection."""
        while not self._messages:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                return {}
            self._decoder.feed(data)
            self._messages += self._decoder.messages()
        return self._messages.pop(0)

    def until(self, kind: str) -> list[Message]:
        """Return the messages up to one of this kind."""
        heard = [self.hear()]
        while heard[-1].get("type") != kind:
            assert heard[-1], f"the end before {kind!r}: {heard}"
            heard.append(self.hear())
        return heard

    def output(self) -> tuple[str, Message]:
        """Return what a command printed, and how it ended."""
        heard = self.until("end")
        return "".join(message.get("text", "") for message in heard), heard[-1]

    def close(self, *, abort: bool = False) -> None:
        if abort:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@attrs.define
class Attached:
    """A conversation with the daemon at a path."""

    path: str
    interrupts: Interrupts = attrs.field(factory=Interrupts)
    out: io.StringIO = attrs.field(factory=io.StringIO)
    err: io.StringIO = attrs.field(factory=io.StringIO)
    said: list[str] = attrs.field(factory=list)
    remote: Remote = attrs.field(init=False)
    talk: Conversation = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.remote = Remote(lambda: Connection(self.path, is_prompt=True), self.said.append, self.interrupts)
        self.remote.attach()
        self.talk = Conversation(self.remote, self.out, self.err, interrupts=self.interrupts)

    def run(self, line: str) -> tuple[int, str, str]:
        """Return status, output and error output of one line."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        status = self.talk.run_line(line)
        return status, self.out.getvalue(), self.err.getvalue()
