"""Parameters of the mover."""

import attrs

from memtierd.parameters import option

PROCESS_MADVISE = "process_madvise"
MEMORY_RECLAIM = "memory.reclaim"


@attrs.frozen(kw_only=True)
class MoverParams:
    """How fast memory is moved, and how hard the mover tries."""

    interval_ms: int = option(
        10, doc="Time between two chunks; a chunk is what the bandwidth allows in this time.", unit="ms", at_least=1
    )
    bandwidth: int = option(
        100,
        doc="Memory moved per second at most, the time of the system calls included.",
        unit="MB/s",
        at_least=1,
        at_most=1_000_000,
    )
    busy_retries: int = option(
        3,
        doc="How often a page that is busy is tried again, an interval later, before it counts as busy.",
        at_least=0,
        at_most=100,
    )
    max_call_pages: int = option(
        65536,
        doc="Most pages in one system call, whatever the bandwidth; it bounds how long stopping the mover takes.",
        unit="pages",
        at_least=1,
        at_most=65536,
    )
    swap_method: str = option(
        PROCESS_MADVISE,
        doc=(
            "How memory is swapped out. process_madvise: exactly the regions chosen. memory.reclaim: as much memory of"
            " the process's cgroup (version 2), of which the kernel takes what it holds for the coldest."
        ),
        choices=(PROCESS_MADVISE, MEMORY_RECLAIM),
    )
