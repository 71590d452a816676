"""The watcher of a directory of PID.vab files: processes of which only some addresses are managed."""

import os
from collections.abc import Callable, Iterator, Mapping

import attrs

from memtierd.errors import KernelError
from memtierd.linux.pages_of_interest import AddressRanges, Interest, InterestFile, LockedError, read_interest
from memtierd.linux.proc import boot_time_s
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import Found, See, Watcher, look_up, refusals, see_nothing

_NS_PER_S = 1_000_000_000
_CLOCK_TOLERANCE_S = 10
"""Clocks are set; a file counts as older than its process only when it is clearly so."""
_MOST_SAID = 10
"""So many problems are told one by one."""
_LONG_LOCKED_POLLS = 3

Managed = Mapping[ProcessKey, AddressRanges | None]
"""The ranges of each process that are managed; None: all of it."""


@attrs.define(eq=False)
class PagesOfInterestWatcher:
    """Adds to the processes of another watcher, which are managed wholly, those that have a file.

    A round during which the files are being written counts for nothing: what was read before stays.
    """

    directory: str
    own_interval_ms: int
    roots: Roots
    own_pid: int
    beside: Watcher | None
    tell: Callable[[Managed], None]
    """Called at every poll, before anybody hears of its processes, with what is managed of each."""
    _ranges: dict[ProcessKey, AddressRanges] = attrs.field(factory=dict, init=False)
    _locked_polls: int = attrs.field(default=0, init=False)
    _problems: tuple[str, ...] = attrs.field(default=(), init=False)

    @property
    def params(self) -> None:
        """Return nothing: its parameters are those of its policy."""

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled: as often as the policy decides, and as the other watcher wants."""
        return min(self.own_interval_ms, self.beside.interval_ms) if self.beside else self.own_interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return the processes of this moment."""
        wholly = self.beside.poll(see) if self.beside else frozenset()
        self._read()
        self.tell({**self._ranges, **dict.fromkeys(wholly)})
        return wholly | self._ranges.keys()

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete, here and in the other watcher."""
        said = self._problems
        if len(said) > _MOST_SAID:
            said = (*said[:_MOST_SAID], f"many more files in {self.directory} can't be used")
        if self._locked_polls >= _LONG_LOCKED_POLLS:
            lock = f"{self.directory}/lock"
            said = (*said, f"{lock} is held for long: no pages of interest are read until its holder lets go of it")
        return (self.beside.conditions() if self.beside else ()) + said

    def _read(self) -> None:
        """Take in what the files say now, unless somebody is writing."""
        try:
            interest = self._interest()
            self._ranges, problems = self._of_processes(interest.files)
        except LockedError:
            self._locked_polls += 1
            return
        except KernelError as error:
            self._ranges, self._problems = {}, (str(error),)
        else:
            self._problems = (*interest.problems, *problems)
        self._locked_polls = 0

    def _interest(self) -> Interest:
        if os.path.isdir(self.directory):
            return read_interest(self.directory)
        return Interest({}, (f"directory {self.directory} of pages of interest does not exist yet",))

    def _of_processes(self, files: Mapping[int, InterestFile]) -> tuple[dict[ProcessKey, AddressRanges], list[str]]:
        """Return the ranges of each process that has a file of its own, and why others have none."""
        if not files:
            return {}, []
        found = look_up(files, self.roots, self.own_pid, typed=True)
        boot_s = boot_time_s(self.roots)
        older = {key for key in found.keys if _is_older(files[key.pid], key, boot_s)}
        ranges = {key: files[key.pid].ranges for key in found.keys - older}
        return ranges, list(self._sentences(found, older))

    def _sentences(self, found: Found, older: set[ProcessKey]) -> Iterator[str]:
        why = dict(found.left_out)
        why.update((key.pid, "was started after the file was written; write it anew") for key in older)
        for pid, reason in sorted(why.items()):
            yield f"{self.directory}/{pid}.vab counts for nothing: pid {pid} {reason}"
        yield from refusals("processes", found.refused)


def _is_older(file: InterestFile, key: ProcessKey, boot_s: int) -> bool:
    """Tell whether a file was written before the process started: for another one with its pid, that is."""
    started_s = boot_s + key.start_ticks / os.sysconf("SC_CLK_TCK")
    return file.written_ns / _NS_PER_S + _CLOCK_TOLERANCE_S < started_s
