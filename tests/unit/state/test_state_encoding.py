"""State files: what is written is read again, and nothing else is."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtierd.model import ProcessKey
from memtierd.state.encoding import DamagedError, State, decode, encode
from memtierd.state.histories import ProcessHistory
from tests.unit.state.state_samples import histories, history_of, learned_of, mapping

COLUMNS = ("start", "pages", "accesses", "writes", "idle_ms", "active_ms", "heat", "judged")
STATE = State(
    "boot",
    (
        history_of(ProcessKey(7, 70), learned_of([(0, 512), (512, 512), (2048, 7)]), [mapping(0, 4096)]),
        history_of(ProcessKey(8, 80), learned_of([(3, 9)]), [mapping(3, 9, path="/lib/x", inode=5)]),
    ),
)
DATA = b"".join(encode(STATE))


def same(one: ProcessHistory, other: ProcessHistory) -> bool:
    assert (one.key, one.image, one.seen_ns) == (other.key, other.image, other.seen_ns)
    assert one.learned.keeps_heat == other.learned.keeps_heat
    assert list(one.mappings) == list(other.mappings)
    return all(np.array_equal(getattr(one.learned, name), getattr(other.learned, name)) for name in COLUMNS)


def sealed(data: bytes) -> bytes:
    """Return a file with a right checksum, whatever is in it."""
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(histories(), max_size=4), st.text(max_size=40))
def test_what_is_written_is_read_again(kept: list[ProcessHistory], boot: str) -> None:
    state = decode(b"".join(encode(State(boot, tuple(kept)))))
    assert state.boot == boot
    assert len(state.histories) == len(kept)
    assert all(same(*pair) for pair in zip(state.histories, kept, strict=True))


def test_columns_of_one_process_keep_no_others_alive() -> None:
    assert all(getattr(history.learned, name).base is None for history in decode(DATA).histories for name in COLUMNS)


@pytest.mark.parametrize("size", range(0, len(DATA), 3))
def test_a_truncated_file_is_refused(size: int) -> None:
    with pytest.raises(DamagedError):
        decode(DATA[:size])


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_other_file_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decode(data)


@settings(deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    data = bytearray(DATA)
    data[at] ^= change
    with pytest.raises(DamagedError):
        decode(bytes(data))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(16, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_nonsense_with_a_right_checksum_never_breaks_more_than_the_file(changes: list[tuple[int, int]]) -> None:
    data = bytearray(DATA)
    for at, value in changes:
        data[at] = value
    try:
        state = decode(sealed(bytes(data)))
    except DamagedError:
        return
    for history in state.histories:
        end = history.learned.start + history.learned.pages.astype(np.uint64) * np.uint64(4096)
        assert (history.learned.start[1:] >= end[:-1]).all()
        assert np.isfinite(history.learned.heat).all()


def test_a_later_version_is_named() -> None:
    with pytest.raises(DamagedError, match="has version 2, and this memtierd reads version 1"):
        decode(DATA[:8] + struct.pack("<I", 2) + DATA[12:])


def test_a_column_that_unpacks_to_too_much_is_refused() -> None:
    huge = State("boot", (history_of(ProcessKey(1, 1), learned_of([(n * 2, 1) for n in range(5000)]), []),))
    data = b"".join(encode(huge))
    with pytest.raises(DamagedError, match="is malformed: a column is not of"):
        decode(sealed(data.replace(b",5000,0]", b",4999,0]")))
