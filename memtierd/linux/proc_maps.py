"""/proc/PID/maps: the mappings of a process, and which of them memtierd manages."""

import attrs

from memtierd.linux.hugetlb import hugetlb_devices
from memtierd.linux.roots import ROOTS, Roots, read_pid_text
from memtierd.model import AddressRange

_TRACKED_NAMES = ("[heap]", "[stack]")
_TRACKED_NAME_PREFIXES = ("[stack:", "[anon:")
_PRIVATE_HUGETLB = "/anon_hugepage"


@attrs.frozen
class Mapping:
    """One line of /proc/PID/maps (Documentation/filesystems/proc.rst, section 1.1)."""

    start: int
    """Address of the first byte."""
    end: int
    """Address behind the last byte."""
    perms: str
    """"rwxp": four letters, "-" for what is not allowed; the last is "p" (private) or "s" (shared)."""
    offset: int
    """Bytes from the start of the file."""
    device: str
    """"major:minor", both hexadecimal."""
    inode: int
    """0 when no file is mapped."""
    path: str
    """File, name in brackets, or empty; as the kernel escapes it (a newline is ``\\012``)."""
    is_hugetlb: bool = False
    """Whether its pages are hugetlb pages, as far as is known: maps does not tell it of a memfd, smaps does."""

    @property
    def range(self) -> AddressRange:
        """Return the addresses of the mapping."""
        return AddressRange(self.start, self.end)

    @property
    def is_tracked(self) -> bool:
        """Return whether memtierd manages this mapping.

        Managed are private mappings that may be read, written or executed and hold pages of the
        process alone: anonymous memory (also named by prctl PR_SET_VMA), heap, stacks, and writable
        private mappings of files, whose written pages are copies.  Left out are shared memory,
        reservations without any permission (``---p``), the kernel's own mappings (vdso, vvar,
        vsyscall, …), read-only mappings of files (page cache, shared by all), and hugetlb memory,
        which the administrator has given to a node, which does not age and can't be swapped out.
        """
        if self.is_hugetlb or self.perms[3] != "p" or self.perms.startswith("---"):
            return False
        if not self.path or self.path in _TRACKED_NAMES or self.path.startswith(_TRACKED_NAME_PREFIXES):
            return True
        return self.path.startswith("/") and self.perms[1] == "w"


def parse_mapping(line: str) -> Mapping:
    """Return the mapping of one line of maps, or of one header line of smaps, without its newline."""
    fields = line.split(maxsplit=5)
    start, _, end = fields[0].partition("-")
    path = fields[5] if len(fields) > 5 else ""
    return Mapping(
        start=int(start, 16),
        end=int(end, 16),
        perms=fields[1],
        offset=int(fields[2], 16),
        device=fields[3],
        inode=int(fields[4]),
        path=path,
        is_hugetlb=path.startswith(_PRIVATE_HUGETLB),
    )


def parse_maps(text: str) -> list[Mapping]:
    """Return the mappings of a maps file, ascending by address as the kernel writes them."""
    return [parse_mapping(line) for line in text.split("\n") if line]


def maps(pid: int, roots: Roots = ROOTS) -> list[Mapping]:
    """Return the mappings of a process; none for a kernel thread or a zombie.

    Raises ProcessGoneError when the process has ended, KernelError without permission.
    """
    found = parse_maps(read_pid_text(pid, "maps", roots))
    if not any(_may_be_hugetlb(mapping) for mapping in found):
        return found
    devices = hugetlb_devices(pid, roots)
    return [attrs.evolve(mapping, is_hugetlb=True) if mapping.device in devices else mapping for mapping in found]


def _may_be_hugetlb(mapping: Mapping) -> bool:
    """Tell of a mapping that is tracked otherwise; file systems without a disk have devices with the major number 0."""
    return mapping.is_tracked and mapping.path.startswith("/") and mapping.device.startswith("00:")
