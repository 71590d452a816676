"""Framing: what is sent comes out whole however it is cut, and nothing else gets through."""

import json
import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.remote.frames import (
    MAX_FRAME_BYTES,
    TEXT_AT_ONCE,
    Decoder,
    Message,
    ProtocolError,
    encode,
    field,
    pieces,
    texts,
)

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates, too: bytes of names that are no UTF-8
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=4))
FIELDS = st.dictionaries(TEXT.filter(lambda name: name != "type"), VALUES, max_size=4)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in at} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@given(st.lists(st.tuples(TEXT, FIELDS), max_size=5), st.lists(st.integers(0, 10_000), max_size=20))
def test_messages_come_out_as_they_went_in(sent: list[tuple[str, dict[str, Any]]], at: list[int]) -> None:
    decoder, received = Decoder(), list[Message]()
    for part in cut(b"".join(encode(kind, fields) for kind, fields in sent), at):
        decoder.feed(part)
        received += decoder.messages()
    assert received == [{"type": kind, **fields} for kind, fields in sent]


@given(st.binary(max_size=200), st.integers(1, 100))
def test_garbage_is_an_error_of_the_protocol_or_waits_for_more(data: bytes, most_bytes: int) -> None:
    decoder = Decoder(most_bytes)
    decoder.feed(data)
    try:
        for message in decoder.messages():
            assert isinstance(message["type"], str)
    except ProtocolError:
        pass


@given(st.binary(max_size=100))
def test_a_body_that_is_no_message_is_refused(body: bytes) -> None:
    decoder = Decoder()
    decoder.feed(struct.pack(">I", len(body)) + body)
    try:
        value = json.loads(body)
        is_message = isinstance(value, dict) and isinstance(value.get("type"), str)
    except ValueError:
        is_message = False
    if not is_message:
        with pytest.raises(ProtocolError):
            list(decoder.messages())


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, (1 << 32) - 1])
def test_a_length_that_is_not_allowed_is_refused_before_anything_else_has_come(length: int) -> None:
    decoder = Decoder()
    decoder.feed(struct.pack(">I", length))
    with pytest.raises(ProtocolError):
        list(decoder.messages())


def test_a_body_that_is_nested_too_deeply_is_refused() -> None:
    body = b'{"type":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    decoder = Decoder()
    decoder.feed(struct.pack(">I", len(body)) + body)
    with pytest.raises(ProtocolError):
        list(decoder.messages())


def test_what_is_too_long_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode("run", {"text": "x" * MAX_FRAME_BYTES})


@given(st.text(max_size=10), st.integers(0, 3))
def test_a_text_is_cut_into_pieces_that_fit(text: str, times: int) -> None:
    whole = text + "ä" * (TEXT_AT_ONCE * times)
    assert "".join(pieces(whole)) == whole
    assert all(len(piece) <= TEXT_AT_ONCE for piece in pieces(whole))


@pytest.mark.parametrize(("value", "kind"), [("1", int), (True, int), (None, str), (1, bool), ([], dict)])
def test_a_field_of_another_type_is_refused(value: object, kind: type[Any]) -> None:
    with pytest.raises(ProtocolError):
        field({"type": "x", "a": value}, "a", kind)


def test_a_list_of_texts_holds_only_texts() -> None:
    assert texts({"type": "x", "a": ["b"]}, "a") == ["b"]
    with pytest.raises(ProtocolError):
        texts({"type": "x", "a": ["b", 1]}, "a")
