"""The kdamonds of one tracker at work: each has the processes that it shall monitor, and nothing else."""

import errno
import threading
from collections.abc import Callable, Iterator, Sequence

import attrs

from memtierd.errors import KernelError, ProcessGoneError, UnsupportedError
from memtierd.linux.damon_setup import DamonInterface, Setup, Target
from memtierd.model import AddressRange, ProcessKey
from memtierd.trackers.damon.attribution import FOREVER_NS, Tenure
from memtierd.trackers.damon.connection import Monitor
from memtierd.trackers.damon.lifecycle import Event, LifeCycle, State
from memtierd.trackers.damon.ownership import Ownership
from memtierd.trackers.damon.params import DamonParams
from memtierd.trackers.damon.slots import assign, bounding_ranges, reslot
from memtierd.trackers.kernel import TrackerKernel

_AREAS = 3
"""DAMON begins with as many ranges, around the heap, the mmap area and the stack (mm/damon/vaddr.c)."""
_NS_PER_US = 1000
_CLOSE_PATIENCE_S = 2.0
"""How long the end waits for a thread that is at work with DAMON; the kernel keeps some waiting for long."""


@attrs.define(eq=False)
class Kdamond:
    """One kdamond in our hands."""

    number: int
    life: LifeCycle = attrs.field(factory=LifeCycle)
    thread: int = 0
    """Its thread id while it runs."""
    slots: tuple[ProcessKey, ...] = ()
    """The processes that it monitors, in the order of its targets."""

    @property
    def is_running(self) -> bool:
        """Tell whether it monitors."""
        return self.life.state is State.RUNNING


class Monitoring:
    """Lets DAMON monitor the processes it is told to; not for several threads at once, but for `close`."""

    def __init__(
        self, ownership: Ownership, kernel: TrackerKernel, *, needs_schemes: bool, capacity: int | None = None
    ) -> None:
        """Prepare; nothing is claimed yet.

        Args:
            ownership: of the kdamonds; its interface is used.
            kernel: where processes are looked up.
            needs_schemes: whether the connection reads the lists of regions that schemes keep.
            capacity: how many processes a kdamond takes; None: any number.

        """
        self.interrupted = False
        """Whether somebody else has stopped a kdamond of ours."""
        self.left_out: tuple[ProcessKey, ...] = ()
        """Processes for which there is no room."""
        self.tenures: list[Tenure] = []
        """Who was monitored when, for records that are still to come; the caller drops old ones."""
        self.capacity = capacity
        self._ownership = ownership
        self._interface: DamonInterface = ownership.interface
        self._params: DamonParams = ownership.params.resolved()
        self._kernel = kernel
        self._needs_schemes = needs_schemes
        self._kdamonds: list[Kdamond] = []
        self._at_work = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Tell whether kdamonds are claimed."""
        return bool(self._kdamonds)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of the claimed kdamonds."""
        return tuple(kdamond.number for kdamond in self._kdamonds)

    def open(self) -> None:
        """Claim the kdamonds.  Raises UnsupportedError or KernelError; see Ownership.claim."""
        self.interrupted = False
        self._kdamonds = [Kdamond(number) for number in self._ownership.claim()]
        for kdamond in self._kdamonds:
            kdamond.life.fire(Event.CLAIM)
        if self._needs_schemes:
            self.capacity = self._interface.scheme_capacity(self._kdamonds[0].number)

    def close(self) -> list[str]:
        """Stop and give back everything; return what went wrong, one sentence each.

        From any thread.  One that hangs in `follow` can't use a kdamond any more when the kernel lets it go.
        """
        waited = self._at_work.acquire(timeout=_CLOSE_PATIENCE_S)
        try:
            kdamonds, self._kdamonds = self._kdamonds, []
            problems = self._release()
            for kdamond in kdamonds:
                kdamond.life.fire(Event.STOP)
                kdamond.life.fire(Event.RELEASE)
            self.tenures, self.left_out = [], ()
            return problems
        finally:
            if waited:
                self._at_work.release()

    def _release(self) -> list[str]:
        try:
            return self._ownership.release()
        except KernelError as error:
            return [str(error)]

    def monitors(self) -> tuple[Monitor, ...]:
        """Return the kdamonds that run now."""
        return tuple(
            Monitor(kdamond.number, kdamond.thread, len(kdamond.slots))
            for kdamond in self._kdamonds
            if kdamond.is_running
        )

    def follow(self, wanted: Sequence[ProcessKey]) -> bool:
        """Monitor exactly these processes from now on; return whether anything changed.

        Raises UnsupportedError when a kdamond was taken by somebody else, KernelError when DAMON refuses.
        """
        before = self.monitors(), [kdamond.slots for kdamond in self._kdamonds]
        current = {key: kdamond.number for kdamond in self._kdamonds for key in kdamond.slots}
        assigned = assign(current, wanted, self.numbers, self.capacity)
        self.left_out = tuple(sorted(set(wanted) - assigned.keys()))
        with self._at_work:
            for kdamond in self._kdamonds:
                self._observe(kdamond)
                self._adapt(kdamond, {key for key, number in assigned.items() if number == kdamond.number})
        return before != (self.monitors(), [kdamond.slots for kdamond in self._kdamonds])

    def _observe(self, kdamond: Kdamond) -> None:
        """Take notice of a kdamond that has ended, or that is in other hands now."""
        facts = self._interface.facts(kdamond.number)
        if kdamond.is_running and facts.thread is None:
            kdamond.life.fire(Event.END)
            self._end_tenure(kdamond, self._kernel.now_ns())
            self.interrupted |= bool(self._living(kdamond.slots))
        elif facts.thread is not None and not (kdamond.is_running and facts.thread == kdamond.thread):
            kdamond.life.fire(Event.TAKE)
        if kdamond.life.state is State.LOST:
            raise UnsupportedError(
                f"tracker damon: kdamond {kdamond.number} was claimed by memtierd and now runs for somebody else, as"
                f" thread {facts.thread}; memtierd leaves it alone: stop that user of DAMON, or name another kdamond in"
                " kdamondslist, and restart the policy"
            )

    def _adapt(self, kdamond: Kdamond, wanted: set[ProcessKey]) -> None:
        slots = reslot(kdamond.slots, wanted)
        if kdamond.is_running and slots == kdamond.slots:
            return
        if slots and kdamond.is_running and self._commit(kdamond, slots):
            return
        self._stop(kdamond)
        living = self._living(slots)
        if living:
            self._start(kdamond, living)

    def _commit(self, kdamond: Kdamond, slots: tuple[ProcessKey, ...]) -> bool:
        """Give a running kdamond other targets; return whether it goes on with them."""
        slots = self._living(slots)
        if not slots or slots == kdamond.slots:
            return bool(slots)
        before_ns = self._kernel.now_ns()
        stay = {key for key, old in zip(slots, kdamond.slots, strict=False) if key == old}
        setup = self._setup(slots, lambda key: () if key in stay else self._begin(key, _AREAS))
        self._ownership.note(kdamond.number, kdamond.thread, _pids(slots))
        if not self._interface.commit(kdamond.number, setup):
            return False
        self._end_tenure(kdamond, before_ns)
        kdamond.slots = slots
        # The aggregation at whose end the targets changed is reported in part with the counts of the old ones.
        settled_ns = self._params.aggregation_us * _NS_PER_US // 2
        self.tenures.append(Tenure(kdamond.thread, slots, since_ns=self._kernel.now_ns() + settled_ns))
        return True

    def _start(self, kdamond: Kdamond, slots: tuple[ProcessKey, ...]) -> None:
        """Start a kdamond that is held; processes that end meanwhile are left out."""
        self._ownership.note(kdamond.number, None, _pids(slots))
        self._interface.configure(kdamond.number, self._setup(slots, self._first))
        try:
            kdamond.thread = self._interface.start(kdamond.number)
            self._ownership.note(kdamond.number, kdamond.thread, _pids(slots))
        except KernelError as error:
            living = self._living(slots)
            if error.errno not in (errno.EINVAL, errno.ESRCH) or living == slots:
                raise
            if living:
                self._start(kdamond, living)
            return
        kdamond.slots = slots
        kdamond.life.fire(Event.START)
        self.tenures.append(Tenure(kdamond.thread, slots))

    def _stop(self, kdamond: Kdamond) -> None:
        if kdamond.is_running:
            self._interface.stop(kdamond.number)
            kdamond.life.fire(Event.STOP)
            self._end_tenure(kdamond, self._kernel.now_ns())
        kdamond.slots = ()

    def _end_tenure(self, kdamond: Kdamond, until_ns: int) -> None:
        for tenure in self.tenures:
            if tenure.thread == kdamond.thread and tenure.until_ns == FOREVER_NS:
                tenure.until_ns = until_ns

    def _living(self, slots: tuple[ProcessKey, ...]) -> tuple[ProcessKey, ...]:
        return tuple(self._those_alive(slots))

    def _those_alive(self, slots: tuple[ProcessKey, ...]) -> Iterator[ProcessKey]:
        for key in slots:
            try:
                self._kernel.facts(key)
            except ProcessGoneError:
                continue
            yield key

    def _setup(
        self, slots: tuple[ProcessKey, ...], ranges_of: Callable[[ProcessKey], tuple[AddressRange, ...]]
    ) -> Setup:
        params = self._params
        return Setup(
            params.sampling_us,
            params.aggregation_us,
            params.regions_update_us,
            params.min_target_regions,
            params.max_target_regions,
            tuple(Target(key.pid, ranges_of(key)) for key in slots),
            self._needs_schemes,
        )

    def _first(self, key: ProcessKey) -> tuple[AddressRange, ...]:
        """Return where monitoring begins: at the tracked mappings with sysfsregionsmanager, else DAMON chooses."""
        if not self._params.sysfs_regions_manager:
            return ()
        return self._begin(key, self._params.max_target_regions // 2)

    def _begin(self, key: ProcessKey, most: int) -> tuple[AddressRange, ...]:
        """Return at most `most` ranges around the tracked mappings of a process; none when it has ended."""
        try:
            mappings = [mapping for mapping in self._kernel.mappings(key) if mapping.is_tracked]
        except ProcessGoneError:
            return ()
        return bounding_ranges(mappings, most)


def _pids(slots: tuple[ProcessKey, ...]) -> tuple[int, ...]:
    return tuple(key.pid for key in slots)
