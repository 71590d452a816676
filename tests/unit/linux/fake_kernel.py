"""A proc and sysfs of plain files in a temporary directory."""

import shutil
from pathlib import Path

from memtierd.linux.roots import Roots

CASES = Path(__file__).parents[2] / "cases"
KTHREAD = 0x00200000


def lay_machine(case: str, directory: Path) -> Roots:
    """Lay the tree of tests/cases/machines/CASE.txt below `directory`."""
    for piece in (CASES / "machines" / f"{case}.txt").read_text().split("=== ")[1:]:
        name, _, text = piece.partition("\n")
        path = directory / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return Roots(proc=str(directory / "proc"), sys=str(directory / "sys"))


class FakeKernel:
    """Processes and control groups that a test adds, changes and removes."""

    def __init__(self, directory: Path) -> None:
        """Make an empty proc and sysfs."""
        self.directory = directory
        self.roots = Roots(proc=str(directory / "proc"), sys=str(directory / "sys"))
        (directory / "proc").mkdir()
        (directory / "sys").mkdir()

    def add(
        self,
        pid: int,
        *,
        start_ticks: int = 100,
        name: str = "worker",
        state: str = "S",
        kernel_thread: bool = False,
        cpu: int = 0,
        exe: str | None = "/usr/bin/worker",
        vm_size_kb: int = 4096,
        vm_rss_kb: int = 1024,
        private_dirty_kb: int = 512,
        mems: str = "0-3",
        cpus: str = "0-3",
        tgid: int | None = None,
    ) -> None:
        """Add a process, or replace one wholly."""
        self.remove(pid)
        directory = self.directory / "proc" / str(pid)
        directory.mkdir()
        numbers = ["0"] * 49
        numbers[5] = str(KTHREAD if kernel_thread else 0)
        numbers[18] = str(start_ticks)
        numbers[35] = str(cpu)
        (directory / "stat").write_text(f"{pid} ({name}) {state} {' '.join(numbers)}\n")
        (directory / "status").write_text(
            f"Name:\t{name}\nState:\t{state} (of some kind)\nTgid:\t{tgid or pid}\nKthread:\t{int(kernel_thread)}\n"
            f"VmSize:\t{vm_size_kb:8} kB\nVmRSS:\t{vm_rss_kb:8} kB\nVmSwap:\t       0 kB\nMems_allowed_list:\t{mems}\n"
            f"Cpus_allowed_list:\t{cpus}\n"
        )
        (directory / "smaps_rollup").write_text(
            f"00400000-7ffd6fee2000 ---p 00000000 00:00 0       [rollup]\nPrivate_Dirty: {private_dirty_kb:8} kB\n"
        )
        if exe is not None:
            (directory / "exe").symlink_to(exe)

    def remove(self, pid: int) -> None:
        """End a process; one that does not run stays away."""
        shutil.rmtree(self.directory / "proc" / str(pid), ignore_errors=True)

    def put(self, path: str, text: str) -> Path:
        """Write a file such as "sys/kernel/mm/…" with the directories it needs."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def group(self, path: str, *pids: int) -> str:
        """Make a control group below "cgroup" with these processes; return its directory."""
        return str(self.put(f"cgroup/{path}/cgroup.procs", "".join(f"{pid}\n" for pid in pids)).parent)
