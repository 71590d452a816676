"""What this process may do to others: the capabilities that memtierd needs and does not have."""

import os

from memtierd.linux.roots import ROOTS, Roots, read_text

NEEDED = {
    "CAP_SYS_PTRACE": (19, "look into the processes of others"),
    "CAP_SYS_ADMIN": (21, "see page frame numbers"),
    "CAP_SYS_NICE": (23, "swap out the memory of other processes"),
}
"""Number (include/uapi/linux/capability.h) and what it is needed for (man process_madvise, proc_pid_pagemap)."""


def missing_capabilities(roots: Roots = ROOTS) -> dict[str, str]:
    """Return the needed capabilities that this process lacks, with what each is for."""
    effective = parse_effective(read_text(f"{roots.proc}/{os.getpid()}/status"))
    return {name: use for name, (number, use) in NEEDED.items() if not effective >> number & 1}


def parse_effective(status: str) -> int:
    """Return the bits of CapEff in the text of /proc/PID/status."""
    for line in status.split("\n"):
        name, _, value = line.partition(":\t")
        if name == "CapEff":
            return int(value, 16)
    raise ValueError("a status without CapEff")
