"""A daemon without threads and kernel for the prompt's tests: a real reconciler, and records of what was asked."""

import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np

from memtierd import config, policies, watchers
from memtierd.conditions import Held
from memtierd.effective import Effective
from memtierd.errors import MemtierdError
from memtierd.linux.probe import Feature, Features
from memtierd.linux.roots import Roots
from memtierd.model import CallReport, MachineFacts, MoveReport, NodeFacts, ProcessFacts, ProcessKey, ProcessScan, Scan
from memtierd.mover import Mover, MoverParams
from memtierd.parameters import Part
from memtierd.placement.plan import Plan
from memtierd.policies import PolicyParams
from memtierd.policies.age import AgeParams
from memtierd.prompt.session import Session
from memtierd.reconcile import Reconciler
from memtierd.routines import Ports, Routines
from memtierd.watchers.poller import Membership
from memtierd.watchers.selected import SelectedWatcher

T = TypeVar("T")
S = 1_000_000_000
EPOCH_NS = 1000 * S

KEY = ProcessKey(42, 7)
FEATURES = (
    "idlepage",
    "softdirty",
    "referenced",
    "pagemap_pfn",
    "damon_sysfs",
    "damon_debugfs",
    "damon_tracefs",
    "damon_bpftrace",
    "damon_perf",
)
BASE = 0x7F0000000000
REGION_PAGES = 512
REGION_BYTES = REGION_PAGES * 4096


def process_scan(
    accessed: list[int],
    at_s: float,
    key: ProcessKey = KEY,
    *,
    name: str = "meme",
    primed: bool = True,
    written: list[int] | None = None,
    on_node: int = 0,
) -> ProcessScan:
    """Return a scan of neighbouring regions from BASE on, all of whose pages are on one of two nodes."""
    count = len(accessed)
    node_pages = np.zeros((2, count), np.uint32)
    node_pages[on_node] = REGION_PAGES
    return ProcessScan(
        facts=ProcessFacts(key, name, frozenset({0, 1}), 0),
        started_ns=EPOCH_NS + round(at_s * S),
        ended_ns=EPOCH_NS + round(at_s * S) + S // 10,
        start=np.array([BASE + i * REGION_BYTES for i in range(count)], np.uint64),
        pages=np.full(count, REGION_PAGES, np.uint32),
        accessed_pages=np.array(accessed, np.uint32),
        written_pages=np.array(written or [0] * count, np.uint32),
        primed=np.full(count, primed, np.bool_),
        swapped_pages=np.zeros(count, np.uint32),
        node_pages=node_pages,
    )


def scan(*processes: ProcessScan) -> Scan:
    """Return a round over these processes."""
    return Scan("softdirty", processes[0].started_ns, processes[-1].ended_ns, processes)


class FakeDaemon:
    """Has everything that the prompt needs; one thread does it all."""

    def __init__(self, params: PolicyParams | None = None, *, swap_total_pages: int = 0) -> None:
        self.reconciler = Reconciler(policies.build(params or AgeParams()), (0, 1), EPOCH_NS)
        self.roots = Roots()
        self.dry_run = False
        self.mover = StillMover()
        self.swap_total_pages = swap_total_pages
        self.asked_to_log: list[str] = []
        self.failures: list[str] = []
        self.pidwatcher = SelectedWatcher(
            self._build_watcher, self._track, self.asked_to_log.append, self.failures.append
        )
        self.features = Features(tuple(Feature(name, True, f"{name} works") for name in FEATURES), "never", ())
        self.held: list[Held] = []
        self.tracker_name: str | None = None
        self.tracker_params: Any = None
        self.tracker_running = False
        self.tracker_why = ""
        self.policy_name: str | None = None
        self.policy_params: PolicyParams | None = None
        self.policy_running = False
        self.config_file: config.ConfigFile | None = None
        self.routines = Routines(Ports(lambda _event, _times: None, lambda _source, _texts: None, int, lambda: None))
        self.asked: list[Any] = []
        """What was asked for, in order."""

    def set_dry_run(self, on: bool) -> None:
        self.dry_run = on

    def conditions(self) -> tuple[Held, ...]:
        return tuple(self.held)

    def machine(self) -> MachineFacts:
        nodes = tuple(NodeFacts(node, 1 << 20, 1 << 19, True, {0: 10, 1: 20}) for node in (0, 1))
        return MachineFacts(nodes, self.swap_total_pages, self.swap_total_pages)

    def call(self, function: Callable[[Reconciler], T], timeout_s: float = 10) -> T:
        return function(self.reconciler)

    def tick_now(self) -> Plan:
        return self.reconciler.decide(EPOCH_NS + 100 * S, self.machine())

    def configure_mover(self, params: MoverParams) -> None:
        self.mover.reconfigure(params)

    def create_pidwatcher(self, name: str) -> None:
        if name == "bogus":
            raise MemtierdError("invalid pidwatcher name 'bogus'")
        self.pidwatcher.select(name, None if name != "proc" else watchers.ProcParams())

    def _build_watcher(self, part: Part) -> "ListedWatcher":
        self.asked.append(("build", part.name))
        return ListedWatcher(part.params)

    def _track(self, found: Membership) -> None:
        self.asked.append(("track", sorted(key.pid for key in found.keys)))

    def create_tracker(self, name: str) -> None:
        if name == "bogus":
            raise MemtierdError("invalid tracker name 'bogus'")
        self.tracker_name = name

    def configure_tracker(self, params: Any) -> None:
        self.tracker_params = params

    def start_tracker(self, pids: list[int]) -> None:
        if self.tracker_running:
            raise MemtierdError("it runs already")
        self.tracker_running = True
        self.asked.append(("start_tracker", pids))

    def stop_tracker(self) -> None:
        self.tracker_running = False
        self.asked.append(("stop_tracker",))

    def reset_counters(self) -> None:
        self.reconciler.reset_counters()

    def create_policy(self, name: str) -> None:
        self.policy_name = name

    def configure_policy(self, params: PolicyParams) -> None:
        self.policy_params = params

    def start_policy(self) -> None:
        self.policy_running = True

    def stop_policy(self) -> None:
        self.policy_running = False

    def effective(self) -> Effective:
        policy = Part(self.policy_name, self.policy_params) if self.policy_name is not None else None
        routines = tuple(Part(one.name, one.params) for one in self.routines.views())
        return Effective(policy=policy, routines=routines, mover=self.mover.params if policy is None else None)

    def edit(self, edits: Sequence[config.Edit]) -> list[config.Change]:
        return self._become(config.with_edits(self.effective(), edits))

    def reload(self) -> list[config.Change]:
        assert self.config_file is not None
        self.config_file = config.read_file(self.config_file.path)
        return self._become(self.config_file.config)

    def _become(self, wanted: config.Config | Effective) -> list[config.Change]:
        before = self.effective()
        if wanted.policy is not None:
            self.policy_name, self.policy_params = wanted.policy.name, wanted.policy.params
        self.routines.become(wanted.routines, start=False)
        return config.changes(before, self.effective())


@attrs.define
class ListedWatcher:
    """A watcher that finds the pids of its parameters, or one process without such."""

    params: Any
    interval_ms: int = 3_600_000

    def poll(self, _see: object = None) -> frozenset[ProcessKey]:
        return frozenset(ProcessKey(pid, 1) for pid in getattr(self.params, "pids", (42,)))

    def conditions(self) -> tuple[str, ...]:
        return ("it rains",)


class StillMover(Mover):
    """A mover whose thread is never started; it keeps what it is given."""

    def __init__(self) -> None:
        self.reports: list[MoveReport | CallReport] = []
        unused: Any = None
        super().__init__(MoverParams(), unused, lambda: 0, self.reports.append, self.reports.append)
        self.started = False

    def start(self) -> None:
        self.started = True


@attrs.define
class Prompt:
    """A session with what it printed."""

    daemon: FakeDaemon
    out: io.StringIO = attrs.field(factory=io.StringIO)
    err: io.StringIO = attrs.field(factory=io.StringIO)
    now_s: int = 0
    session: Session = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = Session(self.daemon, self.out, self.err, clock_ns=lambda: EPOCH_NS + self.now_s * S)

    def run(self, line: str) -> tuple[int, str, str]:
        """Return status, output and error output of one line."""
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        status = self.session.run_line(line)
        return status, self.out.getvalue(), self.err.getvalue()

    def good(self, line: str) -> str:
        """Return the output of a line that must succeed silently."""
        status, out, err = self.run(line)
        assert (status, err) == (0, "")
        return out

    def bad(self, line: str, status: int = 1) -> str:
        """Return the one line that a failing command says."""
        found, _, err = self.run(line)
        assert found == status, err
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err.rstrip("\n")
