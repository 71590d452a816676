"""The nouns that all layers share: processes, address ranges, NUMA nodes, scans and outcomes."""

import enum

import attrs
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int8]
I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

SWAP_NODE = -1
"""The place "swapped out", written like a node number, as HeatNumas does."""


class Auto(enum.Enum):
    """A value that memtierd finds out by itself."""

    AUTO = "auto"


NodeChoice = Auto | tuple[int, ...]
"""Nodes named in a configuration, or `auto`: those of the fastest tier or of all slower ones, as the parameter says."""


@attrs.frozen(order=True)
class ProcessKey:
    """A process that can't be mistaken for a later one with the same pid."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks from boot to the start of the process."""


@attrs.frozen(order=True)
class AddressRange:
    """Half-open range of virtual addresses, in bytes."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Return the length in bytes."""
        return self.end - self.start


@attrs.frozen
class ProcessFacts:
    """What placement needs to know of a process, read again at every scan."""

    key: ProcessKey
    name: str
    allowed_nodes: frozenset[int]
    """Mems_allowed_list of /proc/PID/status."""
    running_node: int
    """The node of the CPU it last ran on; -1 when unknown."""
    oom_score: int = 0
    """/proc/PID/oom_score: the higher, the sooner the kernel would kill it for want of memory."""
    image: str = ""
    """Tells the programs that a process runs, one after another, apart; empty when unknown."""


@attrs.frozen
class NodeFacts:
    """One NUMA node as the kernel describes it now."""

    node: int
    total_pages: int
    free_pages: int
    """Free, or easily freed: MemFree of the node's meminfo, and clean page cache of its Inactive(file)."""
    has_cpu: bool
    distances: dict[int, int]
    """Distance to every online node, from /sys/devices/system/node/nodeN/distance."""
    tier: int = 0
    """Rank of its memory tier among those of the machine; 0 is the fastest."""
    available_pages: int = 0
    """What could be had without swapping: MemFree, SReclaimable, and 80 % of Inactive(file) of the node's meminfo,
    and the free pages that CPUs keep, which MemFree does not count."""


@attrs.frozen
class Stall:
    """Portions of the last ten seconds, in percent, in which some task waited; None where the kernel doesn't tell."""

    memory: float | None
    """For memory: reclaim, and what was reclaimed too early."""
    io: float | None


@attrs.frozen
class GroupStall:
    """What the tasks in one control group waited for."""

    directory: str
    stall: Stall
    pids: frozenset[int]
    """The processes in the group and below it."""


@attrs.frozen
class Pressure:
    """Pressure stall information of the whole system, and of the control groups that are managed."""

    system: Stall
    groups: tuple[GroupStall, ...] = ()
    problems: tuple[str, ...] = ()
    """What can't be told, one sentence each."""


@attrs.frozen
class MachineFacts:
    """One snapshot of nodes and swap, taken once for a tick, so that every decision sees the same numbers."""

    nodes: tuple[NodeFacts, ...]
    swap_total_pages: int
    swap_free_pages: int
    tier_doubts: tuple[str, ...] = ()
    """Where the sources of the nodes' tiers disagree, one sentence each."""
    pressure: Pressure | None = None
    """None where nobody asked for it."""

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Return the online nodes, ascending."""
        return tuple(facts.node for facts in self.nodes)


@attrs.frozen(eq=False)
class ProcessScan:
    """One consistent observation of one process; all columns have one entry a region, ascending by start.

    The regions of a scan are the geometry: the table follows it and carries history over by overlap.
    """

    facts: ProcessFacts
    started_ns: int
    ended_ns: int
    start: U64
    """Address of the first byte of each region."""
    pages: U32
    accessed_pages: U32
    """Pages seen accessed (read or written) since the scan before; at most the tracker's maximum count."""
    written_pages: U32
    """Pages seen written since the scan before; 0 where the tracker can't tell."""
    primed: Bool
    """False at the first sight of a region: its counts mean nothing yet."""
    swapped_pages: U32
    node_pages: U32
    """Shape (nodes, regions): present pages of each region on each node, nodes in the order of MachineFacts."""
    huge_pages: U32 = attrs.field(
        default=attrs.Factory(lambda scan: np.zeros(len(scan.pages), np.uint32), takes_self=True)
    )
    """Pages of each region that are mapped as parts of huge pages; 0 where the tracker does not look."""
    covered_ms: U32 | None = None
    """How long before `started_ns` the counts of a primed region tell its use; None: since the scan before.

    A tracker that does not judge every region in every scan judges with the next one for the time left out, too.
    """

    @property
    def key(self) -> ProcessKey:
        """Return the identity of the scanned process."""
        return self.facts.key

    @property
    def total_pages(self) -> int:
        """Return the number of pages in all scanned regions."""
        return int(self.pages.sum(dtype=np.uint64))


@attrs.frozen
class ScanFailure:
    """A process that could not be scanned, and why; a vanished one is in Scan.gone instead."""

    key: ProcessKey
    message: str


@attrs.frozen(eq=False)
class Scan:
    """One whole round of a tracker over its processes: never half of it."""

    tracker: str
    started_ns: int
    ended_ns: int
    processes: tuple[ProcessScan, ...]
    gone: tuple[ProcessKey, ...] = ()
    failed: tuple[ScanFailure, ...] = ()
    conditions: tuple[str, ...] = ()
    """Lasting conditions that keep the tracker from seeing all."""


class Outcome(enum.IntEnum):
    """How a page that a move asked for ended; the order is that of the counts filled by native/move.c."""

    MOVED = 0
    ALREADY_THERE = 1
    BUSY = 2
    """Could not be isolated now (EBUSY/EAGAIN), also after the retries."""
    NOT_PRESENT = 3
    """Not in memory: never touched, swapped out, unmapped meanwhile, or a zero page."""
    DENIED = 4
    """Shared with other processes, or the target is outside the cpuset (EACCES/EPERM)."""
    TARGET_FULL = 5
    PROCESS_GONE = 6
    OTHER = 7
    """Any other errno: see the errno counts."""


OUTCOMES = len(Outcome)


@attrs.frozen(eq=False)
class MoveReport:
    """What became of a finished, failed or dropped batch of regions of one process; one entry a range."""

    key: ProcessKey
    target: int
    """Destination node, or SWAP_NODE."""
    start: U64
    pages: U32
    outcomes: U64
    """Shape (ranges, OUTCOMES): pages by outcome."""
    errnos: dict[int, int] = attrs.field(factory=dict)
    """Pages by errno, for those that were not moved."""
    dropped: bool = False
    """True when the ranges were taken back before the mover reached them; outcomes are 0 then."""


@attrs.frozen
class CallReport:
    """One system call of the mover, for the statistics and for `stats -lm`."""

    key: ProcessKey
    call: str
    """"move_pages", "process_madvise" or "memory.reclaim"."""
    target: int
    requested_pages: int
    done_pages: int
    """On target after a move_pages; really swapped out by the others."""
    first_address: int
    returned: int
    """The call's return value, or -errno."""
    errnos: dict[int, int]
    at_ns: int
