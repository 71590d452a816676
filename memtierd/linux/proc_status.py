"""/proc/PID/stat and /proc/PID/status: identity, kind, sizes and allowed nodes of a process."""

import attrs

from memtierd.linux.roots import ROOTS, Roots, read_pid_text
from memtierd.units import parse_id_list

_PF_KTHREAD = 0x00200000  # include/linux/sched.h
# A zombie's memory is gone; X and x are a process on its last instructions (fs/proc/array.c, task_state_array).
_STATES_WITHOUT_MEMORY = "ZXx"


@attrs.frozen
class ProcessStat:
    """The fields of /proc/PID/stat that memtierd uses (man proc_pid_stat; fs/proc/array.c, do_task_stat)."""

    name: str
    """Field 2, comm without its parentheses."""
    state: str
    """Field 3, one letter."""
    kernel_thread: bool
    """PF_KTHREAD of field 9."""
    start_ticks: int
    """Field 22: clock ticks from boot to the start of the process."""
    processor: int
    """Field 39: the CPU the main thread last ran on."""
    image: str = ""
    """Where the program that it runs has its code and its stack; empty when the kernel doesn't tell."""

    @property
    def has_memory(self) -> bool:
        """Return whether the process has user memory: it is neither a kernel thread nor a zombie."""
        return not self.kernel_thread and self.state not in _STATES_WITHOUT_MEMORY


@attrs.frozen
class ProcessStatus:
    """The fields of /proc/PID/status that memtierd uses (Documentation/filesystems/proc.rst, table 1-2)."""

    name: str
    """As the kernel escapes it (a newline is ``\\n``, a backslash doubled)."""
    tgid: int
    """The process that the pid, which may be a thread's, belongs to."""
    vm_size_kb: int
    """0 for a process without memory, like the two below."""
    vm_rss_kb: int
    vm_swap_kb: int
    allowed_nodes: frozenset[int]
    """Mems_allowed_list; empty on a kernel without CONFIG_CPUSETS."""
    allowed_cpus: frozenset[int]
    """Cpus_allowed_list: where the main thread may run."""
    kernel_thread: bool


def parse_stat(text: str) -> ProcessStat:
    """Return the fields of a stat line; the name may hold spaces, newlines and parentheses."""
    opening, closing = text.index("("), text.rindex(")")
    fields = text[closing + 1 :].split()  # fields[0] is field 3
    return ProcessStat(
        name=text[opening + 1 : closing],
        state=fields[0],
        kernel_thread=bool(int(fields[6]) & _PF_KTHREAD),
        start_ticks=int(fields[19]),
        processor=int(fields[36]),
        image=_image(fields[23:26]),
    )


def _image(fields: list[str]) -> str:
    """Return fields 26 to 28 (startcode, endcode, startstack), which execve(2) sets and nothing but prctl(2) changes.

    The addresses are random, so that they differ also when a program runs itself anew.  Who may not trace the process
    reads 1 or 0 in their place (fs/proc/array.c, do_task_stat).
    """
    return "" if set(fields) <= {"0", "1"} else " ".join(fields)


def stat(pid: int, roots: Roots = ROOTS) -> ProcessStat:
    """Return what /proc/PID/stat says.  Raises ProcessGoneError when the process has ended."""
    return parse_stat(read_pid_text(pid, "stat", roots))


def parse_status(text: str) -> ProcessStatus:
    """Return the fields of a status file.

    Kernels before 6.8 have no Kthread line; there a process without VmSize that isn't a zombie is a kernel thread.
    """
    fields = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":\t")
        fields[name] = value
    kthread = fields.get("Kthread")
    if kthread is None:
        kernel_thread = "VmSize" not in fields and fields["State"][0] not in _STATES_WITHOUT_MEMORY
    else:
        kernel_thread = kthread == "1"
    return ProcessStatus(
        name=fields["Name"],
        tgid=int(fields["Tgid"]),
        vm_size_kb=_kb(fields, "VmSize"),
        vm_rss_kb=_kb(fields, "VmRSS"),
        vm_swap_kb=_kb(fields, "VmSwap"),
        allowed_nodes=parse_id_list(fields.get("Mems_allowed_list", "")),
        allowed_cpus=parse_id_list(fields.get("Cpus_allowed_list", "")),
        kernel_thread=kernel_thread,
    )


def status(pid: int, roots: Roots = ROOTS) -> ProcessStatus:
    """Return what /proc/PID/status says; also works for the id of a thread.

    Raises ProcessGoneError when the process has ended.
    """
    return parse_status(read_pid_text(pid, "status", roots))


def _kb(fields: dict[str, str], name: str) -> int:
    value = fields.get(name)
    return int(value.split()[0]) if value else 0
