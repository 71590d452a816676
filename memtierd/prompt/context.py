"""What a command gets to work with: the daemon, where to write, and what earlier commands left."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from memtierd.conditions import Held
from memtierd.effective import Effective
from memtierd.linux.probe import Features
from memtierd.linux.roots import Roots
from memtierd.model import U32, U64, MachineFacts, ProcessKey
from memtierd.mover import Mover, MoverParams
from memtierd.placement.plan import Plan
from memtierd.policies import PolicyParams
from memtierd.prompt.caller import HERE, Caller
from memtierd.prompt.output import Writer
from memtierd.prompt.page_walk import Ranges
from memtierd.prompt.screen import Screen
from memtierd.reconcile import Reconciler
from memtierd.routines import Routines
from memtierd.watchers.selected import SelectedWatcher

if TYPE_CHECKING:
    from memtierd.config import Change, ConfigFile, Edit

T = TypeVar("T")
_LINES_AT_ONCE = 256


class DaemonPort(Protocol):
    """What the prompt needs of the daemon; every method may be called from the prompt's thread."""

    @property
    def roots(self) -> Roots:
        """Return where /proc and /sys are."""

    @property
    def dry_run(self) -> bool:
        """Return whether plans are shown and not carried out."""

    def set_dry_run(self, on: bool) -> None:
        """Move nothing and run no routine from now on, or do both again."""

    @property
    def mover(self) -> Mover:
        """Return the mover; it is always there."""

    @property
    def pidwatcher(self) -> SelectedWatcher:
        """Return what finds processes; it is always there, also before one was created."""

    def configure_mover(self, params: MoverParams) -> None:
        """Give it parameters."""

    def create_pidwatcher(self, name: str) -> None:
        """Choose a pidwatcher.  Raises MemtierdError for an unknown name."""

    @property
    def routines(self) -> Routines:
        """Return the routines that were created."""

    @property
    def features(self) -> Features:
        """Return what was found to work when memtierd started."""

    def conditions(self) -> tuple[Held, ...]:
        """Return what keeps the daemon from doing all it should, now."""

    def machine(self) -> MachineFacts:
        """Return nodes and swap as they are now."""

    def call(self, function: Callable[[Reconciler], T], timeout_s: float = 10) -> T:
        """Return `function(reconciler)`, run by the control thread; the result must not share arrays with the table."""

    def tick_now(self) -> Plan:
        """Decide at once and return the plan."""

    @property
    def tracker_name(self) -> str | None:
        """Return the name of the tracker that was created, None before."""

    @property
    def tracker_params(self) -> Any:
        """Return its parameters."""

    @property
    def tracker_running(self) -> bool:
        """Return whether it scans."""

    @property
    def tracker_why(self) -> str:
        """Return why `auto` became that tracker; may be empty."""

    def create_tracker(self, name: str) -> None:
        """Make a tracker.  Raises MemtierdError for an unknown name or what can't work here."""

    def configure_tracker(self, params: Any) -> None:
        """Give it parameters."""

    def start_tracker(self, pids: list[int]) -> None:
        """Track exactly these processes."""

    def stop_tracker(self) -> None:
        """Stop scanning and wait until it has stopped."""

    def reset_counters(self) -> None:
        """Set the access counts of all regions to 0."""

    @property
    def policy_name(self) -> str | None:
        """Return the name of the policy that was created, None before."""

    @property
    def policy_params(self) -> PolicyParams | None:
        """Return its parameters, None before it was configured."""

    @property
    def policy_running(self) -> bool:
        """Return whether it runs."""

    def create_policy(self, name: str) -> None:
        """Choose a policy.  Raises MemtierdError for an unknown name."""

    def configure_policy(self, params: PolicyParams) -> None:
        """Give it parameters."""

    def start_policy(self) -> None:
        """Start it.  Raises MemtierdError when it can't work."""

    def stop_policy(self) -> None:
        """Stop it."""

    @property
    def config_file(self) -> "ConfigFile | None":
        """Return the configuration file as it was loaded last, None without one."""

    def effective(self) -> Effective:
        """Return what is set up to run, with the parameters that are in force."""

    def edit(self, edits: "Sequence[Edit]") -> "list[Change]":
        """Set single values, checked as a whole.  Raises ConfigError; nothing has changed then."""

    def reload(self) -> "list[Change]":
        """Read the configuration file again and change over to it.  Raises ConfigError; nothing has changed then."""


@attrs.frozen(eq=False)
class Selection:
    """The pages that the last `pages` command selected, as ranges; ascending, not overlapping."""

    key: ProcessKey
    start: U64
    """Address of the first byte of each range."""
    pages: U32

    @property
    def total_pages(self) -> int:
        """Return how many pages are selected."""
        return int(self.pages.sum(dtype="uint64"))


@attrs.define
class LogCopy:
    """Whether what commands print goes to the log, too."""

    to_log: bool = False
    to_output: bool = True
    prefix: str = ""


@attrs.define
class Memory:
    """What commands of one session remember for each other."""

    selection: Selection | None = None
    ranges: Ranges | None = None
    """The address ranges that the last `arange` command selected."""
    stopwatches: dict[str, int] = attrs.field(factory=dict)
    """When each was started, in nanoseconds of the monotonic clock."""
    log_copy: LogCopy = attrs.field(factory=LogCopy)
    routine: int | None = None
    """Number of the routine in use; None: the last one that was created."""
    quit_requested: bool = False


@attrs.define
class Context:
    """Everything one command works with."""

    daemon: DaemonPort
    out: Writer
    memory: Memory
    report: Callable[[str], None]
    """Tells of a problem on the error output."""
    clock_ns: Callable[[], int]
    """Monotonic time, as the daemon's clock gives it."""
    caller: Caller = HERE
    """Whoever asked for the command: files and pauses are theirs."""
    screen: Screen | None = None
    """The terminal as a whole; None where the output goes somewhere else, or nobody types."""
    status: int = 0

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.out.write(f"{text}\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Write lines, some at a time; those before an error of `texts`, too."""
        pending: list[str] = []
        try:
            for text in texts:
                pending.append(f"{text}\n")
                if len(pending) == _LINES_AT_ONCE:
                    self.out.write("".join(pending))
                    pending.clear()
        finally:
            if pending:
                self.out.write("".join(pending))

    def while_wanted(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items until the command is interrupted; that raises KeyboardInterrupt."""
        for item in items:
            self.caller.check()
            yield item

    def fail(self, message: str) -> None:
        """Say that a part of the command failed; the command may go on and ends with a non-zero status."""
        self.report(message)
        self.status = 1
