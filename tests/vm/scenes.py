"""What guest tests are made of: meme and memtierd as processes, and what the kernel says of memory.

Where pages are is read from the kernel without any code of memtierd: with move_pages(2) and from /proc/PID/pagemap.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO

import attrs
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MEME = ROOT / "bin/meme"
CGROUPS = Path("/sys/fs/cgroup")
PAGE = mmap.PAGESIZE
MIB = 1 << 20

PATIENCE_S = 90.0
"""Everything that should come does so much earlier; the guest is slow, and its host may be busy."""
MOST = 0.9
"""The portion of pages that says "this memory": some sit in a CPU's batch, or share a region with others."""

SWAP = -1
ABSENT = -2
"""Where a page is that is neither in memory nor in swap."""

_SYS_MOVE_PAGES = 279  # x86_64
_SYS_SET_MEMPOLICY = 238  # x86_64
_MPOL_DEFAULT, _MPOL_PREFERRED = 0, 1  # include/uapi/linux/mempolicy.h
_PM_SWAP = np.uint64(1 << 62)  # Documentation/admin-guide/mm/pagemap.rst
_LIBC = ctypes.CDLL(None, use_errno=True)


def until(what: str, condition: Callable[[], bool], say: Callable[[], object] = str) -> None:
    """Poll until the condition is true; else fail with what was waited for and what `say` returns."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}; {say()}"
        time.sleep(0.2)


# memory


@attrs.frozen
class Memory:
    """A range of addresses of a process."""

    pid: int
    start: int
    size: int

    def part(self, offset: int, size: int) -> Memory:
        """Return a part of it; offset and size in bytes."""
        return Memory(self.pid, self.start + offset, size)

    @property
    def end(self) -> int:
        """Return the address behind it."""
        return self.start + self.size

    def nodes(self) -> np.typing.NDArray[np.int32]:
        """Return for each page the node that it is on, SWAP or ABSENT."""
        count = self.size // PAGE
        addresses = np.arange(self.start, self.end, PAGE, dtype=np.uint64)
        status = np.full(count, ABSENT, dtype=np.int32)
        result = _LIBC.syscall(
            _SYS_MOVE_PAGES,
            ctypes.c_int(self.pid),
            ctypes.c_ulong(count),
            addresses.ctypes.data_as(ctypes.c_void_p),
            None,
            status.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(0),
        )
        if result < 0:
            raise OSError(ctypes.get_errno(), f"move_pages of pid {self.pid}: {os.strerror(ctypes.get_errno())}")
        swapped = (self._pagemap() & _PM_SWAP) != 0
        return np.where(status >= 0, status, np.where(swapped, SWAP, ABSENT)).astype(np.int32)

    def spread(self) -> dict[int, int]:
        """Return how many pages are in each place."""
        places, counts = np.unique(self.nodes(), return_counts=True)
        return dict(zip(places.tolist(), counts.tolist(), strict=True))

    def portion(self, *places: int) -> float:
        """Return the portion of its pages that is in these places."""
        return float(np.isin(self.nodes(), places).mean())

    def is_on(self, *places: int) -> bool:
        """Return whether most of its pages are in these places."""
        return self.portion(*places) >= MOST

    def _pagemap(self) -> np.typing.NDArray[np.uint64]:
        with Path(f"/proc/{self.pid}/pagemap").open("rb", buffering=0) as file:
            return np.frombuffer(os.pread(file.fileno(), self.size // PAGE * 8, self.start // PAGE * 8), np.uint64)


def numa_maps(pid: int) -> dict[int, dict[str, str]]:
    """Return the fields N0=, N1= … of every mapping of a process by its address."""
    lines = Path(f"/proc/{pid}/numa_maps").read_text().splitlines()
    return {int(line.split()[0], 16): dict(re.findall(r"(N[0-9]+)=([0-9]+)", line)) for line in lines}


def swapped_kb(pid: int) -> int:
    """Return VmSwap of /proc/PID/status."""
    match = re.search(r"^VmSwap:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


def migrated_pages() -> int:
    """Return how many pages the kernel has moved since it was started; nothing but memtierd makes it move any here."""
    match = re.search(r"^pgmigrate_success ([0-9]+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


def free_mb(node: int) -> float:
    """Return the free memory of a node."""
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    match = re.search(r"MemFree: +([0-9]+) kB", text)
    assert match is not None
    return int(match[1]) / 1024


def drop_page_cache() -> None:
    """Let the kernel free what it keeps of files (Documentation/admin-guide/sysctl/vm.rst, drop_caches)."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


# processes


@attrs.frozen(eq=False)
class Meme:
    """A running meme and its arrays."""

    process: subprocess.Popen[bytes]
    arrays: tuple[Memory, ...]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid


@contextmanager
def meme(*arguments: str, node: int | None = None, cgroup: Path | None = None) -> Iterator[Meme]:
    """Run meme until the block ends; its memory begins on `node`, in `cgroup`."""
    command = [str(MEME), *arguments]
    if cgroup is not None:
        command = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(cgroup / "cgroup.procs"), *command]
    with tempfile.TemporaryFile("w+") as output:
        with nullcontext() if node is None else memory_on(node):
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output)
        try:
            yield Meme(process, _arrays_of(process, output))
        finally:
            process.kill()
            process.wait()


def _arrays_of(process: subprocess.Popen[bytes], output: TextIO) -> tuple[Memory, ...]:
    """Return the arrays of a meme, once they are there."""

    def printed() -> str:
        output.seek(0)
        return output.read()

    until("meme has its arrays", lambda: process.poll() is not None or "press enter" in printed(), printed)
    assert process.poll() is None, printed()
    bounds = [(int(start, 16), int(last, 16)) for start, last in re.findall(r"array: (\w+)-(\w+)", printed())]
    return tuple(Memory(process.pid, start, last + 1 - start) for start, last in bounds)


@contextmanager
def memory_on(node: int) -> Iterator[None]:
    """Let processes that are started in the block take memory from a node, as long as that has some."""
    _set_memory_policy(_MPOL_PREFERRED, 1 << node)
    try:
        yield
    finally:
        _set_memory_policy(_MPOL_DEFAULT, 0)


def _set_memory_policy(mode: int, nodes: int) -> None:
    mask = (ctypes.c_ulong * 1)(nodes)
    if _LIBC.syscall(_SYS_SET_MEMPOLICY, ctypes.c_int(mode), mask if nodes else None, ctypes.c_ulong(64)) != 0:
        raise OSError(ctypes.get_errno(), f"set_mempolicy: {os.strerror(ctypes.get_errno())}")


class Memtierd:
    """A running memtierd, its log, and its prompt."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.was_terminated = False

    def lines(self, containing: str = "") -> list[str]:
        """Return the lines of its log so far that contain a text."""
        return [line for line in self.log.read_text().splitlines() if containing in line]

    def wait_for(self, text: str) -> str:
        """Return the first line of the log with this text, once it is there."""
        until(f"log line with {text!r}", lambda: self._has_ended or bool(self.lines(text)), self.tail)
        assert self.lines(text), f"memtierd ended without a log line with {text!r}; {self.tail()}"
        return self.lines(text)[0]

    @property
    def _has_ended(self) -> bool:
        return self.process.poll() is not None

    def tail(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.lines()[-40:])

    def ask(self, command: str) -> str:
        """Return what a prompt command prints on standard output."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} | cat; echo; echo END-OF-ANSWER\n")
        self.process.stdin.flush()
        answer: list[str] = []
        impatience = threading.Timer(PATIENCE_S, self.process.kill)
        impatience.start()
        try:
            for line in self.process.stdout:
                if line.startswith("END-OF-ANSWER"):
                    return "".join(answer)
                answer.append(line)
        finally:
            impatience.cancel()
        raise AssertionError(f"no answer to {command!r} before memtierd's end or {PATIENCE_S:g} s; {self.tail()}")

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return a table of its statistics."""
        rows: list[dict[str, Any]] = json.loads(self.ask(f"stats -t {name} -f json"))[name]
        return rows

    def let_pass(self, count: int, event: str) -> None:
        """Wait until so many more events of a name, such as "policy.age.tick", have happened."""

        def happened() -> int:
            return sum(int(row["count"]) for row in self.table("events") if row["name"] == event)

        first = happened()
        until(f"{count} more of {event}", lambda: happened() >= first + count, self.tail)

    def terminate(self, patience_s: float = PATIENCE_S) -> int:
        """Send SIGTERM and return the exit status."""
        self.was_terminated = True
        self.process.terminate()
        return self.process.wait(patience_s)

    def assert_healthy(self) -> None:
        """Fail when it has ended, or has logged an error."""
        assert self.process.poll() is None, f"memtierd has ended; {self.tail()}"
        errors = [line for line in self.lines() if line.startswith(("ERROR", "Traceback")) or "is a bug" in line]
        assert not errors, self.tail()


@contextmanager
def memtierd(directory: Path, config: str, *flags: str) -> Iterator[Memtierd]:
    """Run memtierd with a configuration until the block ends; then it must be well, and end on SIGTERM with 0.

    The block may terminate it itself.
    """
    path = directory / "memtierd.yaml"
    path.write_text(config)
    log = directory / "memtierd.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "memtierd", "-config", path, *flags],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    running = Memtierd(process, log)
    try:
        running.wait_for("started")
        yield running
        if not running.was_terminated:
            running.assert_healthy()
            assert running.terminate() == 0, running.tail()
    except BaseException:
        sys.stderr.write(f"memtierd's log:\n{running.tail()}\n")
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


# the machine


@contextmanager
def cgroup(name: str, *, mems: str = "") -> Iterator[Path]:
    """Make a cgroup, and remove it at the end of the block; its processes must have ended by then."""
    path = CGROUPS / name
    path.mkdir()
    try:
        if mems:
            (path / "cpuset.mems").write_text(mems)
        yield path
    finally:
        until(f"cgroup {name} is empty", lambda: not (path / "cgroup.procs").read_text())
        path.rmdir()


@contextmanager
def zram_device(size_mb: int) -> Iterator[Path]:
    """Make a block device in compressed memory until the block ends; it is full of zeros and takes no memory yet."""
    number = Path("/sys/class/zram-control/hot_add").read_text().strip()
    try:
        Path(f"/sys/block/zram{number}/disksize").write_text(f"{size_mb}M")
        yield Path(f"/dev/zram{number}")
    finally:
        Path("/sys/class/zram-control/hot_remove").write_text(number)


@contextmanager
def compressed_swap(size_mb: int) -> Iterator[None]:
    """Swap to compressed memory until the block ends."""
    with zram_device(size_mb) as device:
        subprocess.run(["mkswap", device], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["swapon", device], check=True)
        try:
            yield
        finally:
            subprocess.run(["swapoff", device], check=True)
