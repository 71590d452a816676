"""What the prompt reads of single page frames and of a process's memory, in trees of our own and in this process."""

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from memtierd.errors import KernelError, ProcessGoneError, UnsupportedError
from memtierd.linux.page_frames import KPF_NAMES, is_idle, page_flags, set_idle
from memtierd.linux.proc import process_key
from memtierd.linux.proc_mem import opened, read_through
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.units import PAGE_BYTES
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """Return a tree with four page frames; frame 2 is locked and a huge page, and the first word of idle bits is 6."""
    bitmap = tmp_path / "sys" / "kernel" / "mm" / "page_idle" / "bitmap"
    bitmap.parent.mkdir(parents=True)
    bitmap.write_bytes((6).to_bytes(8, "little"))
    flags = tmp_path / "proc" / "kpageflags"
    flags.parent.mkdir()
    flags.write_bytes(b"".join(word.to_bytes(8, "little") for word in (0, 0, 1 | 1 << 17, 0)))
    return Roots(str(tmp_path / "proc"), str(tmp_path / "sys"))


def test_flags_of_a_frame(roots: Roots) -> None:
    flags = page_flags(2, roots)
    assert [name for bit, name in enumerate(KPF_NAMES) if flags >> bit & 1] == ["LOCKED", "HUGE"]
    with pytest.raises(KernelError, match="no such device or address \\(ENXIO\\); the machine has no such page frame"):
        page_flags(4, roots)


def test_idle_bits(roots: Roots) -> None:
    assert [is_idle(pfn, roots) for pfn in range(4)] == [False, True, True, False]
    set_idle(3, roots)
    assert is_idle(3, roots)


def test_no_idle_page_tracking(tmp_path: Path) -> None:
    for ask in (is_idle, set_idle):
        with pytest.raises(UnsupportedError, match="it needs CONFIG_IDLE_PAGE_TRACKING"):
            ask(1, Roots("/proc", str(tmp_path)))


def test_pages_prints_them(prompt: Prompt, daemon: FakeDaemon, roots: Roots) -> None:
    daemon.roots = roots
    lines = prompt.good("pages -pk 2").splitlines()
    assert (len(lines), lines[0], lines[17], lines[26]) == (
        27,
        "LOCKED         1",
        "HUGE           1",
        "PGTABLE        0",
    )
    assert prompt.good("pages -pi 1") == "PFN 1 idle: true\n"
    assert prompt.good("pages -pi 0") == "PFN 0 idle: false\n"


def test_reading_memory_ends_where_nothing_is_mapped() -> None:
    with mmap.mmap(-1, 4 * PAGE_BYTES) as memory:
        memory[0] = 1
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        with opened(process_key(os.getpid()), "mem") as mem_fd:
            assert read_through(mem_fd, start, 4 * PAGE_BYTES) == 4 * PAGE_BYTES
            assert read_through(mem_fd, 0, PAGE_BYTES) == 0


def test_a_file_of_another_process_with_the_same_pid_is_not_opened() -> None:
    with pytest.raises(ProcessGoneError), opened(ProcessKey(os.getpid(), 1), "mem"):
        pass
    with pytest.raises(ProcessGoneError), opened(ProcessKey(4_194_303, 1), "mem"):
        pass
