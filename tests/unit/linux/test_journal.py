"""Entries of the journal, read by a stand-in for it that knows the protocol."""

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.linux.journal import JournalSocket, encode


def decode(entry: bytes) -> dict[str, bytes]:
    """Return the fields of an entry, as the journal reads them."""
    fields = {}
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = struct.unpack_from("<Q", entry)[0]
            value = entry[8 : 8 + length]
            assert entry[8 + length : 9 + length] == b"\n"
            entry = entry[9 + length :]
        fields[name.decode()] = value
    return fields


class StandIn:
    """Listens where the journal would."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(30)
        self.socket.bind(self.path)

    def receive(self) -> dict[str, bytes]:
        """Return the next entry, from the datagram or from the file that came with it."""
        entry, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if not ancillary:
            return decode(entry)
        assert entry == b""
        descriptor = array.array("i", ancillary[0][2])[0]
        with open(descriptor, "rb") as file:
            file.seek(0)
            entry = file.read()
            with pytest.raises(OSError, match="not permitted"):
                os.write(descriptor, b"x")
        return decode(entry)


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    journal = StandIn(tmp_path / "socket")
    yield journal
    journal.socket.close()


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,63}", fullmatch=True), st.text(), max_size=5))
def test_what_is_encoded_is_read_as_it_was(fields: dict[str, str]) -> None:
    kept = {name: value.encode("utf-8", "surrogateescape") for name, value in fields.items() if value.isprintable()}
    assert decode(encode({name: value for name, value in fields.items() if name in kept})) == kept


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_values_of_several_lines_are_kept(value: str) -> None:
    assert decode(encode({"MESSAGE": value, "PRIORITY": "6"})) == {"MESSAGE": value.encode(), "PRIORITY": b"6"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("memtierd_Source", "MEMTIERD_SOURCE"), ("_PID", "PID"), ("a-b.c", "A_B_C"), ("", "FIELD"), ("X" * 99, "X" * 64)],
)
def test_names_are_made_fit(name: str, expected: str) -> None:
    assert decode(encode({name: "x"})) == {expected: b"x"}


def test_an_entry_is_a_datagram(stand_in: StandIn) -> None:
    journal = JournalSocket(stand_in.path)
    journal.send({"MESSAGE": "one\ntwo", "PRIORITY": "4"})
    assert stand_in.receive() == {"MESSAGE": b"one\ntwo", "PRIORITY": b"4"}
    journal.close()


def test_an_entry_too_large_for_a_datagram_comes_as_a_file_that_can_t_be_changed(stand_in: StandIn) -> None:
    journal, text = JournalSocket(stand_in.path), "x" * 5_000_000
    journal.send({"MESSAGE": text})
    assert stand_in.receive() == {"MESSAGE": text.encode()}
    journal.close()


def test_a_journal_that_takes_nothing_is_waited_for_once(stand_in: StandIn) -> None:
    journal = JournalSocket(stand_in.path, patience_s=0.01)
    refused = 0
    for number in range(10_000):
        try:
            journal.send({"MESSAGE": str(number)})
        except TimeoutError:
            refused += 1
            if refused == 3:
                break
    assert refused == 3
    assert stand_in.receive() == {"MESSAGE": b"0"}
    journal.send({"MESSAGE": "again"})
    journal.close()


def test_a_journal_that_is_not_there_and_one_that_comes_back(tmp_path: Path) -> None:
    journal = JournalSocket(str(tmp_path / "socket"))
    with pytest.raises(FileNotFoundError):
        journal.send({"MESSAGE": "x"})
    first = StandIn(tmp_path / "socket")
    journal.send({"MESSAGE": "first"})
    first.socket.close()
    with pytest.raises(ConnectionRefusedError):
        journal.send({"MESSAGE": "x"})
    (tmp_path / "socket").unlink()
    second = StandIn(tmp_path / "socket")
    journal.send({"MESSAGE": "second"})
    assert second.receive() == {"MESSAGE": b"second"}
    second.socket.close()
    journal.close()
