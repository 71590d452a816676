"""/proc/sys/kernel/random/boot_id: which run of the machine this is."""

from memtierd.linux.roots import ROOTS, Roots, read_text


def boot_id(roots: Roots = ROOTS) -> str:
    """Return the random name of this boot (Documentation/admin-guide/sysctl/kernel.rst).  Raises KernelError."""
    return read_text(f"{roots.proc}/sys/kernel/random/boot_id").strip()
