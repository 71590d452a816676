"""A child process whose pages are touched, freed and protected on command."""

import os
import subprocess
import sys
from types import TracebackType
from typing import Self

PROGRAM = """
import ctypes, mmap, sys
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
pages = int(sys.argv[1])
area = mmap.mmap(-1, (pages + 1024) * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
skipped = -(address // PAGE) % 512  # the pages in use start at a multiple of 2 MiB
address += skipped * PAGE
area.madvise(mmap.MADV_HUGEPAGE if sys.argv[2] == "huge" else mmap.MADV_NOHUGEPAGE)
print(address, flush=True)
for line in sys.stdin:
    command, first, count = line.split()[0], *map(int, line.split()[1:])
    for page in range(first, first + count):
        if command == "write":
            area[(skipped + page) * PAGE] = 1
        elif command == "read":
            area[(skipped + page) * PAGE]
    where = ctypes.c_void_p(address + first * PAGE), ctypes.c_size_t(count * PAGE)
    if command == "free":
        assert libc.madvise(*where, mmap.MADV_DONTNEED) == 0
    elif command == "protect":
        assert libc.mprotect(*where, 0) == 0
    elif command == "unmap":
        assert libc.munmap(*where) == 0
    print("done", flush=True)
"""


class Child:
    """Context manager of a process with `pages` pages of private memory at `address`, none of them touched."""

    def __init__(self, pages: int, *, huge: bool = False) -> None:
        command = [sys.executable, "-c", PROGRAM, str(pages), "huge" if huge else "small"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.address = int(self._answer())
        self.pagemap_fd = os.open(f"/proc/{self.pid}/pagemap", os.O_RDONLY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        os.close(self.pagemap_fd)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def do(self, command: str, first: int, count: int = 1) -> None:
        """Let the child write, read, free, protect or unmap pages; returns when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command} {first} {count}\n")
        self._process.stdin.flush()
        assert self._answer() == "done\n"

    def end(self) -> None:
        """Kill the process and wait until its memory is gone."""
        self._process.kill()
        self._process.communicate()
