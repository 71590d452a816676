"""DAMON's debugfs interface of old kernels: /sys/kernel/debug/damon (Linux 5.15, removed in 6.14).

It has one context that is always there, here kdamond 0, and others that somebody may have made beside it; all are
started and stopped together by `monitor_on` (mm/damon/dbgfs.c).
"""

import errno
import os

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.damon_files import DamonFiles
from memtierd.linux.damon_setup import KdamondFacts, Setup
from memtierd.linux.roots import ROOTS, Roots, list_names

MISSING = (
    "the kernel needs CONFIG_DAMON_DBGFS (Linux 5.15 to 6.13) and debugfs mounted"
    " (mount -t debugfs none /sys/kernel/debug), or use another tracker"
)
MOST_TARGETS = 32
"""Reading `target_ids` back fails beyond 320 bytes (mm/damon/dbgfs.c, dbgfs_target_ids_read)."""
_SWITCHES = ("monitor_on", "monitor_on_DEPRECATED")  # renamed in Linux 6.9


class DamonDebugfs:
    """DamonInterface over debugfs."""

    name = "debugfs"

    def __init__(self, roots: Roots = ROOTS, files: DamonFiles | None = None) -> None:
        self.files = DamonFiles(f"{roots.sys}/kernel/debug/damon") if files is None else files
        self._attributes_before: str | None = None

    def kdamonds(self) -> int:
        """Return 1.  Raises UnsupportedError when there is no such interface."""
        self._switch()
        return 1

    def facts(self, kdamond: int) -> KdamondFacts:
        """Return what the context is doing; those that somebody made beside it count as being set up."""
        thread = self.files.read("kdamond_pid")
        pids = tuple(int(word) for word in self.files.read("target_ids").split())
        others = [name for name in list_names(self.files.directory) if os.path.isdir(self.files.path(name))]
        return KdamondFacts(kdamond, int(thread) if thread.isdecimal() else None, bool(pids or others), pids)

    def scheme_capacity(self, kdamond: int) -> int | None:
        """Raise UnsupportedError: schemes of debugfs keep no lists."""
        raise UnsupportedError("the sysfs connection can't work with interface 2, debugfs; use another connection")

    def configure(self, kdamond: int, setup: Setup) -> None:
        """Set attributes and processes; where DAMON begins is left to it."""
        if len(setup.targets) > MOST_TARGETS:
            raise UnsupportedError(f"DAMON takes {MOST_TARGETS} processes through debugfs, not {len(setup.targets)}")
        if self._attributes_before is None:
            self._attributes_before = self.files.read("attrs")
        values = (setup.sampling_us, setup.aggregation_us, setup.regions_update_us, setup.min_regions)
        self.files.set("attrs", " ".join(map(str, (*values, setup.max_regions))))
        self.files.set("target_ids", " ".join(str(target.pid) for target in setup.targets))

    def start(self, kdamond: int) -> int:
        """Turn monitoring on."""
        self.files.write(self._switch(), "on", "")
        thread = self.files.read("kdamond_pid")
        if not thread.isdecimal():
            raise KernelError("start DAMON through debugfs, which ended at once", errno.ESRCH)
        return int(thread)

    def commit(self, kdamond: int, setup: Setup) -> bool:
        """Return False: debugfs takes nothing while DAMON runs."""
        return False

    def stop(self, kdamond: int) -> None:
        """Turn monitoring off."""
        if self.files.read("kdamond_pid").isdecimal():
            try:
                self.files.write(self._switch(), "off")
            except KernelError as error:
                if error.errno != errno.EPERM:  # it has ended by itself meanwhile
                    raise

    def clear(self, kdamond: int) -> None:
        """Remove the processes and restore the attributes."""
        self.files.set("target_ids", "")
        if self._attributes_before is not None:
            self.files.set("attrs", self._attributes_before)
            self._attributes_before = None

    def _switch(self) -> str:
        for name in _SWITCHES:
            if self.files.exists(name):
                return name
        raise UnsupportedError(f"{self.files.path(_SWITCHES[0])} does not exist; {MISSING}")
