"""/proc/swaps: the swap areas in use and their sizes."""

import attrs

from memtierd.linux.roots import ROOTS, Roots, read_optional


@attrs.frozen
class SwapArea:
    """One swap device or file; kernel kB are 1024 bytes."""

    path: str
    """As the kernel escapes it (a space is ``\\040``)."""
    kind: str
    """"partition" or "file"."""
    size_kb: int
    used_kb: int
    priority: int

    @property
    def free_kb(self) -> int:
        """Return the space that is left."""
        return self.size_kb - self.used_kb


def parse_swaps(text: str) -> list[SwapArea]:
    """Return the areas of a swaps file (mm/swapfile.c, swap_show), whose first line is a heading."""
    areas = []
    for line in text.split("\n")[1:]:
        fields = line.split()
        if fields:
            areas.append(SwapArea(fields[0], fields[1], int(fields[2]), int(fields[3]), int(fields[4])))
    return areas


def swaps(roots: Roots = ROOTS) -> list[SwapArea]:
    """Return the swap areas in use; none on a kernel without swap support, which has no such file."""
    return parse_swaps(read_optional(f"{roots.proc}/swaps") or "")
