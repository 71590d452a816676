"""The command arange, on the process that runs the tests, and cutting ranges."""

import os
import re

import numpy as np

from memtierd.prompt.page_walk import Ranges
from memtierd.units import PAGE_BYTES
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt

RANGE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \(([0-9]+) B\)")


def ranges_of(*pages: tuple[int, int]) -> Ranges:
    """Return ranges from and up to these pages."""
    columns = np.array(pages, np.uint64).reshape(-1, 2) * np.uint64(PAGE_BYTES)
    return Ranges(columns[:, 0], columns[:, 1])


def as_pages(ranges: Ranges) -> list[tuple[int, int]]:
    """Return first page and page behind the last of each range."""
    return [(int(a) // PAGE_BYTES, int(b) // PAGE_BYTES) for a, b in zip(ranges.start, ranges.end, strict=True)]


def test_ranges_are_cut_from_their_start() -> None:
    cut = ranges_of((10, 14), (20, 21), (30, 35)).split(2)
    assert as_pages(cut) == [(10, 12), (12, 14), (20, 21), (30, 32), (32, 34), (34, 35)]


def test_no_ranges_stay_none() -> None:
    assert as_pages(ranges_of().split(5)) == []


def test_ranges_are_selected_cut_chosen_and_listed() -> None:
    prompt = Prompt(FakeDaemon())
    whole = prompt.good(f"arange -pid {os.getpid()} -ls").splitlines()
    found = [(int(a, 16), int(b, 16), int(size)) for a, b, size in RANGE.findall("\n".join(whole))]
    assert whole[-1] == f"selected address ranges: {len(found)}"
    assert all(end - start == size for start, end, size in found)
    pieces = RANGE.findall(prompt.good("arange -split-length 16 -ls"))
    assert max(int(size) for _, _, size in pieces) == 16 * PAGE_BYTES
    assert sum(int(size) for _, _, size in pieces) == sum(size for _, _, size in found)
    long = RANGE.findall(prompt.good("arange -min-length 16 -ls"))
    assert {int(size) for _, _, size in long} == {16 * PAGE_BYTES}


def test_what_is_wrong_is_said() -> None:
    prompt = Prompt(FakeDaemon())
    assert "arange -pid" in prompt.bad("arange -ls")
    assert "no such process" in prompt.bad("arange -pid 4194303")
    assert "number of pages" in prompt.bad("arange -split-length 0", 2)
