"""DAMON's sysfs interface: /sys/kernel/mm/damon/admin (Linux 5.18; Documentation/admin-guide/mm/damon/usage.rst)."""

import errno

import numpy as np

from memtierd.errors import KernelError, UnsupportedError
from memtierd.linux.damon_files import DamonFiles
from memtierd.linux.damon_setup import KdamondFacts, Setup, Target
from memtierd.linux.roots import ROOTS, Roots, read_optional
from memtierd.model import U32, U64

MISSING = "the kernel needs CONFIG_DAMON_SYSFS (Linux 5.18), or use another tracker"
_NEEDS_LISTS = "the sysfs connection needs Linux 6.2: use connection tracefs, bpftrace or perf"
_NEEDS_VADDR = "the kernel needs CONFIG_DAMON_VADDR, or use another tracker"
_ULONG_MAX, _UINT_MAX = (1 << 64) - 1, (1 << 32) - 1
_EXCLUSIVE_MODULES = ("damon_stat", "damon_reclaim", "damon_lru_sort")
_ANY = (("sz", _ULONG_MAX), ("nr_accesses", _UINT_MAX), ("age", _UINT_MAX))


def admin_directory(roots: Roots = ROOTS) -> str:
    """Return the directory of all kdamonds."""
    return f"{roots.sys}/kernel/mm/damon/admin/kdamonds"


class DamonSysfs:
    """DamonInterface over sysfs."""

    name = "sysfs"

    def __init__(self, roots: Roots = ROOTS, files: DamonFiles | None = None) -> None:
        self._roots = roots
        self.files = DamonFiles(admin_directory(roots)) if files is None else files

    def kdamonds(self) -> int:
        """Return nr_kdamonds.  Raises UnsupportedError when there is no such interface."""
        if not self.files.exists("nr_kdamonds"):
            raise UnsupportedError(f"{self.files.path('nr_kdamonds')} does not exist; {MISSING}")
        return self.files.read_int("nr_kdamonds")

    def make_kdamonds(self, count: int) -> None:
        """Set nr_kdamonds, which removes all that is set up; the kernel refuses it while any kdamond runs."""
        self.files.set("nr_kdamonds", count, "another user of DAMON was faster; name kdamonds in kdamondslist")

    def facts(self, kdamond: int) -> KdamondFacts:
        """Return what a kdamond is doing."""
        on = self.files.read(f"{kdamond}/state") == "on"
        thread = self.files.read_int(f"{kdamond}/pid") if on else -1
        contexts = self.files.read_int(f"{kdamond}/contexts/nr_contexts")
        pids: list[int] = []
        for context in range(contexts):
            targets = f"{kdamond}/contexts/{context}/targets"
            count = self.files.read_int(f"{targets}/nr_targets")
            pids += [self.files.read_int(f"{targets}/{target}/pid_target") for target in range(count)]
        return KdamondFacts(kdamond, thread if thread > 0 else None, contexts > 0, tuple(pids))

    def configure(self, kdamond: int, setup: Setup) -> None:
        """Set up one context for virtual addresses, which replaces any other."""
        self.files.set(f"{kdamond}/contexts/nr_contexts", 1)
        self._require_vaddr(kdamond)
        self.files.set(f"{kdamond}/contexts/0/operations", "vaddr", _NEEDS_VADDR)
        attributes = f"{kdamond}/contexts/0/monitoring_attrs"
        for name, value in (
            ("intervals/sample_us", setup.sampling_us),
            ("intervals/aggr_us", setup.aggregation_us),
            ("intervals/update_us", setup.regions_update_us),
            ("nr_regions/min", setup.min_regions),
            ("nr_regions/max", setup.max_regions),
        ):
            self.files.set(f"{attributes}/{name}", value)
        self._set_targets(kdamond, setup)

    def start(self, kdamond: int) -> int:
        """Turn it on.  A process of the targets that has ended gives KernelError with EINVAL."""
        self.files.write(f"{kdamond}/state", "on", self._busy_advice())
        thread = self.files.read_int(f"{kdamond}/pid")
        if thread <= 0:
            raise KernelError(f"start kdamond {kdamond}, which ended at once", errno.ESRCH)
        return thread

    def commit(self, kdamond: int, setup: Setup) -> bool:
        """Let a running kdamond take over what is set up, at the end of its aggregation interval.

        It ends when it can't, for example because a process has ended meanwhile (mm/damon/sysfs.c,
        damon_sysfs_commit_input).  Regions of targets that stay where they are in the list are kept.
        """
        self._set_targets(kdamond, setup)
        try:
            self.files.write(f"{kdamond}/state", "commit")
        except KernelError as error:
            if error.errno != errno.EINVAL:  # it has ended, or Linux 5.18 doesn't know the word
                raise
            return False
        return self.files.read(f"{kdamond}/state") == "on"

    def stop(self, kdamond: int) -> None:
        """Turn it off."""
        if self.files.read(f"{kdamond}/state") != "on":
            return
        try:
            self.files.write(f"{kdamond}/state", "off")
        except KernelError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):  # it has ended by itself meanwhile
                raise

    def clear(self, kdamond: int) -> None:
        """Remove its context."""
        self.files.set(f"{kdamond}/contexts/nr_contexts", 0)

    def scheme_capacity(self, kdamond: int) -> int | None:
        """Return for how many targets a kdamond that is not in use can keep lists of regions; None: any number.

        Without filters for targets (Linux 6.6) there is no telling whose a listed region is, so it is 1.
        Raises UnsupportedError when schemes keep no lists.
        """
        self.files.set(f"{kdamond}/contexts/nr_contexts", 1)
        try:
            self.files.set(f"{kdamond}/contexts/0/schemes/nr_schemes", 1)
            scheme = f"{kdamond}/contexts/0/schemes/0"
            if not self.files.exists(f"{scheme}/tried_regions"):
                raise UnsupportedError(f"no {self.files.path(scheme)}/tried_regions; {_NEEDS_LISTS}")
            self._set_scheme(scheme, 0)
            return None if self.files.exists(f"{scheme}/filters/0/damon_target_idx") else 1
        finally:
            self.clear(kdamond)

    def update_tried_regions(self, kdamond: int) -> None:
        """Let a running kdamond list its regions; takes up to two aggregation intervals."""
        self.files.write(f"{kdamond}/state", "update_schemes_tried_regions")

    def tried_regions(self, kdamond: int, scheme: int) -> tuple[U64, U64, U32]:
        """Return start, end and nr_accesses of the regions that a scheme has listed, ascending by start."""
        directory = f"{kdamond}/contexts/0/schemes/{scheme}/tried_regions"
        numbers = [name for name in self.files.names(directory) if name.isdecimal()]
        texts = [
            self.files.read(f"{directory}/{number}/{name}")
            for number in numbers
            for name in ("start", "end", "nr_accesses")
        ]
        table: U64 = np.array([int(text) for text in texts], np.uint64).reshape(-1, 3)
        start, end, nr_accesses = table[np.argsort(table[:, 0], kind="stable")].T
        return start, end, nr_accesses.astype(np.uint32)

    def _require_vaddr(self, kdamond: int) -> None:
        name = f"{kdamond}/contexts/0/avail_operations"
        if self.files.exists(name) and "vaddr" not in self.files.read(name).split():
            available = ", ".join(self.files.read(name).split()) or "nothing"
            raise UnsupportedError(f"DAMON can't monitor processes here, only {available}; {_NEEDS_VADDR}")

    def _set_targets(self, kdamond: int, setup: Setup) -> None:
        directory = f"{kdamond}/contexts/0/targets"
        self.files.set(f"{directory}/nr_targets", len(setup.targets))
        for number, target in enumerate(setup.targets):
            self._set_target(f"{directory}/{number}", target)
        schemes = f"{kdamond}/contexts/0/schemes"
        count = len(setup.targets) if setup.schemes else 0
        if self.files.read_int(f"{schemes}/nr_schemes") != count:
            self.files.set(f"{schemes}/nr_schemes", count)
            for number in range(count):
                self._set_scheme(f"{schemes}/{number}", number)

    def _set_target(self, directory: str, target: Target) -> None:
        self.files.set(f"{directory}/pid_target", target.pid)
        self.files.set(f"{directory}/regions/nr_regions", len(target.ranges))
        for number, wanted in enumerate(target.ranges):
            self.files.set(f"{directory}/regions/{number}/start", wanted.start)
            self.files.set(f"{directory}/regions/{number}/end", wanted.end)

    def _set_scheme(self, directory: str, target: int) -> None:
        """Make a scheme that does nothing with any region, whatever its size, accesses and age, of one target."""
        self.files.set(f"{directory}/action", "stat")
        for name, most in _ANY:
            self.files.set(f"{directory}/access_pattern/{name}/min", 0)
            self.files.set(f"{directory}/access_pattern/{name}/max", most)
        if self.files.exists(f"{directory}/filters/nr_filters"):
            self.files.set(f"{directory}/filters/nr_filters", 1)
            if not self.files.exists(f"{directory}/filters/0/damon_target_idx"):
                self.files.set(f"{directory}/filters/nr_filters", 0)
                return
            # What does not match is filtered out.
            self.files.set(f"{directory}/filters/0/type", "target")
            self.files.set(f"{directory}/filters/0/matching", "N")
            self.files.set(f"{directory}/filters/0/damon_target_idx", target)

    def _busy_advice(self) -> str:
        """Return what to do when DAMON can't be started: one of its own users may keep all others out."""
        enabled = [
            f"echo N > {self._roots.sys}/module/{module}/parameters/enabled"
            for module in _EXCLUSIVE_MODULES
            if (read_optional(f"{self._roots.sys}/module/{module}/parameters/enabled") or "").strip() == "Y"
        ]
        if enabled:
            return f"another user of DAMON keeps all others out; turn it off with: {'; '.join(enabled)}"
        return ""
