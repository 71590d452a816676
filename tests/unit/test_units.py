"""Sizes, durations and lists as people write them."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.units import (
    GIB,
    KIB,
    MIB,
    PAGE_BYTES,
    format_bytes,
    format_node_set,
    pages_per_second,
    pages_to_bytes,
    parse_duration_ns,
    parse_id_list,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("4k", 4 * KIB),
        ("4K", 4 * KIB),
        ("64M", 64 * MIB),
        ("64MB", 64 * MIB),
        ("64MiB", 64 * MIB),
        ("2G", 2 * GIB),
        ("1T", 1 << 40),
        ("12B", 12),
        (" 100 M ", 100 * MIB),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "1m", "1g", "10x", "1 2", "0x10", "1MM", "٣"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0),
        ("1", 1_000_000_000),
        ("15ns", 15),
        ("15us", 15_000),
        ("15ms", 15_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("2.", 2_000_000_000),
        ("10m", 600_000_000_000),
        ("2h", 7_200_000_000_000),
        ("1d", 86_400_000_000_000),
        (" 3s ", 3_000_000_000),
    ],
)
def test_durations(text: str, duration_ns: int) -> None:
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize("text", ["", "s", ".", "-1s", "1 s", "1M", "1min", "1h30m", "inf", "nan", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 kB"),
        (64 * KIB, "64 kB"),
        (1536 * KIB, "1.5 MB"),
        (10 * MIB, "10 MB"),
        (3 * GIB + 205 * MIB, "3.2 GB"),
        (5000 << 40, "5000 TB"),
    ],
)
def test_sizes_in_words(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text


@given(st.integers(0, 1 << 50))
def test_sizes_in_words_are_right_to_a_twentieth(size_bytes: int) -> None:
    number, unit = format_bytes(size_bytes).split()
    factor = {"B": 1, "kB": KIB, "MB": MIB, "GB": GIB, "TB": 1 << 40}[unit]
    assert float(number) * factor == pytest.approx(size_bytes, rel=0.05)


def test_pages() -> None:
    assert PAGE_BYTES == mmap.PAGESIZE
    assert pages_to_bytes(3) == 3 * PAGE_BYTES
    assert pages_per_second(100) * PAGE_BYTES == 100 * MIB
    assert pages_per_second(0.5) * PAGE_BYTES == MIB / 2


@pytest.mark.parametrize(
    ("nodes", "text"), [((), ""), ((0,), "0"), ((2, 3), "2,3"), ((-1,), "swap"), ((1, -1), "1,swap")]
)
def test_nodes_in_words(nodes: tuple[int, ...], text: str) -> None:
    assert format_node_set(nodes) == text


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", set()),
        ("\n", set()),
        ("0\n", {0}),
        ("0-3", {0, 1, 2, 3}),
        ("0-1,4,6-7", {0, 1, 4, 6, 7}),
        ("5-5", {5}),
    ],
)
def test_kernel_lists(text: str, ids: set[int]) -> None:
    assert parse_id_list(text) == ids


@pytest.mark.parametrize("text", ["x", "-1", "1-x", "1 2"])
def test_what_is_no_kernel_list(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_id_list(text)
