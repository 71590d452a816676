"""Files of pages of interest: what they say, what is refused of them, and who may write meanwhile."""

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from memtierd.errors import KernelError
from memtierd.linux import pages_of_interest
from memtierd.linux.pages_of_interest import BadFileError, LockedError, parse_ranges, read_interest

K = 4096


def pairs(*numbers: int) -> bytes:
    """Return addresses as they are in a file."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def ranges_in(data: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of each range."""
    ranges = parse_ranges(data)
    return list(zip(ranges.start.tolist(), ranges.end.tolist(), strict=True))


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [
        ((), []),
        ((K, 3 * K), [(K, 3 * K)]),
        ((K, K), []),
        ((5 * K, 6 * K, K, 2 * K), [(K, 2 * K), (5 * K, 6 * K)]),
        ((K, 2 * K, 2 * K, 3 * K), [(K, 3 * K)]),
        ((K, 9 * K, 2 * K, 3 * K, 10 * K, 11 * K), [(K, 9 * K), (10 * K, 11 * K)]),
        ((K, 4 * K, 3 * K, 6 * K, K, 4 * K), [(K, 6 * K)]),
        ((0x7F12_3456_7000, 0x7F12_3456_8000), [(0x7F12_3456_7000, 0x7F12_3456_8000)]),
        ((0, 1 << 56), [(0, 1 << 56)]),
    ],
)
def test_ranges_are_sorted_and_joined(numbers: tuple[int, ...], ranges: list[tuple[int, int]]) -> None:
    assert ranges_in(pairs(*numbers)) == ranges


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pairs(K, 2 * K)[:-1], "multiple of 16"),
        (pairs(K), "multiple of 16"),
        (b"4096-8192\n", "multiple of 16"),
        (pairs(2 * K, K), "below its start"),
        (pairs(K, 2 * K, 5 * K, 4 * K), "below its start"),
        (pairs(K + 1, 2 * K), "page size"),
        (pairs(K, 2 * K + 8), "page size"),
        (pairs(K, (1 << 56) + K), "no process can have"),
        (pairs(K, (1 << 64) - 1), "no process can have"),
    ],
)
def test_bad_files_are_refused_as_a_whole(data: bytes, said: str) -> None:
    with pytest.raises(BadFileError, match=said):
        parse_ranges(data)


def test_a_directory_of_files(tmp_path: Path) -> None:
    (tmp_path / "42.vab").write_bytes(pairs(K, 2 * K))
    (tmp_path / "43.vab").write_bytes(b"")
    (tmp_path / "44.vab.new").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"of somebody else")
    os.utime(tmp_path / "42.vab", ns=(1, 5_000_000_000))
    found = read_interest(str(tmp_path))
    assert list(found.files) == [42]
    assert found.files[42].ranges.start.tolist() == [K]
    assert found.files[42].written_ns == 5_000_000_000
    assert found.problems == ()
    assert {path.name for path in tmp_path.iterdir()} == {"42.vab", "43.vab", "44.vab.new", "notes.txt", "lock"}


def test_bad_files_don_t_lose_the_good_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_of_interest, "MOST_RANGES", 2)
    (tmp_path / "42.vab").write_bytes(pairs(K, 2 * K, 8 * K, 9 * K))
    (tmp_path / "1.vab").write_bytes(pairs(*range(0, 6 * K, K)))
    (tmp_path / "2.vab").write_bytes(b"odd")
    (tmp_path / "3.vab").mkdir()
    os.mkfifo(tmp_path / "4.vab")
    for name in ("x.vab", "-1.vab", "0.vab", "007.vab", ".vab", "99999999.vab"):
        (tmp_path / name).write_bytes(pairs(K, 2 * K))
    found = read_interest(str(tmp_path))
    assert list(found.files) == [42]
    assert len(found.problems) == 10
    assert all(problem.count(str(tmp_path)) == 1 for problem in found.problems)
    assert read_interest(str(tmp_path)).problems == found.problems


def test_nothing_is_read_while_somebody_writes(tmp_path: Path) -> None:
    (tmp_path / "42.vab").write_bytes(pairs(K, 2 * K))
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            read_interest(str(tmp_path))
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert list(read_interest(str(tmp_path)).files) == [42]
        # We don't hold it any longer than that.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "42.vab").write_bytes(b"odd")
    (tmp_path / "43.vab").mkdir()
    read_interest(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(KernelError) as raised:
        read_interest(str(tmp_path / "none"))
    assert raised.value.errno == errno.ENOENT


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "poi").mkdir()
    (tmp_path / "poi" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KernelError):
        read_interest(str(tmp_path / "poi"))
    assert not (tmp_path / "elsewhere").exists()
