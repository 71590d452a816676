"""Which kdamonds may be used, and giving back exactly those: never anybody else's."""

import os
from collections.abc import Callable, Sequence

import attrs

from memtierd.errors import KernelError, MemtierdError, NotConfiguredError, UnsupportedError
from memtierd.linux import damon_markers
from memtierd.linux.damon_debugfs import DamonDebugfs
from memtierd.linux.damon_markers import Claim, Marker, is_alive
from memtierd.linux.damon_setup import DamonInterface, KdamondFacts
from memtierd.linux.damon_sysfs import DamonSysfs, admin_directory
from memtierd.linux.proc import process_key
from memtierd.linux.roots import ROOTS, Roots
from memtierd.linux.tracefs import remove_instance, tracing_directory
from memtierd.model import ProcessKey
from memtierd.trackers.damon.params import DamonParams


def chosen(params: DamonParams, count: int, free: Sequence[int], directory: str) -> tuple[int, ...]:
    """Return the kdamonds that the parameters name, of the `count` that the system has: pure.

    With none in the system they are those that will be there once memtierd has made them.
    Raises NotConfiguredError, which says what to write into the configuration.
    """
    path = f"{directory}/nr_kdamonds"
    if count == 0 and params.nr_kdamonds == 0:
        raise NotConfiguredError(
            f"tracker damon: the system has no kdamonds ({path} holds 0); let memtierd make as many as all users of"
            " DAMON need by writing nrkdamonds: 1 (or more), or make them (as root: echo 1 > "
            f"{path}) and write kdamondslist: [0]"
        )
    there = count or params.nr_kdamonds
    if count and not params.kdamonds_list:
        usable = f"not in use now: {_listed(free)}" if free else "all are in use now, so stop one first"
        sample = free[0] if free else 0
        raise NotConfiguredError(
            f"tracker damon: the system has {count} kdamonds already ({path}), so somebody else manages them; say which"
            f" memtierd may use by writing kdamondslist: [{sample}] ({usable})"
        )
    missing = [number for number in params.kdamonds_list if number >= there]
    if missing:
        raise NotConfiguredError(
            f"tracker damon: kdamondslist names {_listed(missing)}, and the system has {there} kdamonds"
            f" ({path}): write numbers from 0 to {there - 1}"
        )
    return params.kdamonds_list or tuple(range(there))


def is_free(facts: KdamondFacts) -> bool:
    """Tell whether nobody uses a kdamond."""
    return facts.thread is None and not facts.is_set_up


def refusal(facts: KdamondFacts, holder: Marker | None, free: Sequence[int]) -> str:
    """Return why a kdamond that is not free can't be used: pure."""
    pids = f" for pids {', '.join(map(str, facts.target_pids[:8]))}" if facts.target_pids else ""
    state = "is set up" if facts.thread is None else f"runs (as thread {facts.thread})"
    whose = f"by memtierd, pid {holder.owner.pid}" if holder is not None else "by somebody else"
    advice = f"not in use now: {_listed(free)}" if free else "all are in use now"
    return (
        f"tracker damon: kdamond {facts.kdamond} {state}{pids} {whose}, and memtierd leaves it alone; stop that user"
        f" of DAMON and take its contexts away, or name others in kdamondslist ({advice})"
    )


@attrs.define(eq=False)
class Ownership:
    """The kdamonds of one tracker, from `claim` to `release`."""

    interface: DamonInterface
    params: DamonParams
    instance: str
    """The trace instance that the tracker may make."""
    roots: Roots = ROOTS
    owner: ProcessKey = attrs.field(default=attrs.Factory(lambda self: process_key(os.getpid(), self.roots), True))
    marker: Marker | None = None
    """What is held now."""

    def check(self) -> None:
        """Raise UnsupportedError when `claim` would; what this process holds now is taken as free.  Reads only."""
        own = [marker for marker in damon_markers.read_all(self.roots) if marker.owner == self.owner]
        mine = {claim.kdamond for marker in own if marker.interface == self.interface.name for claim in marker.claims}
        if any(marker.made_kdamonds for marker in own):
            return
        self._chosen(mine)

    def claim(self) -> tuple[int, ...]:
        """Take the kdamonds, making them when there are none, and return their numbers.

        Raises UnsupportedError when they are somebody else's or there are none, KernelError when they can't be had.
        """
        with damon_markers.locked(self.roots):
            kdamonds, make = self._chosen(frozenset())
            made = self.params.nr_kdamonds if make else 0
            claims = tuple(map(Claim, kdamonds))
            self.marker = Marker(self.owner, self.interface.name, claims, made, self.instance)
            damon_markers.write(self.marker, self.roots)
            if make and isinstance(self.interface, DamonSysfs):
                try:
                    self.interface.make_kdamonds(self.params.nr_kdamonds)
                except MemtierdError:
                    damon_markers.remove(self.marker, self.roots)
                    self.marker = None
                    raise
        return kdamonds

    def note(self, kdamond: int, thread: int | None, target_pids: tuple[int, ...]) -> None:
        """Write down what a kdamond is set up for, before it is, and its thread as soon as that is known."""
        if self.marker is None:
            raise MemtierdError(f"tracker damon: use kdamond {kdamond}: it was given back already")
        key = None if thread is None else process_key(thread, self.roots)
        new = Claim(kdamond, key, target_pids)
        claims = tuple(new if claim.kdamond == kdamond else claim for claim in self.marker.claims)
        with damon_markers.locked(self.roots):
            self.marker = attrs.evolve(self._with_inheritance(self.marker), claims=claims)
            damon_markers.write(self.marker, self.roots)

    def release(self) -> list[str]:
        """Stop and give back what is still ours; return what went wrong, one sentence each."""
        marker, self.marker = self.marker, None
        if marker is None:
            return []
        with damon_markers.locked(self.roots):
            return give_back(self._with_inheritance(marker), self.interface, self.roots)

    def _with_inheritance(self, marker: Marker) -> Marker:
        """Return a marker with the duty to unmake kdamonds, which another memtierd may have left to it."""
        written = [one for one in damon_markers.read_all(self.roots) if one.file_name == marker.file_name]
        return attrs.evolve(marker, made_kdamonds=max(one.made_kdamonds for one in (marker, *written)))

    def _chosen(self, mine: frozenset[int] | set[int]) -> tuple[tuple[int, ...], bool]:
        """Return the kdamonds to be used, and whether they have to be made."""
        count = self.interface.kdamonds()
        facts = [self.interface.facts(number) for number in range(count)]
        free = [one.kdamond for one in facts if is_free(one) or one.kdamond in mine]
        if self.interface.name != "sysfs":  # debugfs has one context, which needs no choice
            kdamonds: tuple[int, ...] = (0,)
        else:
            kdamonds = chosen(self.params, count, free, admin_directory(self.roots))
        for number in kdamonds:
            if number < count and number not in free:
                raise UnsupportedError(refusal(facts[number], self._holder(number), free))
        return kdamonds, count == 0

    def _holder(self, kdamond: int) -> Marker | None:
        for marker in damon_markers.read_all(self.roots):
            held = marker.interface == self.interface.name and kdamond in (claim.kdamond for claim in marker.claims)
            if held and is_alive(marker.owner, self.roots):
                return marker
        return None


def recover(roots: Roots = ROOTS) -> list[str]:
    """Stop and remove what memtierds that have ended without doing so left of themselves, and nothing else.

    Returns what went wrong, one sentence each.
    """
    if not damon_markers.read_all(roots):
        return []
    problems: list[str] = []
    with damon_markers.locked(roots):
        for marker in damon_markers.read_all(roots):
            if not is_alive(marker.owner, roots):
                problems += give_back(marker, interface_named(marker.interface, roots), roots)
    return problems


def interface_named(name: str, roots: Roots) -> DamonInterface:
    """Return the interface that a marker names."""
    return DamonSysfs(roots) if name == "sysfs" else DamonDebugfs(roots)


def give_back(marker: Marker, interface: DamonInterface, roots: Roots) -> list[str]:
    """Undo all that a marker tells of, as far as it is still the marker's, and remove the marker.

    To be called with the lock held.  Returns what went wrong; the marker stays then, for the next start.
    """
    steps: list[Callable[[], None]] = [
        *(lambda claim=claim: _give_back_kdamond(claim, interface, roots) for claim in marker.claims),
        lambda: _remove_instance(marker.instance, roots),
        lambda: _unmake_kdamonds(marker, interface, roots),
    ]
    problems = [problem for step in steps if (problem := _problem_of(step))]
    if not problems:
        damon_markers.remove(marker, roots)
    return problems


def _give_back_kdamond(claim: Claim, interface: DamonInterface, roots: Roots) -> None:
    if claim.kdamond >= interface.kdamonds():
        return
    facts = interface.facts(claim.kdamond)
    if facts.thread is not None:
        if not _is_of(claim, facts, roots):
            return
        interface.stop(claim.kdamond)
    elif not facts.is_set_up or not set(facts.target_pids) <= {0, *claim.target_pids}:
        return
    interface.clear(claim.kdamond)


def _is_of(claim: Claim, facts: KdamondFacts, roots: Roots) -> bool:
    """Tell whether a kdamond that runs is the one of a claim.

    A memtierd that was killed between starting it and writing that down has written for which processes it is.
    """
    if claim.thread is not None:
        return claim.thread.pid == facts.thread and is_alive(claim.thread, roots)
    return bool(claim.target_pids) and facts.target_pids == claim.target_pids


def _remove_instance(name: str, roots: Roots) -> None:
    if name:
        try:
            directory = tracing_directory(roots)
        except UnsupportedError:
            return
        remove_instance(f"{directory}/instances/{os.path.basename(name)}")


def _unmake_kdamonds(marker: Marker, interface: DamonInterface, roots: Roots) -> None:
    """Set nr_kdamonds to 0 again if memtierd has set it and nobody uses any; else leave that to the next memtierd."""
    if not marker.made_kdamonds or not isinstance(interface, DamonSysfs):
        return
    others = [one for one in damon_markers.read_all(roots) if one.file_name != marker.file_name]
    heirs = [one for one in others if one.interface == "sysfs" and is_alive(one.owner, roots)]
    if heirs:
        damon_markers.write(attrs.evolve(heirs[0], made_kdamonds=marker.made_kdamonds), roots)
    elif interface.kdamonds() == marker.made_kdamonds and all(
        is_free(interface.facts(number)) for number in range(marker.made_kdamonds)
    ):
        interface.make_kdamonds(0)


def _problem_of(step: Callable[[], None]) -> str:
    try:
        step()
    except (KernelError, UnsupportedError) as error:
        return str(error)
    return ""


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
