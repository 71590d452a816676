"""Heats with plain values."""

from collections.abc import Sequence

import numpy as np

from memtierd.forecasters import Heats, ProcessHeats
from memtierd.model import ProcessKey

KEY = ProcessKey(42, 7)
OTHER = ProcessKey(43, 8)


def heats_of_pages(*regions: tuple[int, int, float], key: ProcessKey = KEY, at_ns: int = 5) -> Heats:
    """Return the heats of one process with regions of (address, pages, heat)."""
    return {key: process_heats(regions, at_ns)}


def process_heats(regions: Sequence[tuple[int, int, float]], at_ns: int = 5) -> ProcessHeats:
    times = np.full(len(regions), at_ns, np.int64)
    start, pages, heat = zip(*regions, strict=True) if regions else ((), (), ())
    return ProcessHeats(
        np.array(start, np.uint64), np.array(pages, np.uint32), np.array(heat, np.float32), times, times
    )


def as_rows(heats: Heats | None) -> dict[int, list[tuple[int, int, float]]]:
    """Return (address, pages, heat) of each region by pid."""
    assert heats is not None
    return {
        key.pid: list(zip(one.start.tolist(), one.pages.tolist(), one.heat.tolist(), strict=True))
        for key, one in heats.items()
    }
