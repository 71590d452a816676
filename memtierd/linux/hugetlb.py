"""Which devices are file systems of hugetlb pages: /proc/PID/mountinfo."""

import errno

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.roots import Roots, read_optional

_TYPE = "hugetlbfs"


def parse_hugetlb_devices(mountinfo: str) -> frozenset[str]:
    """Return the devices of mounted hugetlb file systems, written as in /proc/PID/maps: hexadecimal "major:minor".

    Documentation/filesystems/proc.rst, section 3.5: optional fields end with a lone "-", the type is behind it.
    """
    found = set()
    for line in mountinfo.split("\n"):
        fields = line.split(" ")
        if "-" in fields[6:] and fields[fields.index("-", 6) + 1] == _TYPE:
            major, _, minor = fields[2].partition(":")
            found.add(f"{int(major):02x}:{int(minor):02x}")
    return frozenset(found)


def hugetlb_devices(pid: int, roots: Roots) -> frozenset[str]:
    """Return those that a process has mounted; none when /proc/PID/mountinfo does not exist.

    Raises ProcessGoneError when the process is exiting, KernelError without permission.
    """
    try:
        return parse_hugetlb_devices(read_optional(f"{roots.proc}/{pid}/mountinfo") or "")
    except KernelError as error:
        # EINVAL: it has no mount namespace any more (fs/proc_namespace.c, mounts_open_common).
        if error.errno in (errno.EINVAL, errno.ESRCH):
            raise ProcessGoneError(f"read mountinfo of pid {pid}") from error
        raise
