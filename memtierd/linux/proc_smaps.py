"""/proc/PID/smaps, smaps_rollup and clear_refs: how much of each mapping is present, referenced or swapped."""

import os
from collections.abc import Iterator

import attrs

from memtierd.linux.proc_maps import Mapping, parse_mapping
from memtierd.linux.roots import ROOTS, Roots, pid_error, read_pid_text

CLEAR_REFERENCED = 1
"""Value for clear_refs: accessed and referenced bits of all pages (Documentation/filesystems/proc.rst)."""
CLEAR_SOFT_DIRTY = 4
"""Value for clear_refs: soft-dirty bits of all pages (Documentation/admin-guide/mm/soft-dirty.rst)."""


@attrs.frozen
class MappingUse:
    """The figures of one mapping in /proc/PID/smaps; kernel kB are 1024 bytes."""

    mapping: Mapping
    rss_kb: int
    referenced_kb: int
    swap_kb: int
    private_dirty_kb: int
    anonymous_kb: int
    anon_huge_kb: int = 0
    """AnonHugePages: of anonymous memory, what is mapped as huge pages."""


def parse_smaps(text: str) -> list[MappingUse]:
    """Return the figures of every mapping in an smaps file, ascending by address; a missing line counts 0."""
    return [
        MappingUse(
            attrs.evolve(mapping, is_hugetlb=mapping.is_hugetlb or _is_hugetlb(fields)),
            rss_kb=_kb(fields, "Rss"),
            referenced_kb=_kb(fields, "Referenced"),
            swap_kb=_kb(fields, "Swap"),
            private_dirty_kb=_kb(fields, "Private_Dirty"),
            anonymous_kb=_kb(fields, "Anonymous"),
            anon_huge_kb=_kb(fields, "AnonHugePages"),
        )
        for mapping, fields in _blocks(text)
    ]


def smaps(pid: int, roots: Roots = ROOTS) -> list[MappingUse]:
    """Return the figures of every mapping of a process: the kernel walks all its page tables for it.

    Raises ProcessGoneError when the process has ended, KernelError without permission.
    """
    return parse_smaps(read_pid_text(pid, "smaps", roots))


def private_dirty_kb(pid: int, roots: Roots = ROOTS) -> int:
    """Return Private_Dirty of /proc/PID/smaps_rollup: modified pages that only this process maps.

    Raises ProcessGoneError when the process has ended or has no memory, KernelError without permission.
    """
    blocks = list(_blocks(read_pid_text(pid, "smaps_rollup", roots)))
    return sum(_kb(fields, "Private_Dirty") for _, fields in blocks)


def clear_refs(pid: int, value: int, roots: Roots = ROOTS) -> None:
    """Clear bits of all pages of a process: CLEAR_REFERENCED or CLEAR_SOFT_DIRTY.

    The kernel takes 4 also where it has no soft-dirty bits: see native.soft_dirty_works.
    Raises ProcessGoneError when the process has ended, KernelError without permission.
    """
    path = f"{roots.proc}/{pid}/clear_refs"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"%d" % value)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise pid_error(f"write {value} to {path}", error, pid, roots) from error


def _blocks(text: str) -> Iterator[tuple[Mapping, dict[str, str]]]:
    """Yield each mapping with its "Name: value" lines; header lines start with a lower-case hex digit."""
    mapping: Mapping | None = None
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        if line[0].isupper():
            name, _, value = line.partition(":")
            fields[name] = value
            continue
        if mapping is not None:
            yield mapping, fields
        mapping, fields = parse_mapping(line), {}
    if mapping is not None:
        yield mapping, fields


def _is_hugetlb(fields: dict[str, str]) -> bool:
    """Tell by the flag "ht" (Documentation/filesystems/proc.rst, VmFlags)."""
    return "ht" in fields.get("VmFlags", "").split()


def _kb(fields: dict[str, str], name: str) -> int:
    value = fields.get(name)
    return int(value.split()[0]) if value else 0
