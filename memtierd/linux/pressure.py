"""Pressure stall information (PSI): for how much of the time tasks wait for memory and io, here and in a cgroup."""

import errno
import re
from collections.abc import Iterable

from memtierd.errors import KernelError
from memtierd.linux.cgroup import pids_below
from memtierd.linux.roots import ROOTS, Roots, read_optional
from memtierd.model import GroupStall, Pressure, Stall

_SOME = re.compile(r"^some avg10=([0-9]+\.[0-9]+) ", re.MULTILINE)


def parse_some_percent(text: str) -> float | None:
    """Return for how many percent of the last ten seconds some task waited: `some avg10` of a pressure file.

    None for a text without it.  Source: Documentation/accounting/psi.rst.
    """
    match = _SOME.search(text)
    return float(match[1]) if match else None


def pressure(directories: Iterable[str] = (), roots: Roots = ROOTS) -> Pressure:
    """Return the pressure in the system and in these control groups; a group that does not exist is left out.

    Never raises: what can't be read is None, with a sentence in `problems`.
    """
    problems: list[str] = []
    system = _stall(f"{roots.proc}/pressure/memory", f"{roots.proc}/pressure/io", problems)
    if problems:
        return Pressure(system, (), tuple(problems))
    groups = []
    for directory in directories:
        listing = pids_below(directory, roots)
        if not listing.missing:
            stall = _stall(f"{directory}/memory.pressure", f"{directory}/io.pressure", problems)
            groups.append(GroupStall(directory, stall, listing.pids))
    return Pressure(system, tuple(groups), tuple(problems))


def _stall(memory_path: str, io_path: str, problems: list[str]) -> Stall:
    """Return what two pressure files say; when one of them says nothing, add one sentence to `problems`."""
    try:
        stall = Stall(_some_percent(memory_path), _some_percent(io_path))
    except KernelError as error:
        problems.append(f"maxpressure: {error}")
        return Stall(None, None)
    if None in (stall.memory, stall.io):
        missing = memory_path if stall.memory is None else io_path
        problems.append(
            f"maxpressure: {missing} tells no pressure, so nothing is paused for it; it takes a kernel with CONFIG_PSI,"
            " booted with psi=1, and control groups of version 2"
        )
    return stall


def _some_percent(path: str) -> float | None:
    try:
        return parse_some_percent(read_optional(path) or "")
    except KernelError as error:
        # Booted with psi=0, or a group whose cgroup.pressure is 0 (kernel/sched/psi.c).
        if error.errno == errno.EOPNOTSUPP:
            return None
        raise
