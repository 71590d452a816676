"""Framing of the control protocol: each message is its length in 4 bytes, big-endian, and an object in JSON.

docs/remote.md describes the messages.  Lone surrogates, which stand for bytes of names that are no UTF-8, pass.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from memtierd.errors import MemtierdError

VERSION = 1
"""Of the protocol; to be raised when a message changes its meaning."""
MAX_FRAME_BYTES = 2 << 20
"""More than a configuration file may have (1 MiB)."""
MAX_LOOKING_BYTES = 1 << 16
"""Of a client that may only look, and so has no configuration to send."""
MAX_GREETING_BYTES = 1 << 12
"""As long as the client is unknown."""
TEXT_AT_ONCE = 1 << 16
"""So many letters of output go into one message at most."""

_LENGTH = struct.Struct(">I")


class ProtocolError(MemtierdError):
    """The other side does not keep to the protocol."""


Message = dict[str, Any]


def encode(kind: str, fields: Mapping[str, Any]) -> bytes:
    """Return a message as bytes.  Raises ProtocolError when it is too long."""
    text = json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"{len(body)} bytes are too much for one message of the control socket: {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


@attrs.define
class Decoder:
    """Takes bytes as they come and gives whole messages."""

    most_bytes: int = MAX_FRAME_BYTES
    """A longer message is an error as soon as its length is known."""
    _pending: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._pending += data

    def messages(self) -> Iterator[Message]:
        """Yield the messages that are whole.  Raises ProtocolError."""
        while len(self._pending) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending)
            if not 0 < length <= self.most_bytes:
                raise ProtocolError(
                    f"a message of {length} bytes; at least 1 and at most {self.most_bytes} are allowed"
                )
            end = _LENGTH.size + length
            if len(self._pending) < end:
                return
            body = bytes(self._pending[_LENGTH.size : end])
            del self._pending[:end]
            yield _parsed(body)


def _parsed(body: bytes) -> Message:
    try:
        message = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message that is no JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError("a message that is no object with a type")
    return message


def field(message: Message, name: str, kind: type[Any]) -> Any:
    """Return a field of a message that was received.  Raises ProtocolError when it is not of this type."""
    value = message.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ProtocolError(f"message {message['type']!r}: {name!r} is no {kind.__name__}")
    return value


def texts(message: Message, name: str) -> list[str]:
    """Return a field that is a list of texts.  Raises ProtocolError."""
    value: list[Any] = field(message, name, list)
    if not all(isinstance(item, str) for item in value):
        raise ProtocolError(f"message {message['type']!r}: {name!r} holds what is no text")
    return value


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that fit into one message each."""
    for at in range(0, len(text), TEXT_AT_ONCE):
        yield text[at : at + TEXT_AT_ONCE]
