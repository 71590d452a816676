"""Short ways to write histories, and random ones."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from memtierd.linux.proc import Mapping
from memtierd.model import ProcessKey
from memtierd.regions.columns import NEVER_MS
from memtierd.regions.learned import Learned
from memtierd.state.histories import ProcessHistory, backed
from memtierd.units import PAGE_BYTES
from tests.unit.regions.region_samples import BASE, addresses, u32


def mapping(first_page: int, pages: int, *, path: str = "", inode: int = 0, offset: int = 0) -> Mapping:
    """Return a private writable mapping that begins so many pages behind BASE."""
    start = BASE + first_page * PAGE_BYTES
    return Mapping(start, start + pages * PAGE_BYTES, "rw-p", offset, "fe:01" if inode else "00:00", inode, path)


def learned_of(regions: Sequence[tuple[int, int]], *, idle_ms: int = 5000, heat: float = 0.5) -> Learned:
    """Return these regions (first page behind BASE, pages), all judged, used four times a page, never in a streak."""
    rows = len(regions)
    pages = u32(*(n for _, n in regions))
    return Learned(
        start=addresses(*(f for f, _ in regions)),
        pages=pages,
        accesses=pages * np.uint32(4),
        writes=pages * np.uint32(2),
        idle_ms=np.full(rows, idle_ms, np.uint32),
        active_ms=np.full(rows, NEVER_MS, np.uint32),
        heat=np.full(rows, heat, np.float32),
        judged=np.ones(rows, np.bool_),
        keeps_heat=True,
    )


def history_of(
    key: ProcessKey, learned: Learned, mappings: Sequence[Mapping], *, image: str = "1 2 3", seen_ns: int = 0
) -> ProcessHistory:
    """Return the history of a process."""
    return ProcessHistory(key, image, seen_ns, learned, backed(mappings))


@st.composite
def spans(draw: st.DrawFn, most: int = 12) -> list[tuple[int, int]]:
    """Draw ascending (first page, pages) that don't overlap; some touch."""
    found, at = [], 0
    for _ in range(draw(st.integers(0, most))):
        first = at + draw(st.sampled_from([0, 0, 1, 7, 1 << 20]))
        pages = draw(st.integers(1, 600))
        found.append((first, pages))
        at = first + pages
    return found


@st.composite
def histories(draw: st.DrawFn) -> ProcessHistory:
    """Draw the history of a process, with any values that a table can hold."""
    regions, maps = draw(spans()), draw(spans(6))
    rows = len(regions)
    counts = st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows)
    learned = Learned(
        start=addresses(*(f for f, _ in regions)),
        pages=u32(*(n for _, n in regions)),
        accesses=u32(*draw(counts)),
        writes=u32(*draw(counts)),
        idle_ms=u32(*draw(counts)),
        active_ms=u32(*draw(counts)),
        heat=np.array(draw(st.lists(st.floats(0, 1e9, width=32), min_size=rows, max_size=rows)), np.float32),
        judged=np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_),
        keeps_heat=draw(st.booleans()),
    )
    mappings = [mapping(f, n, path=draw(st.sampled_from(["", "[heap]", "/a\\012b"])), inode=f % 3) for f, n in maps]
    key = ProcessKey(draw(st.integers(1, 2**22)), draw(st.integers(0, 2**60)))
    return history_of(key, learned, mappings, image=draw(st.text(max_size=20)), seen_ns=draw(st.integers(0, 2**62)))
