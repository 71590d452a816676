"""Sizes, durations and percentages as people write them, and back."""

import mmap
import re

PAGE_BYTES = mmap.PAGESIZE
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_SIZE = re.compile(r"([0-9]+)\s*(?:([kKMGT])i?)?B?")
_SIZE_FACTOR = {None: 1, "k": KIB, "K": KIB, "M": MIB, "G": GIB, "T": 1 << 40}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|ms|s|m|h|d)?")
_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}


def parse_size(text: str) -> int:
    """Return the bytes that `text` names: digits, then k, M, G or T (powers of 1024), then optionally iB or B.

    Raises ValueError with a sentence for the user.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"invalid size {text!r}, expected digits and a unit k, M, G or T, such as 64M")
    return int(found[1]) * _SIZE_FACTOR[found[2]]


def parse_limit_pages(text: str, total_pages: int) -> int:
    """Return the pages that a limit such as '512k', '2G' or '30%' (of the node) allows.

    Raises ValueError with a sentence for the user.
    """
    if text.strip().endswith("%"):
        number = text.strip()[:-1].strip()
        if not number.replace(".", "", 1).isdigit():
            raise ValueError(f"invalid percentage {text!r}, expected a number and %, such as 30%")
        return int(total_pages * float(number) / 100)
    return parse_size(text) // PAGE_BYTES


def parse_duration_ns(text: str) -> int:
    """Return the nanoseconds that `text` names; without a unit it is seconds.

    Raises ValueError with a sentence for the user.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f"invalid duration {text!r}, expected a number and a unit ns, us, ms, s, m, h or d, such as 30s"
        )
    return round(float(found[1]) * _DURATION_NS[found[2] or "s"])


def format_bytes(size_bytes: int) -> str:
    """Return a size as an operator reads it: '512 B', '64 kB', '1.5 MB', '3.2 GB' (powers of 1024)."""
    if size_bytes < KIB:
        return f"{size_bytes} B"
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}".replace(".0 ", " ")


def pages_to_bytes(pages: int) -> int:
    """Return the bytes in `pages` base pages."""
    return pages * PAGE_BYTES


def pages_per_second(megabytes_per_second: float) -> float:
    """Return base pages a second for a bandwidth in MB/s (2**20 bytes)."""
    return megabytes_per_second * MIB / PAGE_BYTES


def format_node_set(nodes: tuple[int, ...]) -> str:
    """Return nodes as text: '0,1', 'swap' for -1."""
    return ",".join("swap" if node < 0 else str(node) for node in nodes)


def parse_id_list(text: str) -> frozenset[int]:
    """Return the ids of a kernel list such as '0-3,7' (Documentation/admin-guide/kernel-parameters, cpulist)."""
    ids: set[int] = set()
    for part in text.strip().split(","):
        if not part:
            continue
        first, _, last = part.partition("-")
        ids.update(range(int(first), int(last or first) + 1))
    return frozenset(ids)
