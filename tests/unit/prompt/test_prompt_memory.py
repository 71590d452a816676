"""pages and swap: ranges, runs of pages, system call sizes, and wrong usage; real memory is in tests/host."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.model import AddressRange
from memtierd.prompt.commands.swap import calls
from memtierd.prompt.page_walk import PRESENT, SWAPPED, Piece, Ranges, intersection, runs_of
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt

PAGE = 4096
GIB = 1 << 30


def ranges_of(*pairs: tuple[int, int]) -> Ranges:
    return Ranges(np.array([a for a, _ in pairs], np.uint64), np.array([b for _, b in pairs], np.uint64))


def pairs_of(ranges: Ranges) -> list[tuple[int, int]]:
    return list(zip(ranges.start.tolist(), ranges.end.tolist(), strict=True))


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ([(0, 100)], [(10, 20), (30, 40)]),
        ([(0, 15)], [(10, 15)]),
        ([(15, 35)], [(15, 20), (30, 35)]),
        ([(12, 14), (13, 16)], [(12, 16)]),
        ([(32, 33), (12, 13)], [(12, 13), (32, 33)]),
        ([(20, 30)], []),
        ([], []),
    ],
)
def test_intersection_also_of_ranges_that_begin_before_a_mapping(
    wanted: list[tuple[int, int]], left: list[tuple[int, int]]
) -> None:
    mappings = ranges_of((10, 20), (30, 40))
    assert pairs_of(intersection(mappings, tuple(AddressRange(*pair) for pair in wanted))) == left


addresses = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=6)


@given(addresses)
def test_intersection_is_that_of_sets_and_ascends(wanted: list[tuple[int, int]]) -> None:
    mappings = ranges_of((10, 20), (20, 25), (30, 40))
    found = pairs_of(intersection(mappings, tuple(AddressRange(a, a + size) for a, size in wanted)))
    expected = {x for a, size in wanted for x in range(a, a + size)} & (set(range(10, 25)) | set(range(30, 40)))
    assert [x for a, b in found for x in range(a, b)] == sorted(expected)


def test_runs_are_joined_across_pieces() -> None:
    present, none = PRESENT, 0
    first = Piece(0, np.array([none, present, present], np.uint64))
    second = Piece(3 * PAGE, np.array([present, none, SWAPPED, present], np.uint64))
    runs = runs_of(iter([first, second]), lambda piece: piece.has(PRESENT))
    assert pairs_of(runs) == [(PAGE, 4 * PAGE), (6 * PAGE, 7 * PAGE)]
    start, pages = runs.as_regions()
    assert (start.tolist(), pages.tolist()) == ([PAGE, 6 * PAGE], [3, 1])
    assert pairs_of(runs_of(iter([]), lambda piece: piece.has(PRESENT))) == []


def test_regions_of_huge_ranges_fit_into_their_column() -> None:
    start, pages = ranges_of((0, 20 << 40)).as_regions()
    assert int(pages.sum(dtype=np.uint64)) * PAGE == 20 << 40
    assert start.tolist() == [0, 8 << 40, 16 << 40]


def test_calls_stay_within_the_limits_of_the_kernel_and_cover_everything() -> None:
    many = [(i * 2 * PAGE, i * 2 * PAGE + PAGE) for i in range(2500)]
    ranges = ranges_of(*many, (GIB, 4 * GIB + PAGE))
    covered: list[tuple[int, int]] = []
    for part in calls(ranges):
        assert len(part) <= 1024
        assert sum(b - a for a, b in pairs_of(part)) <= GIB
        covered += pairs_of(part)
    assert sum(b - a for a, b in covered) == 2500 * PAGE + 3 * GIB + PAGE
    assert covered == sorted(covered)
    # Within a range a call ends only where a huge page may begin.
    ends = [b for _, b in covered if b > GIB]
    assert len(ends) > 1
    assert [b % (2 << 20) for b in ends[:-1]] == [0] * len(ends[:-1])


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("pages", 1, "pages: no pages are selected, select some with: pages -pid PID"),
        ("pages -node 1", 2, "pages: a process is needed: -pid PID"),
        ("pages -pm 3", 2, "pages: a process is needed: -pid PID"),
        ("pages -pid 0", 2, "pages: flag -pid: invalid pid '0', expected a number from 1 to 4194303"),
        ("pages -pid 4194303", 1, "pages: read /proc/4194303/stat: no such process (ESRCH)"),
        (
            "pages -attrs InHaep",
            2,
            "pages: flag -attrs: unknown attribute 'InHaep',"
            " expected Present, Exclusive, Dirty, NotDirty, InHeap, InAnonymous",
        ),
        ("swap -pid 1", 2, "swap: nothing to do, give one of -in, -out, -status, -vaddrs"),
        ("swap -status", 2, "swap: no process is given, add -pid PID, -pids PID[,PID...] or -pid-cgroups DIR[,DIR...]"),
        ("swap -pid 1 -status -mover", 2, "swap: flag -mover: only together with -out"),
        ("swap -pids 1,x -status", 2, "swap: flag -pids: invalid pid 'x', expected a number from 1 to 4194303"),
        ("swap -pid 4194303 -status", 1, "swap: read /proc/4194303/stat: no such process (ESRCH)"),
        (
            "swap -pid-cgroups /nonexistent/* -status",
            1,
            "swap: find control groups '/nonexistent/*': there is no such directory",
        ),
        (
            "swap -pid 1 -out",
            1,
            "swap: swap out: the system has no swap space; add some with swapon, /proc/swaps lists it",
        ),
    ],
)
def test_what_does_not_work(prompt: Prompt, line: str, status: int, said: str) -> None:
    assert prompt.bad(line, status) == said


def test_a_dry_run_swaps_nothing(prompt: Prompt, daemon: FakeDaemon) -> None:
    daemon.dry_run = True
    assert prompt.bad("swap -pid 1 -in").startswith("swap: dry run: nothing is swapped")
