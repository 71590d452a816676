"""DAMON in memory: its sysfs files as they answer, and a machine with processes around them."""

import errno
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from memtierd.errors import KernelError
from memtierd.linux.damon_files import DamonFiles
from memtierd.linux.damon_sysfs import DamonSysfs, admin_directory
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.trackers.damon.connection import Monitor, Records
from memtierd.units import PAGE_BYTES
from tests.unit.linux.fake_kernel import FakeKernel as FakeFileTrees

CONTEXT = {
    "avail_operations": "vaddr\nfvaddr\npaddr",
    "operations": "vaddr",
    "monitoring_attrs/intervals/sample_us": "5000",
    "monitoring_attrs/intervals/aggr_us": "100000",
    "monitoring_attrs/intervals/update_us": "60000000",
    "monitoring_attrs/nr_regions/min": "10",
    "monitoring_attrs/nr_regions/max": "1000",
    "targets/nr_targets": "0",
    "schemes/nr_schemes": "0",
}
SCHEME = {
    "action": "stat",
    **{f"access_pattern/{name}/{end}": "0" for name in ("sz", "nr_accesses", "age") for end in ("min", "max")},
    "filters/nr_filters": "0",
    "tried_regions/total_bytes": "0",
}
FILTER = {"type": "anon", "matching": "N", "damon_target_idx": "0"}
CHILDREN = {
    "nr_kdamonds": {"state": "off", "pid": "-1", "contexts/nr_contexts": "0"},
    "nr_contexts": CONTEXT,
    "nr_targets": {"pid_target": "0", "regions/nr_regions": "0"},
    "nr_regions": {"start": "0", "end": "0"},
    "nr_schemes": SCHEME,
    "nr_filters": FILTER,
}
"""What is in each directory that a number of directories brings."""


@attrs.frozen(eq=False)
class FakeDamonFiles(DamonFiles):
    """The kernel's side of /sys/kernel/mm/damon/admin/kdamonds."""

    values: dict[str, str] = attrs.field(factory=lambda: {"nr_kdamonds": "0"})
    refuse: dict[tuple[str, str], int] = attrs.field(factory=dict)
    """errno of writing a value to a file."""
    written: list[tuple[str, str]] = attrs.field(factory=list)
    trees: FakeFileTrees | None = None
    """Where processes, and threads of kdamonds, are."""
    lacks: frozenset[str] = frozenset()
    """Names that this kernel does not have."""

    def exists(self, name: str) -> bool:
        return name in self.values or any(path.startswith(f"{name}/") for path in self.values)

    def names(self, name: str) -> list[str]:
        return sorted({path[len(name) + 1 :].split("/")[0] for path in self.values if path.startswith(f"{name}/")})

    def read(self, name: str) -> str:
        if name not in self.values:
            raise KernelError(f"read {name}", errno.ENOENT)
        return self.values[name]

    def write(self, name: str, value: object, advice: str = "") -> None:
        text = str(value)
        self.written.append((name, text))
        if name not in self.values:
            raise KernelError(f"write {name}", errno.ENOENT)
        if (name, text) in self.refuse:
            raise KernelError(f"write {text} to {name}", self.refuse[name, text], advice)
        directory, _, last = name.rpartition("/")
        if last in CHILDREN:
            self._resize(directory, last, int(text))
        elif last == "state":
            self._command(directory, text)
            return
        self.values[name] = text

    def run(self, kdamond: int, thread: int) -> None:
        """Let a kdamond run."""
        self.values.update({f"{kdamond}/state": "on", f"{kdamond}/pid": str(thread)})
        if self.trees is not None:
            self.trees.add(thread, name=f"kdamond.{kdamond}", start_ticks=thread * 10, kernel_thread=True, exe=None)

    def end(self, kdamond: int) -> None:
        """Let a kdamond end."""
        thread = int(self.values[f"{kdamond}/pid"])
        self.values.update({f"{kdamond}/state": "off", f"{kdamond}/pid": "-1"})
        if self.trees is not None and thread > 0:
            self.trees.remove(thread)

    def _resize(self, directory: str, last: str, count: int) -> None:
        if last == "nr_kdamonds" and "on" in (text for path, text in self.values.items() if path.endswith("/state")):
            raise KernelError(f"write {count} to {last}", errno.EBUSY)
        prefix = f"{directory}/" if directory else ""
        for path in [path for path in self.values if path[len(prefix) :].split("/")[0].isdecimal()]:
            if path.startswith(prefix):
                del self.values[path]
        self.values.update(
            (f"{prefix}{number}/{path}", text)
            for number in range(count)
            for path, text in CHILDREN[last].items()
            if not self.lacks & set(path.split("/"))
        )

    def _command(self, kdamond: str, command: str) -> None:
        running = self.values[f"{kdamond}/state"] == "on"
        if command == "on":
            if running:
                raise KernelError("write on", errno.EBUSY)
            if not self._inputs_are_right(kdamond):
                raise KernelError("write on", errno.EINVAL)
            self.run(int(kdamond), 5000 + len(self.written))
        elif command == "off":
            self.end(int(kdamond))
        elif not running:
            raise KernelError(f"write {command}", errno.EINVAL)
        elif command == "commit" and not self._inputs_are_right(kdamond):
            self.end(int(kdamond))

    def _inputs_are_right(self, kdamond: str) -> bool:
        count = int(self.values.get(f"{kdamond}/contexts/0/targets/nr_targets", "0"))
        pids = [self.values[f"{kdamond}/contexts/0/targets/{target}/pid_target"] for target in range(count)]
        assert self.trees is not None
        alive = all((self.trees.directory / "proc" / pid).exists() for pid in pids)
        return self.values[f"{kdamond}/contexts/nr_contexts"] == "1" and alive


@attrs.frozen
class FakeMachine:
    """Processes in a fake /proc, DAMON's files, and a /run."""

    trees: FakeFileTrees
    files: FakeDamonFiles
    sysfs: DamonSysfs
    roots: Roots

    @classmethod
    def make(cls, directory: Path, kdamonds: int = 0) -> "FakeMachine":
        """Return a machine with so many kdamonds, of which none runs."""
        trees = FakeFileTrees(directory)
        trees.put("proc/sys/kernel/random/boot_id", "a-boot\n")
        roots = attrs.evolve(trees.roots, run=str(directory / "run"))
        files = FakeDamonFiles(admin_directory(roots), sleep=lambda _: None, trees=trees)
        files.write("nr_kdamonds", kdamonds)
        files.written.clear()
        return cls(trees, files, DamonSysfs(roots, files), roots)

    def process(self, pid: int, start_ticks: int = 100) -> ProcessKey:
        """Start a process."""
        self.trees.add(pid, start_ticks=start_ticks)
        return ProcessKey(pid, start_ticks)

    def foreign(self, kdamond: int, thread: int | None = 4000, pid: int = 99) -> dict[str, str]:
        """Let somebody else set a kdamond up for a process, and start it unless `thread` is None; return its files."""
        self.process(pid)
        prefix = f"{kdamond}/contexts"
        self.files.write(f"{prefix}/nr_contexts", 1)
        self.files.write(f"{prefix}/0/targets/nr_targets", 1)
        self.files.write(f"{prefix}/0/targets/0/pid_target", pid)
        if thread is not None:
            self.files.run(kdamond, thread)
        self.files.written.clear()
        return self.files_of(kdamond)

    def files_of(self, kdamond: int) -> dict[str, str]:
        """Return all files of a kdamond."""
        return {path: text for path, text in self.files.values.items() if path.startswith(f"{kdamond}/")}


@attrs.define
class FakeConnection:
    """A connection that delivers what a test puts into it."""

    name: str = "fake"
    needs_schemes: bool = False
    inbox: list[Records] = attrs.field(factory=list)
    followed: list[tuple[Monitor, ...]] = attrs.field(factory=list)
    is_open: bool = False
    sentences: tuple[str, ...] = ()

    def open(self) -> None:
        self.is_open = True

    def follow(self, monitors: Sequence[Monitor]) -> None:
        self.followed.append(tuple(monitors))

    def take(self) -> Records:
        taken, self.inbox = Records.joined(self.inbox), []
        return taken

    def conditions(self) -> tuple[str, ...]:
        return self.sentences

    def close(self) -> None:
        self.is_open = False


def aggregation(
    *regions: tuple[int, int, int], thread: int = 1, target: int = 0, time_ns: int = 0, nr_regions: int | None = None
) -> Records:
    """Return one aggregation of (first page, page behind, nr_accesses)."""
    table = np.array(regions, np.uint64).reshape(-1, 3)
    size = len(table)
    return Records(
        time_ns=np.full(size, time_ns, np.int64),
        thread=np.full(size, thread, np.uint32),
        target=np.full(size, target, np.uint64),
        nr_regions=np.full(size, size if nr_regions is None else nr_regions, np.uint32),
        start=table[:, 0] * np.uint64(PAGE_BYTES),
        end=table[:, 1] * np.uint64(PAGE_BYTES),
        nr_accesses=table[:, 2].astype(np.uint32),
    )
