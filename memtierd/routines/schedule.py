"""When the commands of a routine are due."""

import attrs

from memtierd.routines.params import StatActionsParams
from memtierd.units import MIB, PAGE_BYTES


@attrs.frozen
class Action:
    """A command that is due."""

    name: str
    """The parameter that holds it."""
    command: tuple[str, ...]
    runner: str


def next_due_ns(due_ns: int, now_ns: int, interval_ns: int) -> tuple[int, int]:
    """Return when the tick after the one due at `due_ns` is due, and how many ticks were missed before `now_ns`.

    Missed ticks are not made up, and the others stay `interval_ns` apart.
    """
    missed = max(0, now_ns - due_ns) // interval_ns
    return due_ns + (missed + 1) * interval_ns, missed


class Due:
    """Which actions are due at each tick.

    Swapped-out memory is counted from the start, and from each time that it was enough: what is swapped out
    beyond `pageoutmb` by then belongs to the command that runs now.
    """

    def __init__(self, params: StatActionsParams, swapped_pages: int) -> None:
        self._params = params
        self._counted_from_pages = swapped_pages

    def at(self, swapped_pages: int) -> list[Action]:
        """Return the actions of a tick at which so many pages in all have been swapped out."""
        params, due = self._params, []
        if params.interval_command:
            due.append(Action("intervalcommand", params.interval_command, params.interval_command_runner or "exec"))
        more_bytes = (swapped_pages - self._counted_from_pages) * PAGE_BYTES
        if params.page_out_command and params.page_out_mb and more_bytes >= params.page_out_mb * MIB:
            self._counted_from_pages = swapped_pages
            due.append(Action("pageoutcommand", params.page_out_command, params.page_out_command_runner or "exec"))
        return due
