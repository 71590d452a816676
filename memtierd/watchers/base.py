"""What every watcher offers, and how pids become processes that memtierd may manage."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux.proc import stat, status
from memtierd.linux.roots import Roots, translated
from memtierd.model import ProcessKey

See = Callable[[str, str | None], None]
"""Told of a directory before it is read, and of the one entry that matters in it, None: all that concerns processes."""


def see_nothing(_directory: str, _name: str | None = None) -> None:
    """Watch nothing."""


class Watcher(Protocol):
    """Knows which processes are to be managed; asked at every interval, or whenever somebody wants to look again."""

    @property
    def params(self) -> Any:
        """Return the parameters it was built with."""

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled."""

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return the processes of this moment; a process or group that is not there is no error.

        `see` is told where the kernel would tell of others.
        """

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete, a sentence each; the same state gives the same."""


@attrs.frozen
class Found:
    """Pids, looked up."""

    keys: frozenset[ProcessKey]
    left_out: dict[int, str]
    """Why a pid is not in `keys`, said of it: "does not exist"."""
    refused: tuple[KernelError, ...] = ()
    """One error for each process that could not be identified for another reason than its end."""


def look_up(pids: Iterable[int], roots: Roots, own_pid: int, *, typed: bool = False) -> Found:
    """Return the identities of those pids that memtierd may manage.

    `typed` pids were written by somebody, who may have given the number of a thread; the kernel lists none.

    Left out are memtierd itself, which would wait for its own moves, and what has no user memory:
    kernel threads, zombies, and pids that no process has.  Every start time is read anew: a
    remembered one could not tell a process from a later one with its pid.
    """
    keys: list[ProcessKey] = []
    left_out: dict[int, str] = {}
    refused: list[KernelError] = []
    for pid in pids:
        if pid == own_pid:
            left_out[pid] = "is memtierd itself"
            continue
        try:
            now = stat(pid, roots)
            process = status(pid, roots).tgid if typed else pid
        except ProcessGoneError:
            left_out[pid] = "does not exist"
        except KernelError as error:
            refused.append(error)
        else:
            if not now.has_memory:
                left_out[pid] = "has no memory of its own (a kernel thread or a zombie)"
            elif process != pid:
                left_out[pid] = f"is a thread of process {process}"
            else:
                keys.append(ProcessKey(pid, now.start_ticks))
    return Found(frozenset(keys), left_out, tuple(refused))


def refusals(what: str, errors: Iterable[KernelError]) -> tuple[str, ...]:
    """Return one sentence for each errno met while reading `what`.

    Neither a count nor an example is in it: they change from poll to poll while the condition lasts.
    """
    numbers = sorted({error.errno for error in errors})
    return tuple(str(translated(f"read some {what}", OSError(number, ""))) for number in numbers)
